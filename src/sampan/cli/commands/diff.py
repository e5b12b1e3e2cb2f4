"""`sampan diff`: what a container has changed in its root."""

from __future__ import annotations

import sys

from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show which files a container has changed (C), added (A) and deleted (D)"
USAGE = ("CONTAINER",)
WORDS = (1, 1)
OPTIONS = ()
KINDS = "CAD"


def run(arguments: Arguments, session: Session) -> int:
    """Print a line for each path."""
    changes = session.call("GET", f"/containers/{quote(arguments.words[0])}/changes") or []
    sys.stdout.write("".join(f"{KINDS[change['Kind']]} {change['Path']}\n" for change in changes))
    return 0
