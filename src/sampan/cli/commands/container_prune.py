"""`sampan container prune`: remove all containers that do not run."""

from __future__ import annotations

import sys

from sampan.cli.confirm import confirmed
from sampan.cli.filters import filters_query
from sampan.cli.formats.written import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Query, Session

SUMMARY = "Remove all containers that do not run"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("filter", "", "filter", "", "Remove only those that match, as in until=24h or label=a=b"),
    ("force", "f", "bool", "", "Do not ask"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Ask, remove, and say what is gone."""
    if not arguments.flag("force") and not confirmed("All containers that do not run will be removed."):
        return 1
    reclaimed = prune_containers(session, filters_query(arguments))
    sys.stdout.write(f"Total reclaimed space: {size(reclaimed, 4)}\n")
    return 0


def prune_containers(session: Session, query: Query | None) -> int:
    """Remove, print the ids, and give the bytes."""
    answer = session.call("POST", "/containers/prune", query)
    removed = answer.get("ContainersDeleted") or []
    if removed:
        sys.stdout.write("Deleted Containers:\n" + "".join(f"{name}\n" for name in removed) + "\n")
    reclaimed: int = answer.get("SpaceReclaimed") or 0
    return reclaimed
