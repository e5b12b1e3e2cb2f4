"""Archives that the daemon sends: to a file, whole or not at all, or to standard output."""

from __future__ import annotations

import posix
import stat

from sampan.cli.grammar import Failure
from sampan.cli.relay import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.client.session import Query, Session


def write_archive(session: Session, path: str, query: Query | None, output: str) -> int:
    """Copy what GET `path` answers to the file `output`, or to standard output."""
    if not output and posix.isatty(1):
        raise Failure("a tar archive is nothing for a terminal", remedy="name a file with -o, or redirect the output")
    response = session.request("GET", path, query)
    try:
        if output:
            try:
                _to_file(response.chunks(), output)
            except OSError as error:
                error.filename = output  # also of a disk that is full, and not of the part: what was asked for is told
                raise
        else:
            for data in response.chunks():
                write_all(1, data)
    finally:
        response.close()  # or else the daemon would wait for it to be read, and what is asked next for the daemon
    return 0


def _to_file(chunks: Iterable[bytes], output: str) -> None:
    """Write it whole or not at all; into a device or a pipe as it comes, which stays there."""
    if _is_there_and_no_file(output):
        with open(output, "wb") as file:
            file.writelines(chunks)
        return
    part = f"{output}.part"
    try:
        with open(part, "wb") as file:
            file.writelines(chunks)
        posix.rename(part, output)
    except BaseException:
        try:  # noqa: SIM105 - contextlib costs milliseconds
            posix.unlink(part)
        except OSError:
            pass
        raise


def _is_there_and_no_file(path: str) -> bool:
    try:
        return not stat.S_ISREG(posix.stat(path).st_mode)
    except OSError:
        return False
