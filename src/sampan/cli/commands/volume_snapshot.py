"""`sampan volume snapshot`: keep a volume's content as it is."""

from __future__ import annotations

from sampan.cli.volume_copies import OPTIONS, WORDS, copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

__all__ = ["OPTIONS", "WORDS"]
SUMMARY = "Keep the content of a volume as it is now"
USAGE = ("[OPTIONS] VOLUME [SNAPSHOT]",)


def run(arguments: Arguments, session: Session) -> int:
    """Take it, and print its name."""
    return copy(arguments, session, "snapshots")
