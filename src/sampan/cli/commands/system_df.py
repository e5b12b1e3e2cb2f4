"""`sampan system df`: what takes how much disk."""

from __future__ import annotations

import sys

from sampan.cli.formats.listing import Row, show
from sampan.cli.formats.table import columns
from sampan.cli.formats.written import ago, short_id, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show what takes how much disk"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("verbose", "v", "bool", "", "Show every image, container and volume"),
)
SHOWN = ("Type", "TotalCount", "Active", "Size", "Reclaimable")


def _share(row: dict[str, Any]) -> str:
    text = size(row["Reclaimable"], 4)
    if row["Type"] == "Build Cache" or not row["Size"]:
        return text
    return f"{text} ({row['Reclaimable'] * 100 // row['Size']}%)"


COLUMNS: dict[str, Column] = {
    "Active": ("ACTIVE", lambda row: str(row["Active"])),
    "Reclaimable": ("RECLAIMABLE", _share),
    "Size": ("SIZE", lambda row: size(row["Size"], 4)),
    "TotalCount": ("TOTAL", lambda row: str(row["Total"])),
    "Type": ("TYPE", lambda row: row["Type"]),
}


CACHE_COLUMNS: dict[str, Column] = {
    "CacheType": ("CACHE TYPE", lambda record: record["Type"]),
    "CreatedAt": ("CREATED", lambda record: record.get("CreatedAt") or ""),
    "Description": ("DESCRIPTION", lambda record: record.get("Description") or ""),
    "ID": ("CACHE ID", lambda record: record["ID"]),
    "InUse": ("IN USE", lambda record: str(bool(record.get("InUse"))).lower()),
    "LastUsedAt": ("LAST USED", lambda record: record.get("LastUsedAt") or ""),
    "Parent": ("PARENT", lambda record: record.get("Parent") or ""),
    "Shared": ("SHARED", lambda record: str(bool(record.get("Shared"))).lower()),
    "Size": ("SIZE", lambda record: size(record.get("Size") or 0, 4)),
    "UsageCount": ("USAGE", lambda record: str(record.get("UsageCount") or 0)),
}


def run(arguments: Arguments, session: Session) -> int:
    """Print a line for each kind of thing, or for each thing."""
    usage = session.call("GET", "/system/df")
    template = arguments.text("format")
    if arguments.flag("verbose") and template not in {"", "table"}:
        from sampan.cli.formats.template import Template, unescaped

        source = "{{json .}}" if template == "json" else unescaped(template)
        sys.stdout.write(Template(source).render(everything(usage)) + "\n")
    elif arguments.flag("verbose"):
        _print_everything(usage)
    else:
        show(summary(usage), COLUMNS, SHOWN, template)
    return 0


def summary(usage: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each kind, with what could be had back."""
    images, containers = usage.get("Images") or [], usage.get("Containers") or []
    volumes, cache = usage.get("Volumes") or [], usage.get("BuildCache") or []
    used = [image for image in images if image.get("Containers", 0) > 0]
    held = sum(image["Size"] - max(image.get("SharedSize", 0), 0) for image in used)
    layers = usage.get("LayersSize") or 0
    running = [container for container in containers if container.get("State") in {"running", "paused", "restarting"}]
    written = sum(container.get("SizeRw") or 0 for container in containers)
    live = sum(container.get("SizeRw") or 0 for container in running)
    attached = [volume for volume in volumes if _references(volume) > 0]
    stored = sum(_volume_size(volume) for volume in volumes)
    cached = sum(record.get("Size") or 0 for record in cache if not record.get("Shared"))
    busy = sum(record.get("Size") or 0 for record in cache if record.get("InUse") and not record.get("Shared"))
    return [
        _row("Images", len(images), len(used), layers, layers - held),
        _row("Containers", len(containers), len(running), written, written - live),
        _row("Local Volumes", len(volumes), len(attached), stored, stored - sum(map(_volume_size, attached))),
        _row("Build Cache", len(cache), sum(bool(record.get("InUse")) for record in cache), cached, cached - busy),
    ]


def _row(kind: str, total: int, active: int, taken: int, reclaimable: int) -> dict[str, Any]:
    return {"Type": kind, "Total": total, "Active": active, "Size": taken, "Reclaimable": max(reclaimable, 0)}


def _references(volume: dict[str, Any]) -> int:
    return int((volume.get("UsageData") or {}).get("RefCount") or 0)


def _volume_size(volume: dict[str, Any]) -> int:
    return max(int((volume.get("UsageData") or {}).get("Size") or 0), 0)


def everything(usage: dict[str, Any]) -> dict[str, list[dict[str, object]]]:
    """What a template sees with --verbose: a list for each kind, of what there is in the words of its own list."""
    from sampan.cli.commands import volume_ls
    from sampan.cli.commands.images import image_columns, image_rows
    from sampan.cli.formats.containers import container_columns

    images = [row for image in usage.get("Images") or [] for row in image_rows(image, digests=False)]
    own = {"Size": ("SIZE", lambda row: size(row.get("SizeRw") or 0))}
    kinds: list[tuple[str, dict[str, Column], list[Any]]] = [
        ("Images", image_columns(full=True), images),
        ("Containers", {**container_columns(full=True), **own}, usage.get("Containers") or []),
        ("Volumes", volume_ls.COLUMNS, usage.get("Volumes") or []),
        ("BuildCache", CACHE_COLUMNS, usage.get("BuildCache") or []),
    ]
    return {kind: [Row(columns, document).template_document() for document in found] for kind, columns, found in kinds}


def _print_everything(usage: dict[str, Any]) -> None:
    from sampan.cli.commands.images import image_rows
    from sampan.cli.formats.containers import container_columns

    lines = [["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]]
    for image in usage.get("Images") or []:
        shared = max(image.get("SharedSize", 0), 0)
        sizes = [size(image["Size"]), size(shared, 4), size(image["Size"] - shared, 4), str(image.get("Containers", 0))]
        rows = image_rows(image, digests=False)
        lines += [[row["Repository"], row["Tag"], short_id(row["Id"]), ago(row["Created"]), *sizes] for row in rows]
    sys.stdout.write("Images space usage:\n\n" + columns(lines))
    shown = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
    sys.stdout.write("\nContainers space usage:\n\n")
    own = {"Size": ("SIZE", lambda row: size(row.get("SizeRw") or 0))}
    show(usage.get("Containers") or [], {**container_columns(), **own}, shown)
    lines = [["VOLUME NAME", "LINKS", "SIZE"]]
    lines += [[row["Name"], str(_references(row)), size(_volume_size(row))] for row in usage.get("Volumes") or []]
    sys.stdout.write("\nLocal Volumes space usage:\n\n" + columns(lines))
    cached = sum(record.get("Size") or 0 for record in usage.get("BuildCache") or [])
    sys.stdout.write(f"\nBuild cache usage: {size(cached, 4)}\n")
