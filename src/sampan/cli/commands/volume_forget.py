"""`sampan volume forget`: remove snapshots."""

from __future__ import annotations

from sampan.cli.each import each
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Remove snapshots of a volume"
USAGE = ("VOLUME SNAPSHOT [SNAPSHOT...]",)
WORDS = (2, -1)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Remove all of them."""
    volume, *names = arguments.words
    return each(session, "DELETE", names, f"/volumes/{quote(volume)}/snapshots/{{}}")
