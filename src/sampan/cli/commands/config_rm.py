"""`sampan config rm`: remove configs."""

from __future__ import annotations

from sampan.cli.each import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Remove configs"
USAGE = ("CONFIG [CONFIG...]",)
WORDS = (1, -1)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Remove all of them."""
    return each(session, "DELETE", arguments.words, "/configs/{}")
