"""What a command says when it fails, on standard error: the sentence, and the remedy on a line of its own."""

from __future__ import annotations

import errno
import sys

from sampan.cli.grammar import Failure, UsageError
from sampan.client.failure import ApiError, ClientError, NotFoundError
from sampan.client.transport import ConnectionLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_STAYING = frozenset({"attach", "exec", "logs", "restart", "run", "start", "stop", "wait"})  # with a container


def sentence_of(error: Exception) -> str:
    """What is said of `error`; what the daemon refused begins as Docker's clients begin it."""
    if isinstance(error, ApiError):
        return f"Error response from daemon: {error.sentence}"
    if isinstance(error, (Failure, ClientError)):
        return error.sentence
    if isinstance(error, OSError) and error.strerror:
        of_output = error.errno in FULL or error.errno == errno.EBADF
        where = '""' if error.filename == "" else error.filename or ("the output" if of_output else "")
        return f"{where}: {error.strerror.lower()}" if where else error.strerror.lower()
    return str(error) or type(error).__name__


def say(sentence: str, remedy: str = "") -> None:
    """One error on standard error."""
    text = f"sampan: {sentence}\n"
    if remedy:
        text += f"  try: {remedy}\n"
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")  # bytes of names as \\xff
    try:  # noqa: SIM105 - contextlib costs milliseconds
        sys.stdout.flush()
    except OSError:
        pass  # which may be what is to be said
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass  # there is nobody to be told; the exit code tells


def report(error: Exception, name: Sequence[str]) -> int:
    """Say what went wrong in the command `name` and return the exit code for it."""
    if sentence := sentence_of(error):
        say(sentence, _remedy_of(error, name))
    if isinstance(error, Failure):
        return error.code
    if isinstance(error, ClientError) and name and name[-1] == "run":
        return exit_code_of_start(error) if isinstance(error, ApiError) else 125
    return 1


def _remedy_of(error: Exception, name: Sequence[str]) -> str:
    """What helps against `error`, which says so itself or not, in the command `name`; "" where nothing is known to."""
    remedy: str = getattr(error, "remedy", "")
    if isinstance(error, OSError):
        return remedy or _remedy_of_system(error)
    if isinstance(error, UsageError) and not remedy:
        return f"sampan {' '.join([*name, '--help'])}"
    if isinstance(error, NotFoundError) and not remedy:
        from sampan.cli.only_here import remedy_for

        return remedy_for(name)
    if isinstance(error, ConnectionLost) and name[-1:] and name[-1] in _STAYING:
        return "containers go on without their daemon: look with `sampan ps -a` when it is there again"
    if isinstance(error, ApiError):
        return remedy_of_option(error.sentence, "container" if name[-1:] == ["exec"] else "image") or remedy
    return remedy


def _remedy_of_system(error: OSError) -> str:
    if error.errno in FULL:
        return "make room on the file system that it goes to"
    if error.errno == errno.EBADF:
        return "leave standard output open, or redirect it (> /dev/null)"
    if error.filename:
        from sampan.cli.paths import remedy_for_path

        return remedy_for_path(error)
    return ""


def remedy_of_option(sentence: str, what: str) -> str:
    """What helps where an option was taken for the program, because it stands behind `what`; "" for other failures."""
    return f"write options before the {what}: what stands behind it is the command" if 'exec: "-' in sentence else ""


def exit_code_of_start(error: ApiError) -> int:
    """As a shell would say it: 127 when the program is not there, 126 when it cannot be executed, else 125.

    Docker's daemon tells by its sentence only; ours by the same sentences.
    """
    sentence = error.sentence.lower()
    if any(
        part in sentence for part in ("executable file not found", "no such file or directory", "system cannot find")
    ):
        return 127
    if "permission denied" in sentence or "exec format error" in sentence or "is a directory" in sentence:
        return 126
    return 125
