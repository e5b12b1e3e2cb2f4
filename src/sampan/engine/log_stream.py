"""A container's log as its readers want it: streams chosen, framed as Docker frames them, followed to the end.

The reading itself is monitor's; here it meets the event loop, and the end of a run ends who follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from sampan.engine.container import ContainerRecord
from sampan.engine.layout import Layout
from sampan.engine.logs import log_path
from sampan.engine.store import ContainerStore
from sampan.engine.waiting import Waits
from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.monitor.log_reader import LogReader, LogRecord

_JUST_BEGUN_S = 0.05
_MOST_DIGITS = 19  # what fits into Go's int
_HEADER = struct.Struct(">BxxxI")
_NUMBERS = {"stdout": 1, "stderr": 2}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asks for; times by the realtime clock, `tail` None is everything."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since_ns: int | None = None
    until_ns: int | None = None
    tail: int | None = None
    timestamps: bool = False
    details: bool = False
    framed: bool = True  # unless the container has a terminal


def tail_lines(text: str) -> int | None:
    """The `tail` of a query: a number of lines, None for "" and "all", and for what is no number, as Docker does."""
    return int(text) if text.isdecimal() and len(text) < _MOST_DIGITS else None


def readable(record: ContainerRecord, layout: Layout, wanted: Wanted) -> str:
    """The file that is read. Raises InvalidArgument when no stream is wanted, and as `readable_path` does."""
    if not (wanted.stdout or wanted.stderr):
        raise InvalidArgument("you must choose at least one stream", remedy="choose stdout or stderr")
    return readable_path(record, layout)


def readable_path(record: ContainerRecord, layout: Layout) -> str:
    """The file that the container's log is read from. Raises NotImplementedHere when it cannot be read back."""
    path = log_path(layout, record)
    if not path:
        driver = record.config.host.log.driver
        change = "another driver than none" if driver == "none" else "no cache-disabled among its --log-opt"
        raise NotImplementedHere("configured logging driver does not support reading", remedy=f"run it with {change}")
    return path


async def stream(
    record: ContainerRecord, layout: Layout, store: ContainerStore, waits: Waits, wanted: Wanted
) -> AsyncIterator[bytes]:
    """The log in pieces, multiplexed unless the container has a terminal.

    Following ends when the run ends. Raises as `readable` does.
    """
    path = readable(record, layout, wanted)
    follow = wanted.follow and record.running is not None
    if not follow:
        await let_end(record, store, waits)
    reader = LogReader(
        path,
        tail=wanted.tail,
        since_ns=wanted.since_ns or 0,
        until_ns=wanted.until_ns or 0,
        follow=follow,
    )
    ended = waits.exit(record.id) if follow else None
    try:
        current = store.get(record.id)
        if follow and (current is None or current.running is None):
            reader.stop_following()
        async for records in _batches(reader, ended):
            piece = _render(records, wanted, framed=wanted.framed and not record.config.process.tty)
            if piece:
                yield piece
    finally:
        if ended is not None:
            ended.cancel()
        reader.close()


async def let_end(record: ContainerRecord, store: ContainerStore, waits: Waits) -> None:
    """Let a run that has only just begun come to its end, if that is soon.

    Docker answers a start some 50 ms after the program has begun, and who reads the log then finds what a short one
    wrote. Here a start is answered at once.
    """
    if record.running is None:
        return
    left_s = _JUST_BEGUN_S - (time.time_ns() - record.running.started_at_ns) / 1e9
    if not 0 < left_s <= _JUST_BEGUN_S:
        return
    ended = waits.exit(record.id)
    try:
        current = store.get(record.id)
        if current is not None and current.running == record.running:
            await asyncio.wait([ended], timeout=left_s)
    finally:
        ended.cancel()


async def _batches(reader: LogReader, ended: asyncio.Future[Any] | None) -> AsyncIterator[list[LogRecord]]:
    while True:
        records = reader.read()
        if records:
            yield records
            await asyncio.sleep(0)
            continue
        if reader.over:
            return
        if ended is not None and ended.done():
            reader.stop_following()
            continue
        await _more(reader, ended)


async def _more(reader: LogReader, ended: asyncio.Future[Any] | None) -> None:
    """Wait until the log may have grown, or the run has ended."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(reader.fileno(), tell)
    try:
        waiting: list[asyncio.Future[Any]] = [readable]
        await asyncio.wait([*waiting, ended] if ended else waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(reader.fileno())
        with contextlib.suppress(asyncio.CancelledError):
            readable.cancel()


def _render(records: list[LogRecord], wanted: Wanted, *, framed: bool) -> bytes:
    pieces = []
    for record in records:
        if not (wanted.stdout if record.stream == "stdout" else wanted.stderr):
            continue
        text = record.text
        if wanted.details:
            attributes = sorted((record.attributes or {}).items())
            shown = ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in attributes)
            text = f"{shown} {text}"
        if wanted.timestamps:
            text = f"{full_time(record.time)} {text}"
        content = text.encode("utf-8", "surrogateescape")
        if framed:
            pieces.append(_HEADER.pack(_NUMBERS[record.stream], len(content)))
        pieces.append(content)
    return b"".join(pieces)


def full_time(text: str) -> str:
    """A logged time with all nine decimals, as Docker prints it in front of lines."""
    moment, dot, rest = text.removesuffix("Z").partition(".")
    return f"{moment}.{rest.ljust(9, '0') if dot else '000000000'}Z"
