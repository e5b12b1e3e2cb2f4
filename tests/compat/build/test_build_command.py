"""`sampan build` against our own engine: real files, real steps, and what an interrupt leaves."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.compat.build.yard import Yard
from tests.pseudo_terminal import read_to_the_end
from tests.waiting import until

SOURCE = Path(__file__).resolve().parents[3] / "src"
PROGRAM = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from sampan.cli.__main__ import main; main()"


def argv(yard: Yard, *words: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", PROGRAM, "-H", f"unix://{yard.engine.socket}", *words]


def build(
    yard: Yard, root: Path, *words: str, dockerfile: str = "", input: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    root.mkdir(exist_ok=True)
    if dockerfile:
        (root / "Dockerfile").write_text(dockerfile)
    return subprocess.run(
        argv(yard, "build", *words),
        input=input,
        capture_output=True,
        timeout=110,
        check=False,
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": str(root), "TERM": "xterm"},
    )


def test_a_directory_becomes_an_image_that_is_named_and_runs(yard: Yard, tmp_path: Path) -> None:
    root = tmp_path / "c"
    root.mkdir()
    (root / "file").write_text("content\n")
    (root / "ignored").write_text("")
    (root / ".dockerignore").write_text("ignored\n")
    done = build(
        yard,
        root,
        *("-t", "corpus/by-command", "--build-arg", "X=y", "--label", "a=b c", "."),
        dockerfile='FROM corpus/busybox\nARG X\nCOPY . /c\nRUN ls /c > /list; echo $X >> /list\nCMD ["cat", "/list"]\n',
    )
    assert done.returncode == 0, done.stderr
    assert yard.run("by-command") == (0, ["Dockerfile", "file", "y"])
    assert yard.config("by-command")["Labels"] == {"a": "b c"}
    assert b"named corpus/by-command\n" in done.stderr
    again = build(yard, root, "--build-arg", "X=y", "--label", "a=b c", ".")
    assert b" 5 of 6 steps from the cache" in again.stderr


def test_a_secret_is_there_for_its_step_and_in_no_layer(yard: Yard, tmp_path: Path) -> None:
    text = (
        "FROM corpus/busybox\nRUN --mount=type=secret,id=token,required wc -c < /run/secrets/token > /size\n"
        'RUN test ! -s /run/secrets/token\nCMD ["cat", "/size"]\n'
    )
    (tmp_path / "token").write_bytes(b"sesame")
    done = build(
        yard, tmp_path / "c", "-t", "corpus/secret", "--secret", f"id=token,src={tmp_path}/token", ".", dockerfile=text
    )
    assert done.returncode == 0, done.stderr
    assert yard.run("secret") == (0, ["6"])


def test_the_files_of_an_image_are_written_out(yard: Yard, tmp_path: Path) -> None:
    text = b"FROM scratch\nCOPY --from=corpus/busybox /etc/passwd /a/b\n"
    done = build(yard, tmp_path / "c", "-q", "-o", "out", "-o", "type=tar,dest=files.tar", "-", input=text)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c" / "out" / "a" / "b").read_text().startswith("root:")
    assert sorted(path.name for path in (tmp_path / "c" / "out").rglob("*")) == ["a", "b"]  # and no mount points
    with tarfile.open(tmp_path / "c" / "files.tar") as tar:
        assert tar.getnames() == ["a", "a/b"]


def unnamed(yard: Yard) -> set[str]:
    """The images without a name that are no step of a build."""
    filters = quote(json.dumps({"dangling": ["true"]}))
    return {image["Id"] for image in yard.engine.json("GET", f"/images/json?filters={filters}")}


def test_names_stand_for_directories_images_and_in_the_place_of_stages(yard: Yard, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "f").write_text("from a directory\n")
    text = (
        "FROM corpus/busybox AS replaced\nRUN false\nFROM base\nCOPY --from=other f /one\n"
        'COPY --from=replaced /etc/group /two\nCMD ["head", "-n", "1", "/one", "/two"]\n'
    )
    words = [f"other={other}", "base=docker-image://corpus/busybox", "replaced=docker-image://corpus/busybox"]
    before = unnamed(yard)
    given = [word for text in words for word in ("--build-context", text)]
    done = build(yard, tmp_path / "c", "-t", "corpus/named", *given, ".", dockerfile=text)
    assert done.returncode == 0, done.stderr
    code, lines = yard.run("named")
    assert (code, lines[1], lines[-1]) == (0, "from a directory", "root:x:0:")
    assert unnamed(yard) == before


def test_a_step_that_fails_is_shown_with_its_line_and_what_it_wrote(yard: Yard, tmp_path: Path) -> None:
    done = build(yard, tmp_path / "c", ".", dockerfile="FROM corpus/busybox\nRUN echo before; exit 7\nRUN echo never\n")
    text = done.stderr.decode()
    assert done.returncode == 1
    assert re.search(r"^#2 [0-9.]+ before$", text, re.MULTILINE)
    assert "#2 FAILED\n" in text
    assert "  >    2 │ RUN echo before; exit 7\n" in text
    assert "Dockerfile:2: " in text
    assert "never" not in text.partition("sampan: ")[0].replace("RUN echo never", "")


def test_an_interrupt_leaves_no_container(yard: Yard, tmp_path: Path) -> None:
    root = tmp_path / "c"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM corpus/busybox\nRUN echo waiting; exec sleep 1000\n")
    with subprocess.Popen(
        argv(yard, "build", "--progress", "plain", "."),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=root,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith(b" waiting\n"):
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode != 0
    until(lambda: yard.engine.json("GET", "/containers/json?all=1") == [], timeout_s=30)


def test_a_terminal_shows_steps_that_go_on_and_those_that_are_over(yard: Yard, tmp_path: Path) -> None:
    pytest.importorskip("rich")
    root = tmp_path / "c"
    root.mkdir()
    (root / "Dockerfile").write_text(
        "FROM corpus/busybox AS one\nRUN echo seen; sleep 0.5\nRUN echo $((40 + 2)); false\n"
    )
    parent, child = pty.openpty()
    with subprocess.Popen(
        argv(yard, "build", "--no-cache", "."),
        stdin=subprocess.DEVNULL,
        stderr=child,
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": str(root), "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        shown = read_to_the_end(parent, child, process)
    os.close(child)
    os.close(parent)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "")
    assert "✓ [one 2/3] RUN echo seen; sleep 0.5" in text
    assert "✗ [one 3/3] RUN echo $((40 + 2)); false" in text
    assert "    42\n" in text
    assert "sampan: Dockerfile:3: " in text
