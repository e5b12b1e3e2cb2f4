"""Archives that the daemon sends: to a file, whole or not at all, or to standard output."""

from __future__ import annotations

import posix

from sampan.cli.grammar import Failure
from sampan.cli.relay import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.client.session import Query, Session


def write_archive(session: Session, path: str, query: Query | None, output: str) -> int:
    """Copy what GET `path` answers to the file `output`, or to standard output."""
    if not output and posix.isatty(1):
        raise Failure("a tar archive is nothing for a terminal", remedy="name a file with -o, or redirect the output")
    response = session.request("GET", path, query)
    if not output:
        for data in response.chunks():
            write_all(1, data)
        return 0
    part = f"{output}.part"
    try:
        with open(part, "wb") as file:
            for data in response.chunks():
                file.write(data)
        posix.rename(part, output)
    except BaseException:
        try:  # noqa: SIM105 - contextlib costs milliseconds
            posix.unlink(part)
        except OSError:
            pass
        raise
    return 0
