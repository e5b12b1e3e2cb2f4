"""`sampan network rm`: remove networks."""

from __future__ import annotations

from sampan.cli.each import each
from sampan.client.failure import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Remove networks"
USAGE = ("[OPTIONS] NETWORK [NETWORK...]",)
WORDS = (1, -1)
OPTIONS = (("force", "f", "bool", "", "Be content when there is no such network"),)


def run(arguments: Arguments, session: Session) -> int:
    """Remove all of them."""
    force = arguments.flag("force")
    return each(session, "DELETE", arguments.words, "/networks/{}", None, pardoned=NotFoundError if force else None)
