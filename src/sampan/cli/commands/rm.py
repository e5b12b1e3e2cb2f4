"""`sampan rm`: remove containers."""

from __future__ import annotations

from sampan.cli.each import each
from sampan.client.failure import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Remove containers"
USAGE = ("[OPTIONS] CONTAINER [CONTAINER...]",)
WORDS = (1, -1)
OPTIONS = (
    ("force", "f", "bool", "", "Kill what still runs, and be content when there is no such container"),
    ("link", "l", "bool", "", "Remove the link of this name, not the container"),
    ("volumes", "v", "bool", "", "Remove the container's anonymous volumes too"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Remove all of them at once."""
    query = {name: arguments.flag(option) for name, option in (("force", "force"), ("link", "link"), ("v", "volumes"))}
    names = [name.strip("/") for name in arguments.words]
    return each(session, "DELETE", names, "/containers/{}", query, pardoned=NotFoundError if query["force"] else None)
