"""Progress on a terminal: bars where rich is installed, lines where it is not or where there is no terminal."""

from __future__ import annotations

import importlib.util
import os
import pty
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from tests.cli.conftest import PROGRAM
from tests.pseudo_terminal import read_to_the_end

if TYPE_CHECKING:
    import socket

    from tests.cli.conftest import Command, FakeDaemon, Request

MESSAGES = (
    b'{"status":"Pulling from library/app","id":"v1"}\n'
    b'{"status":"Pulling fs layer","progressDetail":{},"id":"aaaaaaaaaaaa"}\n'
    b'{"status":"Downloading","progressDetail":{"current":500000,"total":2000000},"id":"aaaaaaaaaaaa"}\n'
    b'{"status":"Already exists","progressDetail":{},"id":"bbbbbbbbbbbb"}\n'
    b'{"status":"Pull complete","progressDetail":{"current":2000000,"total":2000000},"id":"aaaaaaaaaaaa"}\n'
)
LAST = b'{"status":"Digest: sha256:1"}\n{"status":"Status: Downloaded newer image for [bold]app:v1"}\n'
WITHOUT_RICH = f"import sys; sys.modules['rich'] = None; {PROGRAM.removeprefix('import sys; ')}"
LINES = [
    "v1: Pulling from library/app",
    "aaaaaaaaaaaa: Pulling fs layer",
    "aaaaaaaaaaaa: Downloading",
    "bbbbbbbbbbbb: Already exists",
    "aaaaaaaaaaaa: Pull complete",
]


def script(fake_daemon: FakeDaemon, last: bytes = LAST, seen: threading.Event | None = None) -> None:
    """A pull that tells the last of it when something was seen."""

    def handle(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(MESSAGES + last), MESSAGES))
        if seen is not None:
            seen.wait(60)
        client.sendall(last)

    fake_daemon.on("POST", "/images/create", handle)


def on_terminal(
    sampan: Command, program: str, *words: str, wanted: str = "", seen: threading.Event | None = None
) -> tuple[int, str]:
    """The exit code, and what was written to the terminal; `seen` is set when what is wanted is there."""

    def look(written: bytes) -> None:
        if seen is not None and wanted.encode() in written:
            seen.set()

    master, slave = pty.openpty()
    environment = {**sampan.environment(), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    argv = [sys.executable, "-I", "-S", "-c", program, *words]
    with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        written = read_to_the_end(master, slave, process, look)
    os.close(slave)
    os.close(master)
    return process.returncode, written.decode()


@pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="rich draws the bars")
def test_a_pull_on_a_terminal_shows_a_bar_for_each_layer(fake_daemon: FakeDaemon, sampan: Command) -> None:
    seen = threading.Event()
    script(fake_daemon, seen=seen)
    code, written = on_terminal(sampan, PROGRAM, "pull", "app:v1", wanted="━", seen=seen)
    assert (code, seen.is_set()) == (0, True)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)
    frame = text[text.rindex("aaaaaaaaaaaa") :]
    assert re.search(r"aaaaaaaaaaaa Pull complete +━+ 2\.0/2\.0 MB", frame), text
    assert re.search(r"bbbbbbbbbbbb Already exists +━+ *\r?\n", frame), text
    assert "v1: Pulling from library/app\r\n" in text
    assert "Status: Downloaded newer image for [bold]app:v1\r\n" in text
    assert "\x1b[?25h" in written, "the cursor is hidden"


@pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="rich draws the bars")
def test_a_failure_is_told_below_the_bars(fake_daemon: FakeDaemon, sampan: Command) -> None:
    seen = threading.Event()
    script(fake_daemon, b'{"errorDetail":{"message":"no space","remedy":"make some"},"error":"no space"}\n', seen)
    code, written = on_terminal(sampan, PROGRAM, "pull", "app:v1", wanted="━", seen=seen)
    assert code != 0
    assert "try: make some" in written
    assert written.index("\x1b[?25h") < written.index("sampan: no space"), "the cursor was still hidden"


def test_without_rich_a_terminal_gets_lines(fake_daemon: FakeDaemon, sampan: Command) -> None:
    seen = threading.Event()
    script(fake_daemon, seen=seen)
    code, written = on_terminal(sampan, WITHOUT_RICH, "pull", "app:v1", wanted=LINES[-1], seen=seen)
    assert (code, written.splitlines()[:5]) == (0, LINES)


def test_without_a_terminal_there_are_lines(fake_daemon: FakeDaemon, sampan: Command) -> None:
    script(fake_daemon)
    done = sampan("pull", "app:v1")
    assert (done.returncode, done.stdout.decode().splitlines()[:5]) == (0, LINES)


def test_a_short_pull_on_a_terminal_is_lines_and_needs_no_rich(fake_daemon: FakeDaemon, sampan: Command) -> None:
    script(fake_daemon)
    for program in (PROGRAM, WITHOUT_RICH):
        code, written = on_terminal(sampan, program, "pull", "app:v1")
        assert (code, "\x1b" in written) == (0, False)
        assert written.splitlines()[:5] == [
            "v1: Pulling from library/app",
            "aaaaaaaaaaaa: Pull complete",
            "bbbbbbbbbbbb: Already exists",
            "Digest: sha256:1",
            "Status: Downloaded newer image for [bold]app:v1",
        ]


def test_a_short_pull_that_fails_shows_how_far_it_came(fake_daemon: FakeDaemon, sampan: Command) -> None:
    script(fake_daemon, b'{"errorDetail":{"message":"no space","remedy":"make some"},"error":"no space"}\n')
    code, written = on_terminal(sampan, PROGRAM, "pull", "app:v1")
    assert code != 0
    assert written.splitlines()[1:4] == [
        "aaaaaaaaaaaa: Pull complete",
        "bbbbbbbbbbbb: Already exists",
        "sampan: no space",
    ]
