"""`sampan volume prune`: remove volumes that no container uses."""

from __future__ import annotations

import sys

from sampan.cli.confirm import confirmed
from sampan.cli.filters import filters_query
from sampan.cli.formats.written import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Remove volumes that no container uses"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("all", "a", "bool", "", "Remove those that were given a name too"),
    ("filter", "", "filter", "", "Remove only those that match, as in label=a=b"),
    ("force", "f", "bool", "", "Do not ask"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Ask, remove, and say what is gone."""
    every = arguments.flag("all")
    which = "All" if every else "All anonymous"
    if not arguments.flag("force") and not confirmed(f"{which} volumes that no container uses will be removed."):
        return 1
    answer = session.call("POST", "/volumes/prune", filters_query(arguments, *(["all=true"] if every else [])))
    removed = answer.get("VolumesDeleted") or []
    if removed:
        sys.stdout.write("Deleted Volumes:\n" + "".join(f"{name}\n" for name in removed) + "\n")
    sys.stdout.write(f"Total reclaimed space: {size(answer.get('SpaceReclaimed') or 0, 4)}\n")
    return 0
