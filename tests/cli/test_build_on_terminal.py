"""A build on a terminal: lines while it is short, drawn by rich once it takes longer, or plain lines without rich."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import PROGRAM
from tests.pseudo_terminal import read_to_the_end

from sampan.client.transport import Connection, Response

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Handler, Request

IMAGE = "sha256:" + "ab" * 32
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"  # the cursor, while rich draws
WITHOUT_RICH = f"import sys; sys.modules['rich'] = None; {PROGRAM.removeprefix('import sys; ')}"
INTERRUPTED = f"""
import signal, site
site.main()
from rich.console import Console
show_cursor = Console.show_cursor
def show(console, is_shown=True):
    if is_shown and AT_THE_END:
        signal.raise_signal(signal.SIGINT)
    show_cursor(console, is_shown)
    if not is_shown and not AT_THE_END:
        signal.raise_signal(signal.SIGINT)
Console.show_cursor = show
{PROGRAM}"""
needs_rich = pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="rich draws what goes on")


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"build": {"stage": 0, "name": "", "kind": kind, **fields}}


FIRST = (
    event("step", number=1, total=2, text="FROM base"),
    event("step-end", image="sha256:1"),
    event("step", number=2, total=2, text="RUN make"),
    event("output", text="hel", error=False),
)
REST = (event("output", text="lo\n", error=False), event("step-end", image=IMAGE), {"aux": {"ID": IMAGE}})
FOUND = (*FIRST[:3], event("cached"), event("step-end", image=IMAGE), {"aux": {"ID": IMAGE}})
FAILED = (*FIRST, REST[0], event("failed"), {"errorDetail": {"message": "it failed"}, "error": "it failed"})


class Seen:
    """What is on the terminal so far; tells when it is what somebody waits for."""

    def __init__(self, wanted: bytes = b"") -> None:
        self.wanted = wanted
        self.is_there = threading.Event()

    def look(self, written: bytes) -> None:
        if self.wanted in written:
            self.is_there.set()


def told(*messages: dict[str, Any], wait: Seen | None = None, then: tuple[dict[str, Any], ...] = ()) -> Handler:
    """A build that tells these messages, and others when something is seen."""

    def handle(_: Request, client: socket.socket) -> None:
        first, end = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(messages), b"0\r\n\r\n"
        if wait is None:
            client.sendall(first + end)  # at once, so that nobody waits in between, however busy the machine
            return
        client.sendall(first)
        wait.is_there.wait(60)
        client.sendall(chunk(then) + end)

    return handle


def chunk(messages: tuple[dict[str, Any], ...]) -> bytes:
    body = b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)
    return b"%x\r\n%b\r\n" % (len(body), body)


@pytest.fixture
def builds(fake_daemon: FakeDaemon) -> FakeDaemon:
    fake_daemon.on("GET", "/images/.*", fake_daemon.reply(200, []))
    fake_daemon.on("GET", "/images/.*/diet", fake_daemon.reply(200, {"Savings": []}))
    return fake_daemon


def on_terminal(sampan: Command, seen: Seen | None = None, program: str = PROGRAM, **more: str) -> tuple[int, str]:
    """Build; the exit code, and what was written to the terminal."""
    master, slave = pty.openpty()
    environment = {**sampan.environment(), "TERM": "xterm", **more}
    context = sampan.folder / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text("FROM base\nRUN make\n")
    argv = [sys.executable, "-I", "-S", "-c", program, "build", str(context)]
    with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        written = read_to_the_end(master, slave, process, (seen or Seen()).look)
    os.close(slave)
    os.close(master)
    return process.returncode, written.decode()


def plain(written: str) -> list[str]:
    """The lines without colors, T for each time."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)
    return re.sub(r"\d+\.\d+(?=s| )", "T", text).splitlines()


def test_a_short_build_is_lines_and_needs_no_rich(builds: FakeDaemon, sampan: Command) -> None:
    builds.on("POST", "/build", told(*FOUND))
    for program in (PROGRAM, WITHOUT_RICH):
        code, written = on_terminal(sampan, program=program)
        assert (code, HIDDEN in written) == (0, False)
        assert plain(written)[:3] == [
            "✓ [1/2] FROM base Ts",
            "✓ [2/2] RUN make cached",
            f"built {IMAGE} in Ts, 1 of 2 steps from the cache",
        ]
        assert "\x1b[34m✓\x1b[0m [2/2] RUN make \x1b[2mcached\x1b[0m" in written


def test_who_wants_no_colors_gets_none(builds: FakeDaemon, sampan: Command) -> None:
    builds.on("POST", "/build", told(*FOUND))
    assert "\x1b" not in on_terminal(sampan, NO_COLOR="1")[1]


def test_of_a_step_that_fails_soon_all_that_it_wrote_is_shown(builds: FakeDaemon, sampan: Command) -> None:
    builds.on("POST", "/build", told(*FAILED))
    code, written = on_terminal(sampan)
    assert code == 1
    assert plain(written)[:4] == ["✓ [1/2] FROM base Ts", "✗ [2/2] RUN make Ts", "    hello", "sampan: it failed"]


