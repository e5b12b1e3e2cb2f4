"""What can go wrong, said once: an error has a kind, a sentence and a remedy.

The kind decides the HTTP status that a client gets and the exit code that a shell gets. The sentence says what
happened, naming the path and the value; the remedy says what the reader can do, and may be empty. Nothing here knows
of HTTP servers, terminals or containers.
"""

from __future__ import annotations

import enum


class Kind(enum.Enum):
    """Each kind of error: HTTP status as in moby's errdefs, and the exit code of the command line."""

    INVALID = (400, 125)
    UNAUTHORIZED = (401, 125)
    FORBIDDEN = (403, 125)
    NOT_FOUND = (404, 125)
    CONFLICT = (409, 125)
    NOT_MODIFIED = (304, 0)
    NOT_EXECUTABLE = (400, 126)
    COMMAND_NOT_FOUND = (400, 127)
    SYSTEM = (500, 125)
    NOT_IMPLEMENTED = (501, 125)
    UNAVAILABLE = (503, 125)

    @property
    def http_status(self) -> int:
        """The HTTP status code of this kind."""
        return self.value[0]

    @property
    def exit_code(self) -> int:
        """The exit code of a command that fails with this kind."""
        return self.value[1]


class SampanError(Exception):
    """The base of every error that a user is meant to read.

    `str(error)` is the sentence alone, lower case and without a full stop; `error.remedy` may be empty. `place` says
    where in a file of the user's it went wrong ("Dockerfile:3"), when that was being carried out.
    """

    kind = Kind.SYSTEM

    def __init__(self, sentence: str, *, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.place = ""

    def say(self, sentence: str) -> None:
        """Have it say another sentence, for somebody who knows more of what was done than whoever raised it."""
        self.sentence = sentence
        self.args = (sentence,)


def reason_of(error: Exception) -> str:
    """What a sentence can end with: the words of `error`; of an OSError the path and the kernel's words, no number."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no UTF-8"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    words = as_an_end(error.strerror)
    return f"{error.filename}: {words}" if error.filename else words


def as_an_end(sentence: str) -> str:
    """Somebody else's sentence as the end of one of ours: with a small letter, unless an abbreviation begins it."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


class InvalidArgument(SampanError):
    """The request itself is wrong and stays wrong."""

    kind = Kind.INVALID


class Unauthorized(SampanError):
    """Credentials are missing or were refused."""

    kind = Kind.UNAUTHORIZED


class Forbidden(SampanError):
    """The request is understood and refused."""

    kind = Kind.FORBIDDEN


class NotFound(SampanError):
    """What the request names does not exist."""

    kind = Kind.NOT_FOUND


class Conflict(SampanError):
    """The request clashes with the present state."""

    kind = Kind.CONFLICT


class NotModified(SampanError):
    """What the request asks for is already so."""

    kind = Kind.NOT_MODIFIED


class CommandNotExecutable(SampanError):
    """The program exists but cannot be executed (EACCES, ENOEXEC, a directory)."""

    kind = Kind.NOT_EXECUTABLE


class CommandNotFound(SampanError):
    """The program does not exist inside the root file system."""

    kind = Kind.COMMAND_NOT_FOUND


class SystemFailure(SampanError):
    """The kernel or the disk failed us; the sentence names the step, the path and the errno."""

    kind = Kind.SYSTEM


class NotImplementedHere(SampanError):
    """sampan, or this host's kernel, cannot do it; the remedy says what to do instead."""

    kind = Kind.NOT_IMPLEMENTED


class Unavailable(SampanError):
    """Right now it cannot be done; later it may."""

    kind = Kind.UNAVAILABLE


_CLASSES: dict[Kind, type[SampanError]] = {
    error.kind: error
    for error in (
        InvalidArgument,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        NotModified,
        CommandNotExecutable,
        CommandNotFound,
        SystemFailure,
        NotImplementedHere,
        Unavailable,
    )
}


def of_kind(kind: Kind, sentence: str, *, remedy: str = "") -> SampanError:
    """The error of this kind, as when it crossed a process boundary as plain words."""
    return _CLASSES[kind](sentence, remedy=remedy)
