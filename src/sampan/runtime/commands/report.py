"""What the command line says to its caller: lines on the standard error, and the log file that engines read.

As runc does it: with `--log FILE` an error is in the file, as text or JSON, and on the standard error as well.
"""

from __future__ import annotations

import os
import sys
import time

from sampan.errors import InvalidArgument
from sampan.runtime.json_text import dumps


class Report:
    """Where messages go; `program` is what the command was called as."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._fd = -1
        self._json = False
        self._debug = False

    def open(self, path: str, form: str, *, debug: bool) -> None:
        """Log to `path` in `form` ("text" or "json"); no path is the standard error. InvalidArgument, OSError."""
        if form not in {"", "text", "json"}:
            raise InvalidArgument(f"unknown log-format {form!r}", remedy="use text or json")
        self._json = form == "json"
        self._debug = debug
        if path.startswith("file:"):
            path = path.removeprefix("file:")
        if path and path != "/dev/stderr":
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def error(self, sentence: str, remedy: str = "") -> None:
        """Why the command fails."""
        if self._fd >= 0:
            self._log("error", sentence)
        elif self._json:
            self._write(2, self._line("error", sentence))
            return
        hint = f" ({remedy})" if remedy else ""
        self._write(2, f"{self._program}: {sentence}{hint}\n")

    def warning(self, sentence: str) -> None:
        """What went wrong without making the command fail."""
        self._log("warning", sentence)

    def debug(self, sentence: str) -> None:
        """What is done, with --debug only."""
        if self._debug:
            self._log("debug", sentence)

    def _log(self, level: str, sentence: str) -> None:
        self._write(self._fd if self._fd >= 0 else 2, self._line(level, sentence))

    def _line(self, level: str, sentence: str) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._json:
            return dumps({"level": level, "msg": sentence, "time": now}) + "\n"
        return f'time="{now}" level={level} msg={dumps(sentence)}\n'

    def _write(self, fd: int, text: str) -> None:
        try:
            os.write(fd, text.encode("utf-8", "replace"))
        except OSError:
            if fd != 2:
                self._write(2, text)


def answer(text: str) -> None:
    """Write a verb's answer to the standard output."""
    content = text.encode("utf-8", "surrogateescape")
    while content:
        content = content[os.write(1, content) :]


def program_name() -> str:
    """What the command was called as: its help and its errors say so, as any program's under another name."""
    return os.path.basename(sys.argv[0]) or "sampan-runtime"
