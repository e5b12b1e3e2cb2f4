"""`sampan volume clone`: a volume with the content of another."""

from __future__ import annotations

from sampan.cli.volume_copies import OPTIONS, WORDS, copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

__all__ = ["OPTIONS", "WORDS"]
SUMMARY = "Make a volume with the content of another"
USAGE = ("[OPTIONS] VOLUME [NEW_NAME]",)


def run(arguments: Arguments, session: Session) -> int:
    """Copy it, and print the name of the copy."""
    return copy(arguments, session, "clone")
