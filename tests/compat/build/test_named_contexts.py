"""`--build-context`: what addresses and image layouts have stands for names in the Dockerfile, and does not stay."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.compat.build.test_build_command import build, unnamed
from tests.compat.build.yard import Yard


class Quiet(SimpleHTTPRequestHandler):
    """The files of a directory, without a log."""

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the address where it is served."""
    root = tmp_path / "shelf"
    root.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield root, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_archive_and_a_file_of_the_web_are_had_by_name(yard: Yard, tmp_path: Path, shelf: tuple[Path, str]) -> None:
    root, address = shelf
    (root / "plain $x").write_text("plain\n")
    with tarfile.open(root / "some.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("inner/packed")
        entry.size = 7
        archive.addfile(entry, io.BytesIO(b"packed\n"))
    before = unnamed(yard)
    given = ("--build-context", f"a={address}/some.tar.gz", "--build-context", f"b={address}/plain%20$x")
    text = 'FROM corpus/busybox\nCOPY --from=a inner/packed /1\nCOPY --from=b plain* /2\nCMD ["cat", "/1", "/2"]\n'
    done = build(yard, tmp_path / "c", "-t", "corpus/web", *given, ".", dockerfile=text)
    assert done.returncode == 0, done.stderr
    assert yard.run("web") == (0, ["packed", "plain"])
    assert unnamed(yard) == before
    (root / "plain $x").write_text("another\n")
    assert build(yard, tmp_path / "c", "-t", "corpus/web", *given, ".", dockerfile=text).returncode == 0
    assert yard.run("web") == (0, ["packed", "another"])
    lost = build(yard, tmp_path / "c", "--build-context", f"a={address}/lost", ".", dockerfile=text)
    assert lost.returncode == 1
    assert (
        f"Dockerfile:2: COPY failed: the context a cannot be had: failed to GET {address}/lost ".encode() in lost.stderr
    )


def test_builds_at_the_same_time_share_what_an_address_has(yard: Yard, tmp_path: Path, shelf: tuple[Path, str]) -> None:
    root, address = shelf
    (root / "f").write_text("shared\n")
    before = unnamed(yard)
    text = (
        'FROM corpus/busybox\nCOPY --from=a /f /1\nRUN --mount=from=a,target=/m cp /m/f /2\nCMD ["cat", "/1", "/2"]\n'
    )
    given = ("--no-cache", "--build-context", f"a={address}/f", ".")

    def one(number: int) -> int:
        return build(yard, tmp_path / str(number), "-t", f"corpus/web{number}", *given, dockerfile=text).returncode

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(one, range(4))) == [0] * 4
    for number in range(4):
        assert yard.run(f"web{number}") == (0, ["shared", "shared"])
    assert unnamed(yard) == before
    alone = build(yard, tmp_path / "0", "-q", *given, dockerfile="FROM a\n")
    assert yard.engine.json("GET", f"/images/{alone.stdout.decode().strip()}/json")["Size"] == len("shared\n")


def test_a_context_that_is_nothing_is_a_base_and_has_no_files(yard: Yard, tmp_path: Path) -> None:
    given = ("--build-context", "base=docker-image://scratch", "-t", "corpus/bare", ".")
    text = 'FROM base\nCOPY --from=corpus/busybox /bin/busybox /busybox\nCMD ["/busybox", "ls", "/"]\n'
    done = build(yard, tmp_path / "c", *given, dockerfile=text)
    assert done.returncode == 0, done.stderr
    assert "busybox" in yard.run("bare")[1]
    lost = build(yard, tmp_path / "c", *given, dockerfile="FROM corpus/busybox\nCOPY --from=base /f /f\n")
    assert lost.returncode == 1
    assert b"Dockerfile:2: COPY failed: " in lost.stderr


@pytest.mark.skipif(not shutil.which("git"), reason="the daemon fetches repositories by git")
def test_a_directory_of_a_repository_is_had_by_name(yard: Yard, tmp_path: Path, shelf: tuple[Path, str]) -> None:
    root, address = shelf
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "f").write_text("of a branch\n")
    git = ("git", "-c", "user.name=n", "-c", "user.email=n@example.test")
    for words in (("init", "-q", "-b", "some"), ("add", "."), ("commit", "-q", "-m", "one")):
        subprocess.run([*git, *words], cwd=source, check=True)
    subprocess.run([*git, "clone", "-q", "--bare", str(source), str(root / "it.git")], check=True)
    subprocess.run([*git, "update-server-info"], cwd=root / "it.git", check=True)
    text = 'FROM corpus/busybox\nCOPY --from=it / /x/\nCMD ["ls", "/x"]\n'
    given = ("--build-context", f"it={address}/it.git#some:sub")
    done = build(yard, tmp_path / "c", "-t", "corpus/repository", *given, ".", dockerfile=text)
    assert done.returncode == 0, done.stderr
    assert yard.run("repository") == (0, ["f"])


def test_an_image_of_a_layout_is_had_by_name(yard: Yard, tmp_path: Path) -> None:
    root, layout = tmp_path / "c", tmp_path / "layout"
    words = ("-t", "corpus/laid:v1", "-o", f"type=oci,tar=false,dest={layout}", ".")
    assert build(yard, root, *words, dockerfile="FROM corpus/busybox\nRUN echo laid > /laid\n").returncode == 0
    yard.engine.json("DELETE", "/images/corpus/laid:v1")
    before = unnamed(yard)
    text = 'FROM corpus/busybox\nCOPY --from=it /laid /x\nCMD ["cat", "/x"]\n'
    for place in (f"{layout}", f"{layout}:v1"):
        given = ("--build-context", f"it=oci-layout://{place}", "--no-cache")
        done = build(yard, root, "-t", "corpus/from-layout", *given, ".", dockerfile=text)
        assert done.returncode == 0, done.stderr
        assert yard.run("from-layout") == (0, ["laid"])
        assert unnamed(yard) == before
    for place, said in ((f"{layout}:v2", "has no image v2"), (f"{tmp_path}", "is no OCI layout")):
        refused = build(yard, root, "--build-context", f"it=oci-layout://{place}", ".", dockerfile=text)
        assert (refused.returncode, said in refused.stderr.decode()) == (1, True)
