"""`sampan rmi`: remove images."""

from __future__ import annotations

import sys

from sampan.cli.each import complain
from sampan.client.failure import ApiError, NamelessError, NotFoundError
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Remove images"
USAGE = ("[OPTIONS] IMAGE [IMAGE...]",)
WORDS = (1, -1)
OPTIONS = (
    ("force", "f", "bool", "", "Remove it although something hangs on it"),
    ("no-prune", "", "bool", "", "Keep parents that have no name"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Remove one after the other, and print what became of each."""
    force = arguments.flag("force")
    query = {"force": force, "noprune": arguments.flag("no-prune")}
    code = 0
    for name in arguments.words:
        try:
            removed = session.call("DELETE", f"/images/{quote(name)}", query) or []
        except (ApiError, NamelessError) as error:
            complain(error)
            if not (force and isinstance(error, NotFoundError)):
                code = 1
            continue
        for item in removed:
            sys.stdout.write("".join(f"{verb}: {what}\n" for verb, what in item.items()))
    return code
