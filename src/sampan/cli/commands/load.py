"""`sampan load`: images out of a tar archive that `save` made."""

from __future__ import annotations

import posix
import sys

from sampan.cli.commands.import_image import pieces
from sampan.cli.grammar import Failure
from sampan.cli.pulling import show_progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Take images out of a tar archive"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("input", "i", "string", "", "Read this file instead of standard input"),
    ("quiet", "q", "bool", "", "Do not show how it goes"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Send the archive, and print what was in it."""
    source = arguments.text("input") or "-"
    if source == "-" and posix.isatty(0):
        raise Failure("no archive comes from a terminal", remedy="name a file with -i, or redirect the input")
    query = {"quiet": arguments.flag("quiet") or not posix.isatty(1)}
    headers = {"Content-Type": "application/x-tar"}
    response = session.request("POST", "/images/load", query, pieces(source), headers)
    show_progress(response, sys.stdout)
    return 0
