"""`sampan volume export`: a volume's content as a tar archive."""

from __future__ import annotations

from sampan.cli.archives import write_archive
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Write the content of a volume as a tar archive"
USAGE = ("[OPTIONS] VOLUME",)
WORDS = (1, 1)
OPTIONS = (
    ("output", "o", "string", "", "Write to this file instead of standard output"),
    ("pause", "", "bool", "", "Let running containers that have the volume stand still meanwhile"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Copy the archive."""
    path = f"/volumes/{quote(arguments.words[0])}/export"
    return write_archive(session, path, {"pause": arguments.flag("pause")}, arguments.text("output"))
