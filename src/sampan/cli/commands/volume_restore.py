"""`sampan volume restore`: put a snapshot's content back."""

from __future__ import annotations

from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Make the content of a volume what it was at a snapshot"
USAGE = ("VOLUME SNAPSHOT",)
WORDS = (2, 2)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Put it back; the snapshot stays."""
    volume, snapshot = arguments.words
    session.call("POST", f"/volumes/{quote(volume)}/snapshots/{quote(snapshot)}/restore")
    return 0
