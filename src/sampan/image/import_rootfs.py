"""`import`: a tar archive of a root file system becomes an image of one layer.

The layer is made in a thread (`LayerStore.add`); what is here is the config that goes with it, in Docker's form.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sampan.image.changes import apply_changes
from sampan.image.layers import Layer
from sampan.image.platforms import parse_platform
from sampan.oci.image_spec import ContainerDefaults, History, ImageConfig, RootFs, encode


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What goes with the archive: instructions of a Dockerfile, a message, "os/architecture[/variant]" or nothing."""

    changes: tuple[str, ...] = ()
    message: str = ""
    platform: str = ""


def now() -> str:
    """The present time as image configs have it (RFC 3339)."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def check_import(request: ImportRequest) -> ContainerDefaults:
    """Refuse a request before any of its archive is read. Returns what its changes make of an empty config."""
    parse_platform(request.platform)
    return apply_changes(ContainerDefaults(), request.changes)


def imported_config(request: ImportRequest, layer: Layer, created: str) -> bytes:
    """The config of an imported image: Docker's fields and history."""
    os_name, architecture, variant = parse_platform(request.platform)
    comment = request.message or "Imported from -"
    return encode(
        ImageConfig(
            created=created,
            architecture=architecture,
            variant=variant,
            os=os_name,
            config=check_import(request),
            rootfs=RootFs(diff_ids=(layer.diff_id,)),
            history=(History(created=created, comment=comment),),
        )
    )
