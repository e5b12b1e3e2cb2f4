"""Lines of output as messages of journald and of syslog servers, and the log that sends them.

The forms are those that Docker's drivers write: journald's native protocol (systemd's NATIVE_PROTOCOL document), RFC
3164, RFC 5424, and the form of a local syslog. How messages travel is `log_sender`'s matter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

from sampan.monitor.client import STDERR, STDOUT
from sampan.monitor.json_line import MAX_LINE_BYTES, time_text
from sampan.monitor.log_plan import SendPlan
from sampan.monitor.log_sender import Sender
from sampan.monitor.loop import Loop

_ERROR, _INFORMATION = 3, 6  # syslog(3)


class Form(Protocol):
    """How a line becomes a message."""

    def message(self, stream: int, line: bytes, at_ns: int, *, is_partial: bool) -> bytes:
        """The message of a line, which has no newline; a partial one goes on in the next."""


class LineCutter:
    """Cuts one stream into lines; one that is longer than MAX_LINE_BYTES comes in pieces."""

    def __init__(self) -> None:
        self._begun = b""

    def cut(self, chunk: bytes) -> list[tuple[bytes, bool]]:
        """(line, whether it goes on) for all that ends in this chunk."""
        *whole, self._begun = (self._begun + chunk).split(b"\n")
        lines = [piece for line in whole for piece in _pieces(line, is_open=False)]
        *full, (self._begun, _) = _pieces(self._begun, is_open=True)
        return lines + full

    def finish(self) -> list[tuple[bytes, bool]]:
        """What has not ended with a newline."""
        begun, self._begun = self._begun, b""
        return [(begun, False)] if begun else []


def _pieces(line: bytes, *, is_open: bool) -> list[tuple[bytes, bool]]:
    most = MAX_LINE_BYTES
    if len(line) < most or (len(line) == most and not is_open):
        return [(line, False)]
    starts = range(0, len(line) + 1 if is_open else len(line), most)
    return [(line[start : start + most], start + most < len(line) or is_open) for start in starts]


class JournalForm:
    """journald's native protocol: a field a line, or with its length before it when the value has newlines."""

    def __init__(self, plan: SendPlan) -> None:
        self._fixed = b"".join(field(name, value.encode(errors="surrogateescape")) for name, value in plan.fields)

    def message(self, stream: int, line: bytes, at_ns: int, *, is_partial: bool) -> bytes:
        """One datagram."""
        priority = _ERROR if stream == STDERR else _INFORMATION
        varying = field("PRIORITY", b"%d" % priority) + field("SYSLOG_TIMESTAMP", time_text(at_ns).encode())
        if is_partial:
            varying += field("CONTAINER_PARTIAL_MESSAGE", b"true")
        return field("MESSAGE", line) + varying + self._fixed


def field(name: str, value: bytes) -> bytes:
    """One field of journald's native protocol."""
    if b"\n" in value:
        return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


class SyslogForm:
    """The forms of syslog: "" as a local syslog takes it, "rfc3164", "rfc5424" and "rfc5424micro"."""

    def __init__(self, plan: SendPlan) -> None:
        self._plan = plan
        # octet counting is what RFC 5425 asks of RFC 5424 over TLS
        self._is_counted = plan.form.startswith("rfc5424") and plan.address.startswith("tcp+tls:")

    def message(self, stream: int, line: bytes, at_ns: int, *, is_partial: bool) -> bytes:
        """One message with the newline that ends it on a stream."""
        del is_partial
        made = self._head(stream, at_ns).encode(errors="surrogateescape") + line + b"\n"
        return b"%d %s" % (len(made), made) if self._is_counted else made

    def _head(self, stream: int, at_ns: int) -> str:
        plan, pid, host = self._plan, os.getpid(), os.uname().nodename
        number = plan.facility << 3 | (_ERROR if stream == STDERR else _INFORMATION)
        local = time.localtime(at_ns // 10**9)
        match plan.form:
            case "rfc5424" | "rfc5424micro":
                micro = f".{at_ns // 1000 % 10**6:06d}" if plan.form.endswith("micro") else ""
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", local) + micro + _zone(local)
                return f"<{number}>1 {stamp} {host} {plan.tag} {pid} {plan.tag} - "
            case "rfc3164":
                return f"<{number}>{_stamp(local)} {host} {plan.tag}[{pid}]: "
            case _:
                return f"<{number}>{_stamp(local)} {plan.tag}[{pid}]: "


def _stamp(local: time.struct_time) -> str:
    """RFC 3164's time, its names in English whatever the locale is."""
    month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[local.tm_mon - 1]
    return f"{month} {local.tm_mday:2d} {local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}"


def _zone(local: time.struct_time) -> str:
    minutes = local.tm_gmtoff // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if minutes else "Z"


class SentLog:
    """A log whose lines are sent away."""

    def __init__(
        self, plan: SendPlan, loop: Loop, on_trouble: Callable[[str], None], on_drained: Callable[[], None]
    ) -> None:
        self._form: Form = JournalForm(plan) if plan.form == "journald" else SyslogForm(plan)
        self._cutters = {STDOUT: LineCutter(), STDERR: LineCutter()}
        self._sender = Sender(loop, plan, self._lost, on_trouble)
        self._on_drained = on_drained

    @property
    def drained(self) -> bool:
        """Whether nothing waits to be sent any more, after `close`."""
        return self._sender.drained

    def write(self, stream: int, chunk: bytes) -> None:
        """Send the lines that end in this chunk."""
        self._offer(stream, self._cutters[stream].cut(chunk))

    def close(self) -> None:
        """Send what has not ended with a newline too."""
        for stream, cutter in self._cutters.items():
            self._offer(stream, cutter.finish())
        self._sender.close(self._on_drained)

    def _offer(self, stream: int, lines: list[tuple[bytes, bool]]) -> None:
        now = time.time_ns()
        for line, is_partial in lines:
            self._sender.offer(self._form.message(stream, line, now, is_partial=is_partial))

    def _lost(self, count: int) -> bytes:
        text = f"sampan: {count} lines were dropped here, as they came faster than they could be sent"
        return self._form.message(STDERR, text.encode(), time.time_ns(), is_partial=False)
