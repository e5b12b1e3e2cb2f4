"""Known escapes through copies and volumes, tried by containers that exchange directories for links meanwhile.

CVE-2018-15664, CVE-2019-14271, CVE-2021-30465, CVE-2022-23648, CVE-2024-45310, CVE-2024-9676. That the racers do hit is
counted: a race that never was proves nothing.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Sized
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.engine_process import EngineProcess, UnixConnection
from tests.waiting import until

Rounds = Callable[[], Iterator[int]]
# Exchanges /race/dir and /race/link as fast as it can (renameat2(2), RENAME_EXCHANGE): 316 is its number on x86_64.
RACER = """
import ctypes, os, sys
place, target = sys.argv[1:]
libc = ctypes.CDLL(None)
os.makedirs(f"{place}/dir", exist_ok=True)
open(f"{place}/dir/file", "w").write("inside\\n")
os.symlink(target, f"{place}/link")
old, new = f"{place}/dir".encode(), f"{place}/link".encode()
open(f"{place}/ready", "w").close()
while True:
    libc.syscall(316, -100, old, -100, new, 2)
"""


def call(engine: EngineProcess, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = UnixConnection(engine.socket)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-tar"} if body is not None else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def race(engine: EngineProcess, name: str, place: str, target: str, **host: Any) -> None:
    """Start a racer whose link leads to a path of the host, which it has too, with content of its own."""
    script = 'mkdir -p "$2"; echo inside > "$2/file"; exec python3 -c "$0" "$1" "$2"'
    engine.run(name, "sh", "-c", script, RACER, place, target, host=host)
    while call(engine, "HEAD", f"/containers/{name}/archive?path={place}/ready")[0] != 200:
        assert engine.inspect(name)["State"]["Running"], engine.output(name)


def until_hit(rounds: Rounds, hits: Sized, wanted: int = 1) -> Iterator[int]:
    """The rounds, and further ones while fewer than `wanted` hits were counted."""
    number = 0
    for number in rounds():
        yield number
    deadline = time.monotonic() + 60
    while len(hits) < wanted and time.monotonic() < deadline:
        number += 1
        yield number


def tar(*names: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 7
            archive.addfile(info, io.BytesIO(b"planted"))
    return written.getvalue()


def test_a_copy_out_reads_nothing_of_the_host_while_links_are_exchanged(
    engine: EngineProcess, canary: Any, for_a_while: Rounds
) -> None:
    race(engine, "reader", "/race", str(canary.path))
    kinds: set[bytes] = set()
    for _ in until_hit(for_a_while, kinds, 2):
        for path in ("/race", "/race/dir", "/race/dir/", "/race/dir/file"):
            status, body = call(engine, "GET", f"/containers/reader/archive?path={path}")
            if status != 200:
                continue
            assert b"secret of the host" not in body
            with tarfile.open(fileobj=io.BytesIO(body)) as archive:
                kinds |= {member.type for member in archive if member.name.endswith("dir")}
    assert kinds == {tarfile.DIRTYPE, tarfile.SYMTYPE}
    engine.json("DELETE", "/containers/reader?force=1", expect=204)


def test_a_copy_in_writes_nothing_on_the_host_while_links_are_exchanged(
    engine: EngineProcess, canary: Any, for_a_while: Rounds
) -> None:
    race(engine, "writer", "/race", str(canary.path))
    good: set[int] = set()
    for number in until_hit(for_a_while, good):
        for path, name in (("/race/dir", f"new{number}"), ("/race", f"dir/new{number}"), ("/race/dir/", "file")):
            status, _ = call(engine, "PUT", f"/containers/writer/archive?path={path}", tar(name))
            if status == 200:
                good.add(number)
    assert good
    engine.json("DELETE", "/containers/writer?force=1", expect=204)


def test_a_mount_target_exchanged_in_a_shared_volume_leads_nowhere_else(
    engine: EngineProcess, canary: Any, for_a_while: Rounds
) -> None:
    race(engine, "exchanger", "/vol", str(canary.path), Binds=["exchanged:/vol"])
    started: set[int] = set()
    for number in until_hit(for_a_while, started):
        binds = ["exchanged:/vol", "payload:/vol/dir/made", "payload:/vol/dir/deep/er", "/etc/hostname:/vol/dir/name"]
        engine.create(f"victim{number}", "true", host={"Binds": binds})
        if engine.request("POST", f"/containers/victim{number}/start")[0] == 204:
            started.add(number)
        engine.json("DELETE", f"/containers/victim{number}?force=1", expect=204)
    assert started
    engine.json("DELETE", "/containers/exchanger?force=1", expect=204)


def test_a_subpath_exchanged_for_a_link_leads_nowhere_else(
    engine: EngineProcess, canary: Any, for_a_while: Rounds
) -> None:
    race(engine, "subpath-exchanger", "/vol", str(canary.path), Binds=["parts:/vol"])
    mount = {"Type": "volume", "Source": "parts", "Target": "/data", "VolumeOptions": {"Subpath": "dir"}}
    outputs: set[str] = set()
    for number in until_hit(for_a_while, outputs):
        name = f"subpath{number}"
        engine.create(name, "cat", "/data/file", host={"Mounts": [mount]})
        if engine.request("POST", f"/containers/{name}/start")[0] == 204:
            engine.wait(name)
            outputs |= set(engine.output(name))
        engine.json("DELETE", f"/containers/{name}?force=1", expect=204)
    assert outputs == {"inside"}
    engine.json("DELETE", "/containers/subpath-exchanger?force=1", expect=204)


@pytest.fixture(scope="module")
def import_image(engine: EngineProcess) -> Callable[..., None]:
    """Import an image made of links and files, with changes to its configuration."""

    def make(
        name: str, links: dict[str, str], files: dict[str, str], *changes: str, fifos: tuple[str, ...] = ()
    ) -> None:
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w") as archive:
            archive.add("/bin/busybox", "bin/busybox")
            for fifo in fifos:
                info = tarfile.TarInfo(fifo)
                info.type = tarfile.FIFOTYPE
                archive.addfile(info)
            for path, target in links.items():
                info = tarfile.TarInfo(path)
                info.type, info.linkname = tarfile.SYMTYPE, target
                archive.addfile(info)
            for path, text in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        query = "&".join(f"changes={quote(change)}" for change in changes)
        status, body = call(engine, "POST", f"/images/create?fromSrc=-&repo={name}&{query}", written.getvalue())
        assert status == 200, body

    return make


def test_a_volume_path_of_an_image_leads_nowhere_but_into_its_own_root(
    engine: EngineProcess, canary: Any, import_image: Callable[..., None]
) -> None:
    inner = str(canary.path).strip("/")
    volume = f'VOLUME ["/../../..{canary.path}", "/data", "/relative"]'
    links = {"data": str(canary.path), "relative": f"../../../..{canary.path}"}
    import_image("hostile-volumes", links, {f"{inner}/file": "of the image"}, volume)
    engine.create("volumes", "/bin/busybox", "true", image="hostile-volumes")
    mounts = engine.inspect("volumes")["Mounts"]
    assert len(mounts) == 3
    for mount in mounts:
        assert (Path(mount["Source"]) / "file").read_text() == "of the image"
    engine.json("DELETE", "/containers/volumes?v=1", expect=204)


def test_a_link_to_the_host_where_no_such_path_is_inside_gives_an_empty_volume(
    engine: EngineProcess, canary: Any, import_image: Callable[..., None]
) -> None:
    import_image("dangling-volume", {"data": str(canary.path)}, {}, 'VOLUME ["/data"]')
    engine.create("dangling", "/bin/busybox", "true", image="dangling-volume")
    (mount,) = engine.inspect("dangling")["Mounts"]
    assert os.listdir(mount["Source"]) == []
    engine.json("POST", "/containers/dangling/start", expect=204)
    engine.wait("dangling")


def test_a_dev_that_is_a_link_makes_nothing_on_the_host(
    engine: EngineProcess, canary: Any, import_image: Callable[..., None]
) -> None:
    import_image("hostile-dev", {"dev": str(canary.path), "proc": str(canary.path)}, {})
    engine.create("devs", "/bin/busybox", "true", image="hostile-dev")
    assert engine.request("POST", "/containers/devs/start")[0] >= 400
    engine.json("DELETE", "/containers/devs", expect=204)


def test_a_copy_as_the_container_s_user_does_not_wait_for_what_is_no_file(
    engine: EngineProcess, canary: Any, import_image: Callable[..., None]
) -> None:
    import_image("fifo-users", {}, {"etc/group": ""}, "USER somebody", fifos=("etc/passwd",))
    import_image("linked-users", {"etc/passwd": str(canary.path / "file")}, {}, "USER somebody")
    for image in ("fifo-users", "linked-users"):
        engine.create(image, "/bin/busybox", "true", image=image)
        status, body = call(engine, "PUT", f"/containers/{image}/archive?path=/&copyUIDGID=1", tar("x"))
        assert status == 400
        assert b"somebody" in body


def test_nothing_of_a_container_is_loaded_into_the_daemon_by_a_copy(engine: EngineProcess, canary: Any) -> None:
    engine.create("planted", "true", User="daemon")
    names = ("libnss_files.so.2", "libnss_compat.so.2", "libnss_dns.so.2", "sitecustomize.py")
    for place in ("/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib/python3"):
        call(engine, "PUT", f"/containers/planted/archive?path={place}", tar(*names))
    before = {line.split()[-1] for line in Path(f"/proc/{engine.pid}/maps").read_text().splitlines()}
    assert call(engine, "PUT", "/containers/planted/archive?path=/srv&copyUIDGID=1", tar("x"))[0] == 200
    assert call(engine, "GET", "/containers/planted/archive?path=/srv")[0] == 200
    after = {line.split()[-1] for line in Path(f"/proc/{engine.pid}/maps").read_text().splitlines()}
    assert not [path for path in after - before if path.startswith("/")]
    children = Path(f"/proc/{engine.pid}/task/{engine.pid}/children")
    until(lambda: len(children.read_text().split()) <= 2)  # launcher, at most one more of the engine's own
