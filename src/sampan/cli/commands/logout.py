"""`sampan logout`: forget who the user is to a registry."""

from __future__ import annotations

import sys

from sampan.cli.credentials import HUB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Log out of a registry"
USAGE = ("[SERVER]",)
WORDS = (0, 1)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Drop what is kept; to be logged out already is no failure."""
    del session  # it is the user's own file
    from sampan.client.credentials import drop_login, server_of

    registry = arguments.words[0] if arguments.words else HUB
    gone = drop_login(registry)
    server = server_of(registry)
    sys.stdout.write(f"Removing login credentials for {server}\n" if gone else f"Not logged in to {server}\n")
    return 0
