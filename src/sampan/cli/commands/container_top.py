"""`sampan container top`: the processes of a container, as ps shows them."""

from __future__ import annotations

import sys

from sampan.cli.formats.table import columns
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show the processes of a container"
USAGE = ("CONTAINER [ps OPTIONS]",)
WORDS = (1, -1)
INTERSPERSED = False
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Print them as a table."""
    name, *options = arguments.words
    query = {"ps_args": " ".join(options)} if options else None
    answer = session.call("GET", f"/containers/{quote(name)}/top", query)
    sys.stdout.write(columns([answer["Titles"], *answer["Processes"]], minimum=20))
    return 0
