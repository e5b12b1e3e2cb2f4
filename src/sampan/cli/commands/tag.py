"""`sampan tag`: a further name for an image."""

from __future__ import annotations

from sampan.client.references import split_reference
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Give an image a further name"
USAGE = ("SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",)
WORDS = (2, 2)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Name it."""
    source, target = arguments.words
    name, tag = split_reference(target)
    session.call("POST", f"/images/{quote(source)}/tag", {"repo": name, "tag": tag or "latest"})
    return 0
