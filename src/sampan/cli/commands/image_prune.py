"""`sampan image prune`: remove images that nothing uses."""

from __future__ import annotations

import sys

from sampan.cli.confirm import confirmed
from sampan.cli.filters import filters_query
from sampan.cli.formats.written import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Query, Session

SUMMARY = "Remove images that nothing uses"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("all", "a", "bool", "", "Remove named images that no container uses too"),
    ("filter", "", "filter", "", "Remove only those that match, as in until=24h or label=a=b"),
    ("force", "f", "bool", "", "Do not ask"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Ask, remove, and say what is gone."""
    every = arguments.flag("all")
    warning = (
        "All images without a container will be removed." if every else "All images without a name will be removed."
    )
    if not arguments.flag("force") and not confirmed(warning):
        return 1
    reclaimed = prune_images(session, filters_query(arguments, f"dangling={'false' if every else 'true'}"))
    sys.stdout.write(f"Total reclaimed space: {size(reclaimed, 4)}\n")
    return 0


def prune_images(session: Session, query: Query | None) -> int:
    """Remove, print what became of each, and give the bytes."""
    answer = session.call("POST", "/images/prune", query)
    removed = answer.get("ImagesDeleted") or []
    if removed:
        lines = [f"{verb.lower()}: {what}\n" for item in removed for verb, what in item.items()]
        sys.stdout.write("Deleted Images:\n" + "".join(lines) + "\n")
    reclaimed: int = answer.get("SpaceReclaimed") or 0
    return reclaimed
