"""`sampan volume rm`: remove volumes."""

from __future__ import annotations

from sampan.cli.each import each
from sampan.client.failure import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Remove volumes"
USAGE = ("[OPTIONS] VOLUME [VOLUME...]",)
WORDS = (1, -1)
OPTIONS = (("force", "f", "bool", "", "Be content when there is no such volume"),)


def run(arguments: Arguments, session: Session) -> int:
    """Remove all of them."""
    force = arguments.flag("force")
    return each(
        session,
        "DELETE",
        arguments.words,
        "/volumes/{}",
        {"force": True} if force else None,
        pardoned=NotFoundError if force else None,
    )
