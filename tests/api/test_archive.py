from __future__ import annotations

import base64
import gzip
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.engine_process import EngineProcess, UnixConnection
from tests.mount_table import mounts_seen_from
from tests.waiting import until

GO_DIRECTORY, GO_LINK = 1 << 31, 1 << 27


def call(engine: EngineProcess, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = UnixConnection(engine.socket)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-tar"} if body is not None else {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def look(engine: EngineProcess, name: str, path: str) -> Any:
    status, headers, _ = call(engine, "HEAD", f"/containers/{name}/archive?path={quote(path)}")
    assert status == 200
    return json.loads(base64.b64decode(headers["X-Docker-Container-Path-Stat"]))


def get(engine: EngineProcess, name: str, path: str) -> tarfile.TarFile:
    status, headers, body = call(engine, "GET", f"/containers/{name}/archive?path={quote(path)}")
    assert status == 200, body
    assert headers["Content-Type"] == "application/x-tar"
    assert headers["X-Docker-Container-Path-Stat"]
    return tarfile.open(fileobj=io.BytesIO(body))


def put(engine: EngineProcess, name: str, path: str, archive: bytes, more: str = "") -> tuple[int, str]:
    status, _, body = call(engine, "PUT", f"/containers/{name}/archive?path={quote(path)}{more}", archive)
    return status, json.loads(body)["message"] if body else ""


def tar(*entries: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
                continue
            name, content = entry
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o640
            info.uid, info.gid = 12, 34
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


@pytest.fixture(scope="module", params=["running", "stopped"])
def box(engine: EngineProcess, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container with a volume, a read-only one and some files, that runs or has run."""
    name = f"box-{request.param}"
    script = (
        "mkdir -p /data/sub; echo content > /data/file; chown 5:6 /data/file; chmod 4750 /data/file;"
        "ln -s file /data/link; ln -s /data/sub /data/dirlink; ln -s loop /data/loop; mkfifo /data/fifo;"
        "ln /data/file /data/sub/hard; setfattr -n user.colour -v blue /data/file 2>/dev/null;"
        "echo in the volume > /vol/inside; echo ready > /data/ready; [ $1 = stopped ] || sleep 1000"
    )
    host = {"Binds": [f"{name}:/vol", f"{name}-ro:/ro:ro"], "Tmpfs": {"/mem": ""}}
    engine.run(name, "sh", "-c", script, "sh", request.param, host=host)
    if request.param == "stopped":
        engine.wait(name)
    else:
        while call(engine, "HEAD", f"/containers/{name}/archive?path=/data/ready")[0] != 200:
            pass
    yield name
    engine.json("DELETE", f"/containers/{name}?force=1&v=1", expect=204)


def test_a_path_s_stat_tells_what_is_there(engine: EngineProcess, box: str) -> None:
    file = look(engine, box, "/data/file")
    assert (file["name"], file["size"], file["linkTarget"]) == ("file", 8, "")
    assert file["mode"] == 0o750 | 1 << 23
    assert look(engine, box, "data/../data//sub/")["mode"] & GO_DIRECTORY
    found = look(engine, box, "/data/link")
    assert found["mode"] & GO_LINK
    assert found["linkTarget"] == "/data/file"
    assert look(engine, box, "/data/dirlink/")["mode"] & GO_DIRECTORY
    assert look(engine, box, "/")["name"] == "/"
    for missing in ("/nothing", "/data/file/x", "/data/file/", "/../nothing"):
        assert call(engine, "HEAD", f"/containers/{box}/archive?path={missing}")[0] == 404
    status, _, body = call(engine, "GET", f"/containers/{box}/archive?path=/nothing")
    assert (status, json.loads(body)["message"]) == (404, f"Could not find the file /nothing in container {box}")
    assert call(engine, "GET", f"/containers/{box}/archive")[0] == 400
    assert call(engine, "GET", f"/containers/{box}/archive?path=/data/loop/")[0] >= 400


def test_an_archive_holds_what_is_there_under_the_path_s_name(engine: EngineProcess, box: str) -> None:
    archive = get(engine, box, "/data")
    names = {member.name: member for member in archive}
    assert set(names) == {
        f"data{rest}" for rest in ("", "/dirlink", "/fifo", "/file", "/link", "/loop", "/ready", "/sub", "/sub/hard")
    }
    file = names["data/file"]
    assert (file.uid, file.gid, file.mode) == (5, 6, 0o4750)
    hard = names["data/sub/hard"]
    assert (hard.islnk(), hard.linkname) == (True, "data/file")
    content = archive.extractfile("data/file")
    assert content
    assert content.read() == b"content\n"
    assert [member.name for member in get(engine, box, "/data/file")] == ["file"]
    assert get(engine, box, "/data/link").getmember("link").issym()
    assert "dirlink/hard" in get(engine, box, "/data/dirlink/").getnames()
    assert (
        "./hard" in get(engine, box, "/data/sub/.").getnames() or "hard" in get(engine, box, "/data/sub/.").getnames()
    )
    assert {"vol", "vol/inside"} <= set(get(engine, box, "/vol").getnames())


def test_an_archive_goes_where_links_lead_inside_and_keeps_owners(engine: EngineProcess, box: str) -> None:
    made = tar(("new/deep/file", b"put\n"), link("new/alias", "/etc"), ("new/plain", b"x"))
    assert put(engine, box, "/data/dirlink", made) == (200, "")
    archive = get(engine, box, "/data/sub/new")
    file = archive.getmember("new/deep/file")
    assert (file.uid, file.gid, file.mode) == (12, 34, 0o640)
    assert archive.getmember("new/alias").linkname == "/etc"
    for place in ("/vol", "/vol/"):
        assert put(engine, box, place, tar(("given", b"to the volume"))) == (200, "")
    volume = Path(engine.json("GET", f"/volumes/{box}")["Mountpoint"])
    assert (volume / "given").read_bytes() == b"to the volume"
    assert put(engine, box, "/data", gzip.compress(tar(("zipped", b"z")))) == (200, "")
    assert get(engine, box, "/data/zipped").getnames() == ["zipped"]


def test_what_an_archive_may_not_do_is_refused(engine: EngineProcess, box: str) -> None:
    assert put(engine, box, "/nowhere", tar(("x", b"")))[0] == 404
    assert put(engine, box, "/data/file", tar(("x", b""))) == (400, "extraction point is not a directory")
    assert put(engine, box, "/ro", tar(("x", b""))) == (403, "mounted volume is marked read-only")
    assert put(engine, box, "/data", tar(("../escape", b"")))[0] == 400
    assert put(engine, box, "/data", b"this is no archive" * 100)[0] == 400
    status, words = put(engine, box, "/data", tar(("sub", b"")), "&noOverwriteDirNonDir=true")
    assert status == 400
    assert "cannot overwrite directory" in words
    assert put(engine, box, "/data", tar(("ready", b"again")), "&noOverwriteDirNonDir=true") == (200, "")


def test_links_out_of_the_container_lead_nowhere(engine: EngineProcess, box: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("of the host")
    assert (
        put(
            engine,
            box,
            "/data",
            tar(link("out", str(tmp_path)), link("up", "../../../../../.."), link("proc", "/proc/1/root")),
        )[0]
        == 200
    )
    for way in ("out", f"up{tmp_path}", f"proc{tmp_path}"):
        assert call(engine, "GET", f"/containers/{box}/archive?path=/data/{way}/canary")[0] >= 400
        assert put(engine, box, f"/data/{way}", tar(("canary", b"changed")))[0] >= 400
    assert put(engine, box, "/data", tar(("out/canary", b"changed"), ("proc/x", b"")))[0] >= 400
    assert canary.read_text() == "of the host"
    assert os.listdir(tmp_path) == ["canary"]


def test_a_tmpfs_of_a_running_container_is_reached(engine: EngineProcess) -> None:
    engine.run(
        "tmpfs", "sh", "-c", "until [ -e /mem/go ]; do sleep 0.02; done; cat /mem/go", host={"Tmpfs": {"/mem": ""}}
    )
    assert put(engine, "tmpfs", "/mem", tar(("go", b"went\n"))) == (200, "")
    assert engine.wait("tmpfs") == 0
    assert engine.output("tmpfs") == ["went"]


@pytest.mark.parametrize("running", [True, False])
def test_a_read_only_root_is_read_but_not_written(engine: EngineProcess, *, running: bool) -> None:
    name = f"readonly-{running}"
    host = {"ReadonlyRootfs": True, "Binds": [f"{name}:/vol"]}
    engine.run(name, "sleep", "100" if running else "0", host=host)
    if not running:
        engine.wait(name)
    assert put(engine, name, "/srv", tar(("x", b""))) == (403, "container rootfs is marked read-only")
    assert put(engine, name, "/vol", tar(("x", b""))) == (200, "")
    assert get(engine, name, "/etc/hostname").getnames() == ["hostname"]
    engine.json("DELETE", f"/containers/{name}?force=1", expect=204)


def test_with_copy_ids_all_belongs_to_the_container_s_user(engine: EngineProcess) -> None:
    engine.create("users", "true", User="daemon")
    assert put(engine, "users", "/srv", tar(("mine", b"")), "&copyUIDGID=true") == (200, "")
    member = get(engine, "users", "/srv/mine").getmember("mine")
    assert (member.uid, member.gid) == (1, 1)


def test_what_is_copied_belongs_to_the_owner_that_is_named(engine: EngineProcess) -> None:
    engine.create("owned", "true", User="daemon")
    for owner, uid, gid in (("bin", 2, 2), ("7:games", 7, 60), ("0:0", 0, 0)):
        assert put(engine, "owned", "/srv", tar((f"of-{uid}", b"")), f"&copyUIDGID=1&chown={owner}") == (200, "")
        (member,) = get(engine, "owned", f"/srv/of-{uid}").getmembers()
        assert (member.uid, member.gid) == (uid, gid)
    status, message = put(engine, "owned", "/srv", tar(("x", b"")), "&chown=nobody-of-this-name")
    assert status == 400
    assert "nobody-of-this-name" in message
    engine.json("DELETE", "/containers/owned", expect=204)


def test_a_container_that_never_ran_can_be_copied_into_and_then_has_it(engine: EngineProcess) -> None:
    engine.create("fresh", "cat", "/srv/a", "/vol/b", host={"Binds": ["fresh:/vol"]})
    assert put(engine, "fresh", "/", tar(("srv/a", b"a\n"), ("vol/b", b"b\n"))) == (200, "")
    engine.json("POST", "/containers/fresh/start", expect=204)
    assert engine.wait("fresh") == 0
    assert engine.output("fresh") == ["a", "b"]


def test_nothing_is_mounted_on_the_host_and_no_descriptor_stays_open(engine: EngineProcess, box: str) -> None:
    get(engine, box, "/data")
    before = mounts_seen_from(engine.data_root, engine.exec_root), len(os.listdir(f"/proc/{engine.pid}/fd"))
    for _ in range(20):
        get(engine, box, "/data")
        put(engine, box, "/data", tar(("again", b"")))
        call(engine, "HEAD", f"/containers/{box}/archive?path=/nothing")
    assert mounts_seen_from(engine.data_root, engine.exec_root) == before[0]
    until(lambda: len(os.listdir(f"/proc/{engine.pid}/fd")) <= before[1] + 2)  # the last connections end


def test_a_client_that_leaves_in_the_middle_leaves_the_container_free(engine: EngineProcess) -> None:
    engine.run("left", "sh", "-c", "head -c 50000000 /dev/zero | tr '\\0' x > /srv/big")
    engine.wait("left")
    for method, body in (("GET", b""), ("PUT", b"")):
        connection = UnixConnection(engine.socket)
        connection.putrequest(method, "/containers/left/archive?path=/srv")
        if method == "PUT":
            connection.putheader("Content-Length", "100000")
        connection.endheaders(body)
        connection.sock.settimeout(60)
        if method == "GET":
            assert connection.sock.recv(1000)
        else:
            connection.sock.sendall(tar(("half", b"x" * 5000))[:2000])
        connection.close()
    engine.json("POST", "/containers/left/start", expect=204)
    assert engine.wait("left") == 0


def test_memory_is_bounded_while_large_files_pass(engine: EngineProcess) -> None:
    engine.run("large", "sh", "-c", "head -c 300000000 /dev/zero > /srv/big")
    engine.wait("large")

    def peak() -> int:
        status = Path(f"/proc/{engine.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))

    Path(f"/proc/{engine.pid}/clear_refs").write_text("5")
    before = peak()
    curl = ["curl", "-sN", "--unix-socket", engine.socket]
    where = "http://x/containers/large/archive?path="
    with subprocess.Popen([*curl, f"{where}/srv/big"], stdout=subprocess.PIPE) as out:
        back = subprocess.run([*curl, "-T", "-", f"{where}/tmp"], stdin=out.stdout, capture_output=True, check=True)
    assert out.returncode == 0
    assert back.stdout == b""
    assert look(engine, "large", "/tmp/big")["size"] == 300000000
    assert peak() - before < 60_000
    engine.json("DELETE", "/containers/large", expect=204)


def test_changes_are_what_the_container_changed(engine: EngineProcess) -> None:
    engine.create("same", "true")
    assert engine.json("GET", "/containers/same/changes") is None
    engine.run(
        "changer",
        "sh",
        "-c",
        "echo x > /srv/new; echo y >> /etc/hostname.bak; rm /etc/debian_version; touch /etc/passwd; mkdir /srv/d",
        host={"Binds": ["changed:/vol"]},
    )
    engine.wait("changer")
    found = {change["Path"]: change["Kind"] for change in engine.json("GET", "/containers/changer/changes")}
    assert found["/srv/new"] == found["/srv/d"] == 1
    assert found["/etc"] == found["/etc/passwd"] == 0
    assert found["/etc/debian_version"] == 2
    assert "/vol/x" not in found


def test_names_that_are_no_utf8_are_told_with_a_sign_for_what_is_no_text(engine: EngineProcess) -> None:
    engine.run("bytes", "sh", "-c", r"touch $(printf '/srv/a\377b'); ln -s $(printf 'to\377') /srv/link")
    engine.wait("bytes")
    assert {"Path": "/srv/a\ufffdb", "Kind": 1} in engine.json("GET", "/containers/bytes/changes")
    assert look(engine, "bytes", "/srv/link")["linkTarget"] == "/srv/to\ufffd"


def test_export_is_the_root_without_its_volumes(engine: EngineProcess) -> None:
    script = "echo kept > /kept; rm /bin/vi; echo lost > /vol/lost; sleep 300"
    host = {"Binds": ["exported:/vol"], "Tmpfs": {"/mem": ""}}
    engine.create("exported", "sh", "-c", script, image="busybox", host=host)
    engine.json("POST", "/containers/exported/start", expect=204)
    while call(engine, "HEAD", "/containers/exported/archive?path=/vol/lost")[0] != 200:
        pass
    running = exported(engine, "exported")
    assert {"kept", "vol", "bin/sh", "etc/hosts", "mem"} <= set(running)
    assert not {"vol/lost", "bin/vi"} & set(running)
    assert not [name for name in running if name.startswith(("proc/", "sys/"))]
    engine.json("POST", "/containers/exported/kill", expect=204)
    assert exported(engine, "exported") == running


def exported(engine: EngineProcess, name: str) -> list[str]:
    status, _, body = call(engine, "GET", f"/containers/{name}/export")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return archive.getnames()


def test_copies_in_both_directions_at_once_do_not_block_each_other(engine: EngineProcess) -> None:
    engine.run("busy", "sleep", "100")
    results: list[int] = []

    def work(number: int) -> None:
        results.append(put(engine, "busy", "/srv", tar(*((f"{number}/{i}", b"x" * 1000) for i in range(50))))[0])
        results.append(len(get(engine, "busy", f"/srv/{number}").getnames()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [51] * 6 + [200] * 6
    engine.json("DELETE", "/containers/busy?force=1", expect=204)


@pytest.mark.usefixtures("busybox")
def test_the_whole_root_of_a_running_container_comes_without_what_the_kernel_makes_up(engine: EngineProcess) -> None:
    host = {"Binds": ["whole-root:/vol"], "Tmpfs": {"/mem": ""}}
    words = "echo v > /vol/f; echo m > /mem/f; echo r > /f; sleep 1000"
    engine.create("whole", "sh", "-c", words, image="busybox", host=host)
    engine.json("POST", "/containers/whole/start", expect=204)
    until(lambda: call(engine, "GET", "/containers/whole/archive?path=/f")[0] == 200)
    names = set(get(engine, "whole", "/").getnames())
    assert {"vol/f", "mem/f", "f", "proc", "sys"} <= {name.strip("/") for name in names}
    assert not [name for name in names if name.strip("/").startswith(("proc/", "sys/"))]
    assert get(engine, "whole", "/proc").getnames() == ["proc"]
    assert get(engine, "whole", "/proc/1/cmdline").getnames() == ["cmdline"]
