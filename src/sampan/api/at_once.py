"""Small questions that are answered the moment their bytes have come: how their heads are read.

What clients ask most (is anybody there, what is this container) has no body, waits for nothing and comes in one piece.
Such a request is read here when all of it is of the form below and says nothing else: then no parser, no task and no
table of headers is made for it. Any other is aiohttp's, also when it means the same. What is answered is `dispatch`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from aiohttp.http_writer import HttpVersion, HttpVersion10, HttpVersion11

MAX_BYTES = 1024  # of a head; those that are kept are at most so many times `_KEPT`
_KEPT = 64
_LINE = re.compile(rb"(GET|HEAD) ((?:/\w[\w.-]*)+) HTTP/1\.([01])\r\n")
_FIELD = re.compile(rb"([A-Za-z-]+):[ ]?([\x20-\x7e]*)\r\n")
_WITHOUT_MEANING = frozenset({b"host", b"user-agent", b"accept", b"accept-encoding"})  # to what is answered here
_CONNECTION = {b"close": False, b"keep-alive": True}


class Question(NamedTuple):
    """What was asked; `target` is a path of plain words without a query."""

    method: str
    target: str
    http: HttpVersion
    keep_alive: bool


class Said(NamedTuple):
    """A whole answer as it is sent, and whether another request may follow on the connection."""

    content: bytes
    keep_alive: bool


AtOnce = Callable[[bytes], Said | None]


def nothing(data: bytes) -> None:
    """Answers nothing at once (an `AtOnce`)."""
    del data


def read(data: bytes) -> Question | None:
    """The request that `data` is, None when it is not one whole request of this form alone."""
    if len(data) > MAX_BYTES:
        return None
    line = _LINE.match(data)
    if line is None:
        return None
    fields = _fields(data[line.end() :])
    if fields is None:
        return None
    method, target, minor = line.groups()
    is_10 = minor == b"0"
    if not (is_10 or fields.has_host):
        return None
    keep_alive = not is_10 if fields.keep_alive is None else fields.keep_alive
    return Question(method.decode(), target.decode(), HttpVersion10 if is_10 else HttpVersion11, keep_alive)


@dataclass(frozen=True, slots=True)
class _Fields:
    """What the fields say: nothing but what `Connection` may say."""

    has_host: bool
    keep_alive: bool | None


@lru_cache(_KEPT)
def _fields(text: bytes) -> _Fields | None:
    """The fields of a head with the empty line behind them; a client's are the same bytes each time."""
    seen: set[bytes] = set()
    keep_alive = None
    at = 0
    while field := _FIELD.match(text, at):
        at = field.end()
        name, value = field[1].lower(), field[2].strip().lower()
        if name in seen:
            return None
        seen.add(name)
        if name == b"connection" and value in _CONNECTION:
            keep_alive = _CONNECTION[value]
        elif name not in _WITHOUT_MEANING:
            return None
    return _Fields(b"host" in seen, keep_alive) if text[at:] == b"\r\n" else None