def test_what_was_overwritten_by_a_step_that_fails_is_not_shown(builds: FakeDaemon, sampan: Command) -> None:
    written = event("output", text="10%\r20%\r30%\na\x0cb\n\nend", error=False)
    builds.on("POST", "/build", told(*FIRST[:3], written, *FAILED[-2:]))
    assert plain(on_terminal(sampan)[1])[2:6] == ["    30%", "    ab", "    ", "    end"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("RUN " + "字" * 60, "RUN " + "字" * 30 + "…"),
        ("RUN " + "e\u0301" * 55, "RUN " + "e\u0301" * 55),
        ("RUN " + "e" * 80, "RUN " + "e" * 60 + "…"),
        ("RUN a\x1b[2Jb", "RUN ab"),
    ],
    ids=["wide", "accents", "long", "that clears"],
)
def test_a_title_takes_one_line(builds: FakeDaemon, sampan: Command, text: str, shown: str) -> None:
    step = event("step", number=2, total=2, text=text)
    builds.on("POST", "/build", told(*FOUND[:2], step, *FOUND[3:]))
    _, written = on_terminal(sampan)
    assert plain(written)[1] == f"✓ [2/2] {shown} cached"
    assert "\x1b[2J" not in written


def test_where_there_is_no_terminal_none_is_drawn_even_if_it_was_asked_for(builds: FakeDaemon, sampan: Command) -> None:
    builds.on("POST", "/build", told(*FAILED))
    (sampan.folder / "Dockerfile").write_text("FROM base\nRUN make\n")
    argv = sampan.argv("build", "--progress", "tty", str(sampan.folder))
    done = subprocess.run(
        argv, env={**sampan.environment(), "TERM": "xterm"}, capture_output=True, timeout=60, check=False, text=True
    )
    assert "\x1b" not in done.stderr
    assert plain(done.stderr)[:2] == ["#1 [1/2] FROM base", "#1 done Ts"]


@needs_rich
def test_a_build_that_takes_longer_is_drawn_with_what_was_written_before(builds: FakeDaemon, sampan: Command) -> None:
    seen = Seen("› ".encode())
    builds.on("POST", "/build", told(*FIRST, wait=seen, then=REST))
    code, written = on_terminal(sampan, seen)
    assert code == 0
    before, _, drawn = written.partition(HIDDEN)
    assert plain(before) == ["✓ [1/2] FROM base Ts"]
    assert plain(drawn)[0] == "building Ts, 1 of 2 steps"
    assert "✓ [2/2] RUN make Ts" in "\n".join(plain(drawn))
    assert drawn.index(SHOWN) < drawn.index("built sha256:")


@needs_rich
@pytest.mark.parametrize("at_the_end", [False, True], ids=["beginning", "end"])
def test_whoever_interrupts_the_drawing_gets_the_cursor_back(
    builds: FakeDaemon, sampan: Command, *, at_the_end: bool
) -> None:
    seen = Seen(HIDDEN.encode())
    builds.on("POST", "/build", told(*FIRST, wait=seen, then=REST))
    code, written = on_terminal(sampan, seen, INTERRUPTED.replace("AT_THE_END", str(at_the_end)))
    assert code == -signal.SIGINT
    assert written.count(HIDDEN) == 1
    assert written.index(HIDDEN) < written.rindex(SHOWN)


@needs_rich
def test_what_is_fetched_is_drawn_at_once(builds: FakeDaemon, sampan: Command) -> None:
    fetching = {"id": "aaaa", "status": "Downloading", "progressDetail": {"current": 1000, "total": 2000}}
    seen = Seen(b"1kB of 2kB")
    builds.on("POST", "/build", told(FIRST[0], fetching, wait=seen, then=(*FIRST[1:], *REST)))
    code, written = on_terminal(sampan, seen)
    assert (code, seen.is_there.is_set()) == (0, True), written


def test_without_rich_a_build_that_takes_longer_goes_on_in_lines(builds: FakeDaemon, sampan: Command) -> None:
    seen = Seen(b"#2 [2/2] RUN make")
    builds.on("POST", "/build", told(*FIRST, wait=seen, then=REST))
    code, written = on_terminal(sampan, seen, WITHOUT_RICH)
    assert (code, HIDDEN in written) == (0, False)
    assert plain(written)[:4] == ["✓ [1/2] FROM base Ts", "#2 [2/2] RUN make", "#2 T hello", "#2 done Ts"]


def test_a_terminal_that_can_do_nothing_gets_plain_lines(builds: FakeDaemon, sampan: Command) -> None:
    builds.on("POST", "/build", told(*FOUND))
    code, written = on_terminal(sampan, TERM="dumb")
    assert (code, "\x1b" in written) == (0, False)
    assert plain(written)[0] == "#1 [1/2] FROM base"


@pytest.fixture
def answer() -> Iterator[tuple[socket.socket, Response]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield theirs, Response(Connection(ours), 200, "OK", {"transfer-encoding": "chunked"}, "GET")


def test_an_answer_is_ready_when_something_of_it_is_here(answer: tuple[socket.socket, Response]) -> None:
    theirs, response = answer
    assert not response.ready(0.01)
    theirs.sendall(b"1\r\na\r\n")
    assert response.ready(60)
    chunks = response.chunks()
    assert next(chunks) == b"a"
    assert not response.ready(0.01)
    theirs.sendall(b"1\r\nb\r\n0\r\n\r\n")
    assert next(chunks) == b"b"
    assert response.ready(60), "its end is here"
    assert list(chunks) == []


def test_an_answer_whose_sender_has_left_is_ready_to_say_so(answer: tuple[socket.socket, Response]) -> None:
    theirs, response = answer
    theirs.close()
    assert response.ready(60)
