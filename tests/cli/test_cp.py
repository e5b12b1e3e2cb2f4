"""`sampan cp` beside `docker cp` on a real Docker: the same trees at both ends."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Handler, Request


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "f").write_text("abc\n")
    os.link(source / "f", source / "hard")
    (source / "soft").symlink_to("f")
    (source / "sub/g").write_text("x\n")
    return source


COPIES: list[Callable[[str, str], list[str]]] = [
    lambda source, container: [source, f"{container}:/tmp/"],
    lambda source, container: [source, f"{container}:/tmp/new"],
    lambda source, container: [f"{source}/.", f"{container}:/tmp/contents"],
    lambda source, container: [f"{source}/.", f"{container}:/tmp/new"],
    lambda source, container: [f"{source}/f", f"{container}:/tmp/renamed"],
    lambda source, container: [f"{source}/soft", f"{container}:/tmp/link"],
    lambda source, container: ["-L", f"{source}/soft", f"{container}:/tmp/followed"],
    lambda source, container: [f"{source}/none", f"{container}:/tmp/"],
    lambda source, container: [f"{source}/f", f"{container}:/tmp/none/"],
    lambda source, container: [source, f"{container}:/tmp/renamed"],
    lambda source, container: [f"{source}/f", f"{container}:/none/x"],
    lambda source, container: [f"{container}:/tmp/new", f"{source}-out-{container[-1]}"],
    lambda source, container: [f"{container}:/tmp/new/.", f"{source}-out-{container[-1]}"],
    lambda source, container: [f"{container}:/tmp/new", f"{source}-out-{container[-1]}"],
    lambda source, container: [f"{container}:/tmp/link", f"{source}-out-{container[-1]}/link"],
    lambda source, container: [f"{container}:/tmp/none", f"{source}-out-{container[-1]}"],
    lambda source, container: [f"{container}:/tmp/renamed", f"{source}-none-{container[-1]}/"],
]


def listing(root: Path) -> list[str]:
    done = subprocess.run(
        ["find", ".", "-printf", "%P %y %m %U %G %n %l %s\\n"], cwd=root, capture_output=True, check=True
    )
    return sorted(line for line in done.stdout.decode().splitlines() if not line.startswith(" "))


@pytest.mark.skipif(not shutil.which("docker"), reason="docker cp is the judge, and is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="owners are compared")
def test_both_leave_the_same_trees(real_docker: Command, tree: Path) -> None:
    for name in ("cp-s", "cp-d"):
        real_docker("rm", "-f", name)
        assert real_docker("create", "--name", name, "--network", "none", "cp-image", "/none").returncode == 0
    docker = shutil.which("docker") or ""
    for copy in COPIES:
        ours = real_docker("cp", *copy(str(tree), "cp-s"))
        theirs = subprocess.run(
            [docker, "cp", *copy(str(tree), "cp-d")], env=real_docker.environment(), capture_output=True, check=False
        )
        assert ours.returncode == theirs.returncode, (copy(str(tree), "X"), ours.stderr, theirs.stderr)
    trees = []
    for name in ("cp-s", "cp-d"):
        target = tree.parent / f"all-{name}"
        target.mkdir()
        subprocess.run(["tar", "-x", "-C", str(target)], input=real_docker("export", name).stdout, check=True)
        trees.append(listing(target / "tmp"))
        real_docker("rm", "-f", name)
    assert trees[0] == trees[1]
    assert listing(Path(f"{tree}-out-s")) == listing(Path(f"{tree}-out-d"))


def test_a_container_that_is_not_there_is_said(fake_daemon: FakeDaemon, sampan: Command, tree: Path) -> None:
    fake_daemon.on("*", "/containers/c1/.*", fake_daemon.reply(404, {"message": "No such container: c1"}))

    for words in ([str(tree), "c1:/x"], ["c1:/x", str(tree)]):
        done = sampan("cp", *words)
        assert (done.returncode, done.stderr) == (1, b"sampan: Error response from daemon: No such container: c1\n")


def place(kind: int, body: bytes = b"") -> Handler:
    """Answers with what is at a path: its kind in Go's bits, and an archive of it."""
    found = {"name": "x", "size": 0, "mode": kind | 0o755, "mtime": "2026-01-01T00:00:00Z", "linkTarget": ""}
    header = base64.b64encode(json.dumps(found).encode()).decode()
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", f"X-Docker-Container-Path-Stat: {header}", "", ""]

    def handle(request: Request, client: socket.socket) -> None:
        client.sendall("\r\n".join(lines).encode() + (body if request.method == "GET" else b""))

    return handle


def test_what_is_told_is_the_size_of_the_archive_and_nothing_where_nobody_reads_it(
    fake_daemon: FakeDaemon, sampan: Command, tree: Path, tmp_path: Path
) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as writer:
        writer.add(tree / "f", "f")
    fake_daemon.on("HEAD", "/containers/c1/archive", place(1 << 31))
    fake_daemon.on("PUT", "/containers/c1/archive", fake_daemon.reply(200))
    fake_daemon.on("GET", "/containers/c1/archive", place(0, archive.getvalue()))
    copies = [([f"{tree}/f", "c1:/x"], "2.05kB"), (["c1:/f", f"{tmp_path}/f"], "10.2kB")]
    for words, told in copies:
        assert sampan("cp", *words).stderr == b""
        said = sampan("cp", "--quiet=false", *words).stderr.decode()
        assert said == f"Successfully copied {told} to {words[1]}\n"
    assert (tmp_path / "f").read_text() == "abc\n"


@pytest.mark.parametrize("words", [["a", "b"], ["c1:/a", "c2:/b"]])
def test_just_one_place_is_in_a_container(sampan: Command, words: list[str]) -> None:
    assert sampan("cp", *words).returncode == 1
