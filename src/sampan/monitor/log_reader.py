"""Reading json-file logs again, while a monitor writes and rotates them: what `docker logs` is made of.

Synchronous and without waiting: `read` gives what is there, and when following, `fileno` becomes readable when there is
more. Nothing here frames, filters streams or formats times.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from typing import Any, NamedTuple, Self

from sampan.linux.inotify import Change, drain, inotify_add_watch, inotify_init
from sampan.monitor.json_line import time_text
from sampan.monitor.log_part import Part, open_parts

ONE_READ_BYTES = 262144

# A follower that is behind keeps rotated files alive by having them open, up to so many.
_MOST_PARTS = 32
_TIME_MARK = b'"time":"'
_DAMAGES = (ValueError, KeyError, TypeError, AttributeError)


class LogRecord(NamedTuple):
    """One line as it was logged: "stdout" or "stderr", the time as RFC 3339 with up to nine decimals, the text."""

    stream: str
    time: str
    text: str  # with its newline, unless it is a piece of a longer line
    attributes: dict[str, str] | None = None


class LogReader:
    """Reads the log at `path`, oldest line first, from all files that it has been rotated to.

    With `tail` only its last lines, with `since_ns` and `until_ns` (realtime clock) only those of that time. When not
    following it ends with what was there when it was made. No log is an empty log.
    """

    def __init__(
        self,
        path: str,
        *,
        tail: int | None = None,
        since_ns: int = 0,
        until_ns: int = 0,
        follow: bool = False,
    ) -> None:
        self._path = path
        self._since = _comparable(time_text(since_ns)) if since_ns else ""
        self._until = _comparable(time_text(until_ns)) if until_ns else ""
        self._following = follow
        self._over = False
        self._watch = -1
        if follow:
            self._watch = inotify_init()
            inotify_add_watch(self._watch, os.path.dirname(path), Change.MODIFY | Change.CREATE | Change.MOVED_TO)
        self._parts: deque[Part] = deque(open_parts(path))
        if not follow:
            for part in self._parts:
                part.end_here()
        if tail is not None:
            self._skip_to_last(tail)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """A descriptor that is readable when there may be more; call `keep_up` then. Only when following."""
        return self._watch

    @property
    def over(self) -> bool:
        """Whether `read` will never again give anything."""
        return self._over

    def keep_up(self) -> None:
        """Take note of rotations, so that files stay readable for us however slow we are. `read` does it too."""
        if self._watch >= 0:
            drain(self._watch)
        if self._following:
            self._parts.extend(open_parts(self._path, newer_than=self._parts[-1] if self._parts else None))
            while len(self._parts) > _MOST_PARTS:
                self._parts.popleft().close()

    def stop_following(self) -> None:
        """The writer is done: end with what is there now."""
        self.keep_up()
        self._following = False

    def read(self) -> list[LogRecord]:
        """The next records, some hundreds of kilobytes at most; none means none now, or none ever when `over`."""
        self.keep_up()
        while self._parts and not self._over:
            lines = self._parts[0].read_lines(ONE_READ_BYTES)
            if lines:
                if records := self._decode(lines):
                    return records
            elif len(self._parts) > 1:
                self._parts.popleft().close()
            else:
                break
        self._over = self._over or not self._following
        return []

    def close(self) -> None:
        """Close all files; idempotent."""
        while self._parts:
            self._parts.popleft().close()
        if self._watch >= 0:
            os.close(self._watch)
            self._watch = -1
        self._over = True

    def _skip_to_last(self, wanted: int) -> None:
        kept: deque[Part] = deque()
        while self._parts and (wanted or not kept):
            kept.appendleft(self._parts.pop())
            wanted -= kept[0].skip_to_last(wanted)
        for part in self._parts:
            part.close()
        self._parts = kept

    def _decode(self, lines: bytes) -> list[LogRecord]:
        if self._since and _last_time(lines) < self._since:
            return []
        records = _parse(lines)
        if self._since:
            records = [record for record in records if _comparable(record.time) >= self._since]
        if self._until and records and _comparable(records[-1].time) > self._until:
            self._over = True
            records = [record for record in records if _comparable(record.time) <= self._until]
        return records


def _comparable(time: str) -> str:
    """Without the Z, times in UTC compare as text, however many decimals they have."""
    return time.removesuffix("Z")


def _last_time(lines: bytes) -> str:
    """The time of the last line; a text that no time is less than when there is none."""
    start = lines.rfind(_TIME_MARK)
    if start < 0:
        return "~"
    start += len(_TIME_MARK)
    return _comparable(lines[start : lines.find(b'"', start)].decode("ascii", "replace"))


def _parse(lines: bytes) -> list[LogRecord]:
    """All lines in one go; a damaged one among them costs its own record only."""
    text = lines.decode(errors="replace")
    try:
        return _records(json.loads(f"[{text.rstrip().replace('}\n{', '},{')}]"))
    except _DAMAGES:
        pass
    records: list[LogRecord] = []
    for line in text.split("\n"):
        with contextlib.suppress(*_DAMAGES):
            records += _records([json.loads(line)])
    return records


def _records(objects: list[dict[str, Any]]) -> list[LogRecord]:
    return [LogRecord(each.get("stream", ""), each["time"], each.get("log", ""), each.get("attrs")) for each in objects]
