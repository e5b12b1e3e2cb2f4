"""Ctrl-C on a terminal that is `sampan build`'s own: what is said of steps that go on, and how the command ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest
from tests.compat.build.test_build_command import argv
from tests.compat.build.yard import Yard
from tests.pseudo_terminal import read_to_the_end
from tests.waiting import until

DOCKERFILE = """FROM corpus/busybox AS one
RUN echo waiting; exec sleep 1000
FROM corpus/busybox AS two
RUN echo waiting; exec sleep 2000
FROM corpus/busybox
COPY --from=one /x /x
COPY --from=two /x /x
"""
# opens the terminal as the leader of a session, which makes it the session's own
ON_TERMINAL = 'exec 0<>"$0" 1>&0 2>&0; exec "$@"'


def interrupted(yard: Yard, root: Path, how: str, waiting: tuple[str, ...]) -> tuple[int, str]:
    """Build, type ^C when all of `waiting` (regular expressions) are seen; the return code, and all that was seen."""
    (root / "Dockerfile").write_text(DOCKERFILE)
    parent, child = pty.openpty()
    try:
        with subprocess.Popen(
            ["sh", "-c", ON_TERMINAL, os.ttyname(child), *argv(yard, "build", "--progress", how, ".")],
            stdin=child,
            cwd=root,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(root), "TERM": "xterm", "COLUMNS": "100"},
        ) as process:
            typed: list[bytes] = []

            def look(shown: bytes) -> None:
                if not typed and all(re.search(each, text_of(shown)) for each in waiting):
                    typed.append(b"\x03")
                    os.write(parent, typed[0])

            shown = read_to_the_end(parent, child, process, look)
        return process.returncode, text_of(shown)
    finally:
        os.close(child)
        os.close(parent)


def text_of(shown: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace")).replace("\r", "")


def test_an_interrupt_tells_of_each_step_that_went_on(yard: Yard, tmp_path: Path) -> None:
    code, text = interrupted(yard, tmp_path, "plain", (r"#2 [0-9.]+ waiting\n", r"#4 [0-9.]+ waiting\n"))
    assert code == -signal.SIGINT
    assert text.count("CANCELED\n") == 2
    assert "#2 CANCELED\n" in text
    assert "#4 CANCELED\n" in text
    until(lambda: yard.engine.json("GET", "/containers/json?all=1") == [], timeout_s=60)


def test_an_interrupt_leaves_the_steps_that_went_on_on_the_terminal(yard: Yard, tmp_path: Path) -> None:
    pytest.importorskip("rich")
    steps = (r"\[one 2/7\] RUN echo waiting; exec sleep 1000", r"\[two 4/7\] RUN echo waiting; exec sleep 2000")
    code, text = interrupted(yard, tmp_path, "tty", tuple(rf"› {step} [0-9.]+s\n    waiting" for step in steps))
    assert code == -signal.SIGINT
    for step in steps:
        assert re.search(rf"✗ {step} canceled after [0-9.]+s\n", text), text
    until(lambda: yard.engine.json("GET", "/containers/json?all=1") == [], timeout_s=60)
