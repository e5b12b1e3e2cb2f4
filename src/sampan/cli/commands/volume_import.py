"""`sampan volume import`: a volume made of a tar archive."""

from __future__ import annotations

import sys

from sampan.cli.commands.import_image import pieces
from sampan.cli.request.environment import read_labels
from sampan.client.json_text import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Make a volume of a tar archive"
USAGE = ("[OPTIONS] FILE|- [VOLUME]",)
WORDS = (1, 2)
OPTIONS = (("label", "", "list", "", "Set a label (key=value)"),)


def run(arguments: Arguments, session: Session) -> int:
    """Send the archive, and print the volume's name."""
    source, *name = arguments.words
    query = {"name": name[0] if name else ""}
    if arguments.items("label"):
        query["labels"] = dumps(read_labels(arguments.items("label"))).decode()
    headers = {"Content-Type": "application/x-tar"}
    response = session.request("POST", "/volumes/import", query, pieces(source), headers)
    sys.stdout.write(loads(response.read())["Name"] + "\n")
    return 0
