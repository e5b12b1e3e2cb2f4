"""`sampan wait`: block until containers have ended."""

from __future__ import annotations

import sys

from sampan.cli.each import complain
from sampan.client.failure import ClientError
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Wait until containers have ended, and print their exit codes"
USAGE = ("CONTAINER [CONTAINER...]",)
WORDS = (1, -1)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Print each code as soon as it and those before it are known."""
    code = 0
    for answer in session.call_all("POST", [f"/containers/{quote(name)}/wait" for name in arguments.words]):
        if isinstance(answer, ClientError):
            complain(answer)
            code = 1
        else:
            sys.stdout.write(f"{answer['StatusCode']}\n")
            sys.stdout.flush()
    return code
