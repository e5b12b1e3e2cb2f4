"""`sampan network prune`: remove networks that no container uses."""

from __future__ import annotations

import sys

from sampan.cli.confirm import confirmed
from sampan.cli.filters import filters_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Remove networks that no container uses"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("filter", "", "filter", "", "Remove only those that match, as in until=24h or label=a=b"),
    ("force", "f", "bool", "", "Do not ask"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Ask, remove, and say what is gone."""
    if not arguments.flag("force") and not confirmed("All networks that no container uses will be removed."):
        return 1
    removed = session.call("POST", "/networks/prune", filters_query(arguments)).get("NetworksDeleted") or []
    if removed:
        sys.stdout.write("Deleted Networks:\n" + "".join(f"{name}\n" for name in removed) + "\n")
    return 0
