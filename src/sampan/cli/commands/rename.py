"""`sampan rename`: give a container another name."""

from __future__ import annotations

from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Give a container another name"
USAGE = ("CONTAINER NEW_NAME",)
WORDS = (2, 2)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Rename it."""
    old, new = arguments.words
    session.call("POST", f"/containers/{quote(old)}/rename", {"name": new})
    return 0
