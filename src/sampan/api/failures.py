"""An error as the API tells it: Docker's `{"message": …}`, with the remedy beside it, and the status of its kind."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import stat
from typing import Any

from sampan.api.answer import Answer
from sampan.api.call import encode, nothing, reply
from sampan.errors import Kind, SampanError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAKE_ROOM = "make room where the data root is, for example with `sampan image prune`"

log = logging.getLogger("sampan.api")


def answer(error: BaseException) -> Answer:
    """The answer for an error."""
    if isinstance(error, SampanError) and error.kind is Kind.NOT_MODIFIED:
        return nothing(304)
    sentence, remedy = told(error)
    document: dict[str, Any] = {"message": sentence}
    if remedy:
        document["remedy"] = remedy
    return reply(document, error.kind.http_status if isinstance(error, SampanError) else 500)


def failure_line(error: Exception) -> bytes:
    """The last line of a stream of JSON that had begun well; the remedy is beyond Docker's."""
    sentence, remedy = told(error)
    return encode({"errorDetail": {"message": sentence, "remedy": remedy}, "error": sentence})


def told(error: BaseException) -> tuple[str, str]:
    """What is said of an error, and its remedy. One that is nobody's sentence is a fault of ours: logged whole."""
    if isinstance(error, SampanError):
        return printable(str(error)), printable(error.remedy)
    if isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error):
        return "cannot record it: No space left on device", _MAKE_ROOM
    if isinstance(error, OSError) and error.errno in _FULL:
        return printable(f"cannot write {error.filename or 'to the disk'}: {error.strerror}"), _MAKE_ROOM
    log.error("a request failed in a way that was not foreseen", exc_info=error)
    sentence = printable(f"internal error: {type(error).__name__}: {error}")
    return sentence, printable(f"this is a fault of sampan's own; {log_place()} has the whole of it")


def printable(text: str) -> str:
    """The text with what is no Unicode (bytes of a path, PEP 383) shown as escapes, as JSON has no place for it."""
    return text.encode("utf-8", "backslashreplace").decode()


def log_place() -> str:
    """Where this daemon's log goes: the file that its standard error is, or how to find it."""
    try:
        status = os.fstat(2)
        if stat.S_ISREG(status.st_mode) and status.st_nlink:
            return os.readlink("/proc/self/fd/2")
    except OSError:
        pass
    return "the daemon's log (journalctl -u sampand, or where its standard error goes)"
