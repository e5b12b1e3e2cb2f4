"""The image `host`: the machine itself, read-only below what a container writes.

overlayfs takes "/" for a lower layer with an upper directory inside of it; what must not show is hidden by marks above
it (`host_mask`). It costs no disk, needs no registry, and is never pushed or saved: it has no layers, and
can have none, since overlayfs takes no lower layer inside of another.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sampan.image.host_mask import HostMask
from sampan.image.host_shelf import MaskShelf
from sampan.image.platforms import host_platform
from sampan.image.records import Base, Image, ImageRecords
from sampan.oci.image_spec import DEFAULT_PATH, ContainerDefaults, History, ImageConfig, RootFs, encode

HOST_NAME = "host:latest"
HOST_ROOT = "/"
_PATH = f"PATH={DEFAULT_PATH}"


@dataclass(frozen=True, slots=True)
class HostImage:
    """The machine as an image, but for what the mask hides."""

    mask: HostMask
    shelf: MaskShelf = field(default_factory=MaskShelf)

    def create(self, records: ImageRecords) -> Image:
        """The image's record, made when it is not there. The same machine gives the same id until it is upgraded.

        Lists show when it came to be here: the files of a machine made from an image may all say 1970.
        """
        return records.add(encode(host_config()), size=0, base=Base.HOST, made_s=time.time())

    def share(self, used: Callable[[], Iterable[str]] = tuple) -> str:
        """The name on the shelf of a mask that hides what is to be hidden now; `used` tells those that have to stay."""
        return self.shelf.keep(self.mask, self.mask.plan(), used)

    def fill_upper(self, upper: str, list_file: str) -> None:
        """Hide in a new container's upper directory what is to be hidden now; `list_file` then says what was."""
        plan = self.mask.plan()
        self.mask.build(plan, upper)
        with open(list_file, "w", encoding="utf-8") as file:
            json.dump([[hidden.path, hidden.hiding.value] for hidden in plan], file)


def host_config() -> ImageConfig:
    """What a container of the machine does unless it is told otherwise: a shell in its root directory."""
    shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    made = _release_date()
    return ImageConfig(
        created=made,
        architecture=host_platform()[0],
        os="linux",
        config=ContainerDefaults(env=(_PATH,), cmd=(shell,), working_dir="/"),
        rootfs=RootFs(diff_ids=()),
        history=(History(created=made, created_by="the machine itself, read-only", empty_layer=True),),
    )


def _release_date() -> str:
    """When the machine's system was last released to it: a date that does not change from start to start."""
    try:
        seconds = os.stat("/etc/os-release").st_mtime
    except OSError:
        seconds = 0
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
