"""`sampan unpause`: thaw containers."""

from __future__ import annotations

from sampan.cli.each import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Let the processes of frozen containers go on"
USAGE = ("CONTAINER [CONTAINER...]",)
WORDS = (1, -1)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Do it to all of them."""
    return each(session, "POST", arguments.words, "/containers/{}/unpause")
