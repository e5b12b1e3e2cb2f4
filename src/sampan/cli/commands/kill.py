"""`sampan kill`: send a signal."""

from __future__ import annotations

from sampan.cli.each import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "End containers at once, or send them a signal"
USAGE = ("[OPTIONS] CONTAINER [CONTAINER...]",)
WORDS = (1, -1)
OPTIONS = (("signal", "s", "string", "", "The signal to send instead of KILL"),)


def run(arguments: Arguments, session: Session) -> int:
    """Send it to all of them."""
    query = {"signal": arguments.text("signal") or None}
    return each(session, "POST", arguments.words, "/containers/{}/kill", query)
