"""What `sampan volume clone` and `sampan volume snapshot` have in common: a copy of a volume under a name."""

from __future__ import annotations

import sys

from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Query, Session

WORDS = (1, 2)
OPTIONS = (("pause", "", "bool", "", "Let running containers that have the volume stand still meanwhile"),)


def copy(arguments: Arguments, session: Session, what: str) -> int:
    """Ask for it ("clone" or "snapshots" is the path's last part), and print the name of the copy."""
    volume, *name = arguments.words
    query: Query = {"name": name[0] if name else "", "pause": arguments.flag("pause")}
    sys.stdout.write(session.call("POST", f"/volumes/{quote(volume)}/{what}", query)["Name"] + "\n")
    return 0
