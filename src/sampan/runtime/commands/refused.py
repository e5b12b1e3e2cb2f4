"""`checkpoint` and `restore`: verbs that other runtimes have, refused by name."""

from __future__ import annotations

from sampan.errors import NotImplementedHere
from sampan.runtime.commands.options import Words
from sampan.runtime.commands.verb import Command, Verb


def _refuse(_command: Command, _words: Words) -> int:
    raise NotImplementedHere(
        "checkpoint and restore are not supported", remedy="pause and resume keep a container's state in memory"
    )


VERBS = {
    "checkpoint": Verb(_refuse, "<container-id>", mixed=False),
    "restore": Verb(_refuse, "<container-id>", mixed=False),
}
