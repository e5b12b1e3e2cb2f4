"""`sampan export`: a container's root as a tar archive."""

from __future__ import annotations

from sampan.cli.archives import write_archive
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Write the files of a container as a tar archive"
USAGE = ("[OPTIONS] CONTAINER",)
WORDS = (1, 1)
OPTIONS = (("output", "o", "string", "", "Write to this file instead of standard output"),)


def run(arguments: Arguments, session: Session) -> int:
    """Copy the archive."""
    path = f"/containers/{quote(arguments.words[0])}/export"
    return write_archive(session, path, None, arguments.text("output"))
