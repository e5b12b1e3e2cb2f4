"""Where a container's output is kept: the drivers that a LogPlan may name.

A driver takes chunks as they were read; how lines look is `json_line`'s matter, how files rotate `log_file`'s, and how
they are read again `log_reader`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from sampan.errors import SystemFailure
from sampan.monitor.client import STDERR, STDOUT
from sampan.monitor.json_line import KEEPING, REPLACING, LineMaker
from sampan.monitor.log_file import LogFile
from sampan.monitor.log_plan import LogPlan, SendPlan
from sampan.monitor.loop import Loop


class Log(Protocol):
    """A log driver."""

    @property
    def drained(self) -> bool:
        """Whether nothing is on its way any more, after `close`."""

    def write(self, stream: int, chunk: bytes) -> None:
        """Keep a chunk of STDOUT or STDERR."""

    def close(self) -> None:
        """There is no more: keep also what has not ended with a newline."""


class NoLog:
    """Keeps nothing."""

    drained = True

    def write(self, stream: int, chunk: bytes) -> None:
        """Drop it."""

    def close(self) -> None:
        """Do nothing."""


class JsonFileLog:
    """Docker's json-file: a JSON object a line. All lines of a chunk have the time at which it came.

    Other drivers keep the same, but that bytes which are no UTF-8 are read back as they were, as Docker has it. Times
    never go back within a run of a container, also when the clock is set back, so that a reader may skip.
    """

    drained = True

    def __init__(self, plan: LogPlan, loop: Loop, on_trouble: Callable[[str], None]) -> None:
        errors = REPLACING if plan.driver == "json-file" else KEEPING
        self._makers = {
            STDOUT: LineMaker("stdout", plan.attributes, errors),
            STDERR: LineMaker("stderr", plan.attributes, errors),
        }
        self._last_ns = 0
        self._file = LogFile(
            loop,
            plan.path,
            max_size_bytes=plan.max_size_bytes,
            max_files=plan.max_files,
            compress=plan.compress,
            on_trouble=on_trouble,
        )

    def write(self, stream: int, chunk: bytes) -> None:
        """Append the lines that end in this chunk."""
        if lines := self._makers[stream].encode(chunk, self._now_ns()):
            self._file.append(lines)

    def close(self) -> None:
        """Append what has not ended with a newline."""
        for maker in self._makers.values():
            if line := maker.finish(self._now_ns()):
                self._file.append(line)
        self._file.close()

    def _now_ns(self) -> int:
        self._last_ns = max(self._last_ns, time.time_ns())
        return self._last_ns


class BothLogs:
    """One that is sent, and one that is kept so that it can be read again."""

    def __init__(self, sent: Log, kept: Log) -> None:
        self._sent, self._kept = sent, kept

    @property
    def drained(self) -> bool:
        """Whether both are."""
        return self._sent.drained and self._kept.drained

    def write(self, stream: int, chunk: bytes) -> None:
        """Keep it, and send it."""
        self._kept.write(stream, chunk)
        self._sent.write(stream, chunk)

    def close(self) -> None:
        """Close both."""
        self._kept.close()
        self._sent.close()


def open_log(
    plan: LogPlan, loop: Loop, on_trouble: Callable[[str], None], on_drained: Callable[[], None] = lambda: None
) -> Log:
    """The log of `plan`; `on_drained` is called some time after `close`, unless it is `drained` at once.

    OSError when its file cannot be opened or its certificates not used; ValueError for a driver that there is not.
    """
    match plan:
        case LogPlan(driver="json-file" | "local"):
            return JsonFileLog(plan, loop, on_trouble)
        case LogPlan(driver="none"):
            return NoLog()
        case LogPlan(driver="journald" | "syslog", sending=SendPlan() as sending):
            return _open_sent(plan, sending, loop, on_trouble, on_drained)
        case _:
            raise ValueError(f"there is no log driver {plan.driver!r}")


def _open_sent(
    plan: LogPlan, sending: SendPlan, loop: Loop, on_trouble: Callable[[str], None], on_drained: Callable[[], None]
) -> Log:
    from sampan.monitor.log_messages import SentLog  # who keeps files alone needs none of it

    try:
        sent = SentLog(sending, loop, on_trouble, on_drained)
    except OSError as error:
        raise SystemFailure(
            f"failed to initialize logging driver: {_refusal(plan.driver, error)}",
            remedy="have the log server run and its files in place, or choose --log-driver local",
        ) from error
    return BothLogs(sent, JsonFileLog(plan, loop, on_trouble)) if plan.path else sent


def _refusal(driver: str, error: OSError) -> str:
    """What is wrong, in the words of Docker's drivers: its clients look for "no such file" in errors of a start."""
    is_deserted = isinstance(error, FileNotFoundError | ConnectionRefusedError)
    place = f"{error.filename}: {'nobody listens there' if is_deserted else error.strerror}"
    if driver == "journald":
        return f"journald is not enabled on this host ({place})"
    if error.filename:
        return f"Unix syslog delivery error ({place})"
    what = "one of them is missing" if isinstance(error, FileNotFoundError) else error.strerror or error
    return f"cannot use the TLS files: {what}"
