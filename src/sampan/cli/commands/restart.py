"""`sampan restart`: stop and start again."""

from __future__ import annotations

from sampan.cli.commands import stop
from sampan.cli.each import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Stop containers and start them again"
USAGE = ("[OPTIONS] CONTAINER [CONTAINER...]",)
WORDS = (1, -1)
OPTIONS = stop.OPTIONS


def run(arguments: Arguments, session: Session) -> int:
    """Restart all of them at once."""
    return each(session, "POST", arguments.words, "/containers/{}/restart", stop.stop_query(arguments))
