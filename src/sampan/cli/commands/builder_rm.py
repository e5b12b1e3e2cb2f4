"""`sampan builder rm`: remove caches that RUN --mount=type=cache made."""

from __future__ import annotations

import sys

from sampan.cli.each import complain
from sampan.client.failure import ApiError
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Remove caches of RUN --mount=type=cache"
USAGE = ("CACHE [CACHE...]",)
WORDS = (1, -1)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Remove all of them, by the mount's name or by id; 1 when one could not be."""
    code = 0
    for name in arguments.words:
        one_part = name.replace("/", "%2F")  # a mount's path is one part of the request's
        try:
            session.call("DELETE", f"/build/caches/{quote(one_part)}")
        except ApiError as error:
            complain(error)
            code = 1
        else:
            sys.stdout.write(name + "\n")
    return code
