"""`sampan build --output`: where the image goes, and as whose its files are written."""

from __future__ import annotations

import io
import os
import socket
import stat
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_build import IMAGE, stream

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Request


def entry(name: str, mode: int, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.mode, made.type, made.linkname, made.mtime = mode, kind, link, 1_500_000_000
    made.uid, made.gid, made.uname, made.gname = 1234, 5678, "somebody", "something"
    return made


@pytest.fixture
def archive(fake_daemon: FakeDaemon) -> bytes:
    """The files of the image that a build makes, as the daemon exports them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for one in (
            entry("all", 0o1777, tarfile.DIRTYPE),
            entry("all/script", 0o775),
            entry("all/lends", 0o6755),
            entry("writable", 0o666),
            entry("link", 0o777, tarfile.SYMTYPE, "/etc/passwd"),
            entry("same", 0o666, tarfile.LNKTYPE, "writable"),
        ):
            tar.addfile(one)
    content = made.getvalue()

    def export(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))

    fake_daemon.on("POST", "/build", stream({"aux": {"ID": IMAGE}}))
    fake_daemon.on("GET", "/images/.*/files", export)
    fake_daemon.on("GET", "/images/get", export)
    fake_daemon.on("POST", "/containers/create", fake_daemon.reply(201, {"Id": "c1"}))
    fake_daemon.on("GET", "/containers/c1/export", export)
    fake_daemon.on("DELETE", "/containers/c1", fake_daemon.reply(204))
    return content


def test_of_docker_s_daemon_the_files_are_those_of_a_container(
    fake_daemon: FakeDaemon, archive: bytes, sampan: Command
) -> None:
    fake_daemon.on("GET", "/images/.*/files", fake_daemon.reply(404, {"message": "page not found"}))
    assert sampan("build", "-o", "-", "-", input=b"FROM base\n").stdout == archive


def test_files_belong_to_whoever_asks_and_keep_their_modes(archive: bytes, sampan: Command, tmp_path: Path) -> None:
    assert archive
    assert sampan("build", "-q", "-o", str(tmp_path / "out"), "-", input=b"FROM base\n").returncode == 0
    found = {path.relative_to(tmp_path / "out"): path.lstat() for path in (tmp_path / "out").rglob("*")}
    modes = {str(name): stat.S_IMODE(status.st_mode) for name, status in found.items() if str(name) != "link"}
    assert modes == {"all": 0o1777, "all/script": 0o775, "all/lends": 0o755, "writable": 0o666, "same": 0o666}
    assert {(status.st_uid, status.st_gid) for status in found.values()} == {(os.geteuid(), os.getegid())}
    assert os.readlink(tmp_path / "out" / "link") == "/etc/passwd"
    assert found[Path("same")].st_ino == found[Path("writable")].st_ino


@pytest.mark.parametrize("output", ["-", "type=tar", "type=tar,dest=-", "type=oci", "type=docker,dest=-"])
def test_an_archive_without_a_place_goes_to_standard_output(archive: bytes, sampan: Command, output: str) -> None:
    done = sampan("build", "-o", output, "-", input=b"FROM base\n")
    assert (done.returncode, done.stdout) == (0, archive)


@pytest.mark.parametrize("output", ["type=docker", "type=image,compression=zstd,store=true", "type=cacheonly"])
def test_an_image_for_docker_stays_with_the_daemon(
    fake_daemon: FakeDaemon, archive: bytes, sampan: Command, output: str
) -> None:
    done = sampan("build", "-q", "-o", output, "-", input=b"FROM base\n")
    assert archive
    assert (done.returncode, done.stdout.decode()) == (0, f"{IMAGE}\n")
    assert fake_daemon.asked("GET", "/images/get") == []


def test_an_output_may_name_the_image_and_have_it_pushed(
    fake_daemon: FakeDaemon, archive: bytes, sampan: Command
) -> None:
    assert archive
    fake_daemon.on("POST", "/images/.*/push", stream({"status": "pushed"}))
    given = ["-t", "a:1", "-o", 'type=image,"name=b:2,c.example/d",push=true']
    assert sampan("build", "-q", *given, "-", input=b"FROM base\n").returncode == 0
    assert "t=a:1&t=b:2&t=c.example/d" in fake_daemon.asked("POST", "/build")[-1].target
    assert len(fake_daemon.asked("POST", "/images/.*/push")) == 3


@pytest.mark.parametrize("words", [["--push"], ["-o", "type=registry"], ["-o", "type=image,push=true"]])
def test_nothing_is_built_for_a_push_without_a_name(
    fake_daemon: FakeDaemon, archive: bytes, sampan: Command, words: list[str]
) -> None:
    assert archive
    done = sampan("build", *words, "-", input=b"FROM base\n")
    assert (done.returncode, b"--push needs a name" in done.stderr) == (1, True)
    assert fake_daemon.asked("POST", "/build") == []


def test_an_image_layout_may_be_a_folder(archive: bytes, sampan: Command, tmp_path: Path) -> None:
    assert archive
    words = ["-o", f"type=oci,tar=false,dest={tmp_path / 'out'}"]
    assert sampan("build", "-q", *words, "-", input=b"FROM base\n").returncode == 0
    assert (tmp_path / "out" / "all" / "script").is_file()
