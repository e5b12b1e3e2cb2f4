"""`sampan volume ls`: the volumes there are."""

from __future__ import annotations

import sys

from sampan.cli.filters import filters_query
from sampan.cli.formats.containers import labels_text
from sampan.cli.formats.listing import show
from sampan.cli.formats.written import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "List volumes"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("filter", "f", "filter", "", "Show only volumes that match, as in dangling=true"),
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("quiet", "q", "bool", "", "Print only the names"),
)


def _usage(volume: dict[str, Any], key: str) -> int:
    return int((volume.get("UsageData") or {}).get(key, -1))


COLUMNS: dict[str, Column] = {
    "Availability": ("AVAILABILITY", lambda _: "N/A"),
    "Driver": ("DRIVER", lambda volume: volume["Driver"]),
    "Group": ("GROUP", lambda _: "N/A"),
    "Label": ("", lambda volume: lambda name: (volume.get("Labels") or {}).get(name, "")),
    "Labels": ("LABELS", lambda volume: labels_text(volume.get("Labels"))),
    "Links": ("LINKS", lambda volume: "N/A" if _usage(volume, "RefCount") < 0 else str(_usage(volume, "RefCount"))),
    "Mountpoint": ("MOUNTPOINT", lambda volume: volume["Mountpoint"]),
    "Name": ("VOLUME NAME", lambda volume: volume["Name"]),
    "Scope": ("SCOPE", lambda volume: volume["Scope"]),
    "Size": ("SIZE", lambda volume: "N/A" if _usage(volume, "Size") < 0 else size(_usage(volume, "Size"))),
    "Status": ("STATUS", lambda _: "N/A"),
}


def run(arguments: Arguments, session: Session) -> int:
    """Print the list, by name."""
    answer = session.call("GET", "/volumes", filters_query(arguments))
    volumes = sorted(answer.get("Volumes") or [], key=lambda volume: volume["Name"])
    show(
        volumes, COLUMNS, ("Driver", "Name"), arguments.text("format"), quiet="Name" if arguments.flag("quiet") else ""
    )
    sys.stdout.flush()
    sys.stderr.write("".join(f"WARNING: {warning}\n" for warning in answer.get("Warnings") or []))
    return 0
