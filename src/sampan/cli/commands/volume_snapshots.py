"""`sampan volume snapshots`: what was kept of a volume."""

from __future__ import annotations

from sampan.cli.formats.listing import show
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "List the snapshots of a volume"
USAGE = ("[OPTIONS] VOLUME",)
WORDS = (1, 1)
OPTIONS = (
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("quiet", "q", "bool", "", "Print only the names"),
)
COLUMNS: dict[str, Column] = {
    "CreatedAt": ("CREATED AT", lambda snapshot: snapshot["CreatedAt"]),
    "Name": ("SNAPSHOT", lambda snapshot: snapshot["Name"]),
}


def run(arguments: Arguments, session: Session) -> int:
    """Print the list, the oldest first."""
    found = session.call("GET", f"/volumes/{quote(arguments.words[0])}/snapshots")
    quiet = "Name" if arguments.flag("quiet") else ""
    show(found, COLUMNS, ("Name", "CreatedAt"), arguments.text("format"), quiet=quiet)
    return 0
