"""`sampan builder prune`: give back what the build cache holds."""

from __future__ import annotations

import sys

from sampan.cli.confirm import confirmed
from sampan.cli.formats.written import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import QueryValue, Session

SUMMARY = "Remove what is kept for builds"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("all", "a", "bool", "", "Kept for docker's scripts; all that no build goes on from is removed anyway"),
    ("filter", "", "filter", "", "Remove only what matches, as in until=24h"),
    ("force", "f", "bool", "", "Do not ask"),
    ("keep-storage", "", "bytes", "", "Keep this much, of what was of use last"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Ask, remove, and say what is gone."""
    from sampan.cli.filters import filters_query

    if not arguments.flag("force") and not confirmed(
        "This removes what steps made and caches hold, but for builds that go on."
    ):
        return 1
    query: dict[str, QueryValue] = dict(filters_query(arguments) or {})
    query |= {"all": arguments.flag("all"), "keep-storage": arguments.number("keep-storage") or None}
    answer = session.call("POST", "/build/prune", query)
    for name in answer.get("CachesDeleted") or []:
        sys.stdout.write(f"{name}\n")
    sys.stdout.write(f"Total:\t{size(answer.get('SpaceReclaimed') or 0, 4)}\n")
    return 0
