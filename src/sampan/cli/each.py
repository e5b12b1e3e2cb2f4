"""Doing one thing to each of several containers: its name is printed when it is done, a failure is said and counts."""

from __future__ import annotations

import sys

from sampan.client.failure import ApiError, ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.client.session import Query, Session


def each(
    session: Session,
    method: str,
    names: Sequence[str],
    path: str,
    query: Query | None = None,
    *,
    pardoned: type[ApiError] | None = None,
) -> int:
    """Ask `method` of `path`, whose {} is the name, for all names at once.

    The exit code is 1 when one failed, unless in the way that is `pardoned`, which is said all the same.
    """
    from sampan.client.session import quote

    code = 0
    answers = session.call_all(method, [path.replace("{}", quote(name)) for name in names], query)
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, ClientError):
            complain(answer)
            code = code if pardoned is not None and isinstance(answer, pardoned) else 1
        else:
            sys.stdout.write(name + "\n")
    return code


def complain(error: Exception) -> None:
    """Say what failed, and go on."""
    from sampan.cli.problem import say, sentence_of

    say(sentence_of(error), getattr(error, "remedy", ""))
