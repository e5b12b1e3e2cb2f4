"""`sampan volume rename`: another name for a volume."""

from __future__ import annotations

from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Give a volume that no container has another name"
USAGE = ("VOLUME NEW_NAME",)
WORDS = (2, 2)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Rename it."""
    old, new = arguments.words
    session.call("POST", f"/volumes/{quote(old)}/rename", {"name": new})
    return 0
