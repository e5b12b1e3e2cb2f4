"""What volumes promise, kept for the docker command and for sampan's own alike."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.conftest import PROGRAM
from tests.docker_command import DockerCli
from tests.engine_process import EngineProcess
from tests.volume_plugin import Plugin

QUIET = ("--network", "none")
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service+ep


class SampanCli(DockerCli):
    """sampan's own command, called as docker's is."""

    def __call__(self, *words: str, given: str | None = None, code: int = 0) -> str:
        return self.run(sys.executable, "-I", "-c", PROGRAM, *words, given=given, code=code)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("engine")
    (folder / "plugins").mkdir()
    with EngineProcess(folder, "--plugin-dir", f"{folder}/plugins") as running:
        yield running


@pytest.fixture(scope="module", params=["docker", "sampan"])
def cli(docker: DockerCli, engine: EngineProcess, request: pytest.FixtureRequest) -> DockerCli:
    """Each command in turn, against the engine of this module."""
    home = Path(docker.environment["HOME"])
    return DockerCli(engine, home) if request.param == "docker" else SampanCli(engine, home)


@pytest.fixture(scope="module")
def image(cli: DockerCli, tmp_path_factory: pytest.TempPathFactory) -> str:
    """busybox with a directory that has an owner, a mode, attributes and a link in it, which is a volume."""
    archive = tmp_path_factory.mktemp("image") / "image.tar"
    cli("create", "--name", "plain", *QUIET, "busybox", "true")
    cli("export", "-o", str(archive), "plain")
    cli("rm", "plain")
    with tarfile.open(archive, "a", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, mode in (("kept", tarfile.DIRTYPE, 0o2750), ("kept/file", tarfile.REGTYPE, 0o4711)):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, 33, 44, 1_000_000_000
            info.pax_headers = {"SCHILY.xattr.user.colour": "blue"}
            if kind == tarfile.REGTYPE:
                info.pax_headers["SCHILY.xattr.security.capability"] = CAPABILITY.decode("latin-1")
            tar.addfile(info)
        link = tarfile.TarInfo("kept/link")
        link.type, link.linkname = tarfile.SYMTYPE, "file"
        tar.addfile(link)
    cli("import", "--change", "VOLUME /kept", str(archive), "keeper")
    return "keeper"


@pytest.fixture(autouse=True)
def tidy(cli: DockerCli) -> Iterator[None]:
    yield
    for container in cli("ps", "-aq").split():
        cli("rm", "-f", "-v", container)
    for volume in cli("volume", "ls", "-q").split():
        cli("volume", "rm", "-f", volume)


def place(cli: DockerCli, volume: str) -> Path:
    return Path(json.loads(cli("volume", "inspect", volume))[0]["Mountpoint"])


def volumes(cli: DockerCli, *filters: str) -> set[str]:
    return set(cli("volume", "ls", "-q", *(word for one in filters for word in ("--filter", one))).split())


def shell(cli: DockerCli, script: str, *words: str) -> str:
    """What a script in a container of its own says."""
    return cli("run", "--rm", *QUIET, *words, "busybox", "sh", "-c", script)


def megabytes(size: str) -> float:
    """A size as the commands write it."""
    assert size.endswith("MB"), size
    return float(size.removesuffix("MB"))


def test_a_volume_is_one_for_all_at_once_and_outlives_them(cli: DockerCli) -> None:
    for name in ("one", "two"):
        cli("run", "-d", "--name", name, *QUIET, "-v", "shared:/data", "busybox", "sleep", "1000")
    cli("exec", "one", "sh", "-c", "echo now > /data/file")
    assert cli("exec", "two", "cat", "/data/file") == "now\n"
    cli("volume", "rm", "shared", code=1)
    assert "volume is in use" in cli.errors
    cli("rm", "-f", "-v", "one", "two")
    cli("volume", "prune", "-f")
    assert shell(cli, "cat /data/file", "--mount", "source=shared,target=/data") == "now\n"


def test_volumes_of_another_container_are_had_as_they_are_or_read_only(cli: DockerCli) -> None:
    mounts = ("-v", "first:/first", "-v", "/second", "--mount", "type=volume,src=third,dst=/third,readonly")
    cli("run", "--name", "giver", *QUIET, *mounts, "busybox", "sh", "-c", "echo given | tee /first/x > /second/x")
    script = "cat /first/x /second/x; touch /first/y || echo no; touch /third/y || echo no"
    assert shell(cli, script, "--volumes-from", "giver") == "given\ngiven\nno\n"
    assert shell(cli, script, "--volumes-from", "giver:ro") == "given\ngiven\nno\nno\n"
    assert sorted(os.listdir(place(cli, "first"))) == ["x", "y"]


def test_an_image_s_volume_has_its_content_with_owner_mode_and_attributes(cli: DockerCli, image: str) -> None:
    before = volumes(cli)
    cli("run", "--name", "made", *QUIET, image, "sh", "-c", "echo mine > /kept/new")
    (name,) = volumes(cli) - before
    made = place(cli, name)
    assert sorted(os.listdir(made)) == ["file", "link", "new"]
    for path, mode in ((made, 0o2750), (made / "file", 0o4711)):
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (33, 44, mode)
        assert os.getxattr(path, "user.colour") == b"blue"
    assert (made / "file").stat().st_mtime == 1_000_000_000
    assert os.getxattr(made / "file", "security.capability") == CAPABILITY
    assert os.readlink(made / "link") == "file"
    cli("rm", "made")
    assert name in volumes(cli)
    cli("run", "--name", "again", *QUIET, image, "true")
    (other,) = volumes(cli) - before - {name}
    cli("rm", "-v", "again")
    assert volumes(cli) - before == {name}, f"{other} went with its container"


def test_what_is_in_a_volume_is_no_part_of_a_commit_or_an_export(cli: DockerCli, image: str, tmp_path: Path) -> None:
    cli("run", "--name", "parted", *QUIET, image, "sh", "-c", "echo x > /kept/secret; echo y > /seen")
    cli("commit", "parted", "parted-image")
    assert cli("run", "--rm", *QUIET, "parted-image", "sh", "-c", "cat /seen; ls /kept") == "y\nfile\nlink\n"
    cli("export", "-o", f"{tmp_path}/out.tar", "parted")
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert {"seen", "kept/file"} <= set(archive.getnames())
        assert "kept/secret" not in archive.getnames()
    cli("rm", "-v", "parted")
    cli("rmi", "parted-image")


def test_a_volume_is_filled_once_and_never_with_nocopy(cli: DockerCli, image: str) -> None:
    run = ("run", "--rm", *QUIET)
    assert cli(*run, "-v", "bare:/kept:nocopy", image, "ls", "/kept") == ""
    assert cli(*run, "--mount", "src=bare2,dst=/kept,volume-nocopy", image, "ls", "/kept") == ""
    assert cli(*run, "-v", "full:/kept", image, "sh", "-c", "rm /kept/link; ls /kept") == "file\n"
    assert cli(*run, "-v", "full:/kept", image, "ls", "/kept") == "file\n"
    assert cli(*run, "-v", "bare:/kept", image, "ls", "/kept") == "file\nlink\n"


def test_a_part_of_a_volume_is_mounted_alone(cli: DockerCli) -> None:
    shell(cli, "mkdir -p /x/sub/deep; echo deep > /x/sub/deep/file; ln -s / /x/out", "-v", "whole:/x")
    mount = "type=volume,src=whole,dst=/y,volume-subpath="
    assert shell(cli, "ls /y; cat /y/file", "--mount", f"{mount}sub/deep") == "file\ndeep\n"
    assert shell(cli, "touch /y/new || echo no", "--mount", f"{mount}sub,readonly") == "no\n"
    for path, code in (("missing", 127), ("out", 125), ("../..", 125)):
        cli("run", "--rm", *QUIET, "--mount", mount + path, "busybox", "true", code=code)


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Path]:
    """A directory with another mount in it."""
    (tmp_path / "outer/inner").mkdir(parents=True)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"tmpfs", os.fsencode(tmp_path / "outer/inner"), b"tmpfs", 0, b"") == 0
    try:
        yield tmp_path / "outer"
    finally:
        subprocess.run(["umount", str(tmp_path / "outer/inner")], check=True)


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ("", "outer inner"),
        (",readonly", ""),
        (",readonly,bind-recursive=readonly,bind-propagation=rprivate", ""),
        (",readonly,bind-recursive=writable", "inner"),
        (",bind-recursive=disabled", "outer inner-below"),
    ],
)
def test_a_bind_is_read_only_as_far_down_as_is_asked(cli: DockerCli, nested: Path, options: str, written: str) -> None:
    script = "touch /m/x && echo outer; touch /m/inner/x && echo inner; true"
    said = shell(cli, script, "--mount", f"type=bind,src={nested},dst=/m{options}").split()
    there = (nested / "inner/x").exists()
    assert " ".join(said) == written.replace("-below", "")
    assert there == ("inner" in said and "below" not in written)


def test_what_the_driver_s_options_say_is_mounted(cli: DockerCli, tmp_path: Path) -> None:
    options = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m,uid=7,mode=0700")
    cli("volume", "create", *options, "memory")
    assert json.loads(cli("volume", "inspect", "memory"))[0]["Options"] == {
        "type": "tmpfs",
        "device": "tmpfs",
        "o": "size=1m,uid=7,mode=0700",
    }
    script = "stat -c '%u %a' /m; dd if=/dev/zero of=/m/x bs=1k count=2000 2>/dev/null || echo full"
    assert shell(cli, script, "-v", "memory:/m") == "7 700\nfull\n"
    (tmp_path / "file").write_text("of the host\n")
    options = ("--opt", "type=none", "--opt", f"device={tmp_path}", "--opt", "o=bind,ro")
    cli("volume", "create", *options, "elsewhere")
    assert shell(cli, "cat /b/file; touch /b/x || echo no", "-v", "elsewhere:/b") == "of the host\nno\n"
    inline = f"type=volume,dst=/b,volume-opt=type=none,volume-opt=o=bind,volume-opt=device={tmp_path}"
    shell(cli, "touch /b/through", "--mount", inline)
    assert (tmp_path / "through").exists()
    cli("volume", "create", "--opt", "colour=blue", "odd", code=1)
    assert 'invalid option: "colour"' in cli.errors


def test_what_cannot_be_mounted_is_said_at_the_start(cli: DockerCli) -> None:
    cli("volume", "create", "--opt", "type=nosuchfs", "--opt", "device=:/srv", "--opt", "o=addr=192.0.2.1", "far")
    cli("run", "--rm", *QUIET, "-v", "far:/far", "busybox", "true", code=125)
    assert "this kernel has no file system of type 'nosuchfs', wanted at /far" in cli.errors
    cli("volume", "create", "--opt", "type=nfs", "--opt", "device=:/srv", "--opt", "o=addr=nobody..example", "lost")
    cli("run", "--rm", *QUIET, "-v", "lost:/lost", "busybox", "true", code=125)
    assert "cannot mount volume lost: error resolving passed in network volume address: nobody..example" in cli.errors


def test_a_plugin_keeps_volumes(cli: DockerCli, engine: EngineProcess, tmp_path: Path) -> None:
    with plugin(Path(engine.data_root).parent / "plugins/shelf.sock", tmp_path) as shelf:
        assert cli("volume", "create", "--driver", "shelf", "--opt", "row=top", "--label", "a=b", "far") == "far\n"
        assert shelf.calls("Create") == [{"Name": "far", "Opts": {"row": "top"}}]
        shown = json.loads(cli("volume", "inspect", "far"))[0]
        assert (shown["Driver"], shown["Scope"], shown["Mountpoint"]) == ("shelf", "global", str(tmp_path / "far"))
        assert volumes(cli, "driver=shelf") == {"far"}
        assert shell(cli, "echo kept > /d/file; cat /d/file", "-v", "far:/d") == "kept\n"
        assert (tmp_path / "far/file").read_text() == "kept\n"
        assert len(shelf.calls("Mount")) == len(shelf.calls("Unmount"))
        shell(cli, "touch /d/new", "--volume-driver", "shelf", "-v", "near:/d")
        assert (tmp_path / "near/new").exists()
        cli("volume", "rm", "far", "near")
        assert {call["Name"] for call in shelf.calls("Remove")} == {"far", "near"}
    cli("volume", "create", "--driver", "shelf", "none", code=1)


@contextmanager
def plugin(socket: Path, folder: Path) -> Iterator[Plugin]:
    running = Plugin(socket, folder)
    try:
        yield running
    finally:
        running.stop()


def test_volumes_are_found_by_label_name_driver_and_use(cli: DockerCli) -> None:
    cli("volume", "create", "--label", "tier=db", "--label", "kept", "blue-one")
    cli("volume", "create", "--label", "tier=web", "blue-two")
    cli("create", *QUIET, "-v", "blue-two:/x", "-v", "green:/y", "busybox", "true")
    found: list[tuple[tuple[str, ...], set[str]]] = [
        ((), {"blue-one", "blue-two", "green"}),
        (("label=tier",), {"blue-one", "blue-two"}),
        (("label=tier=db",), {"blue-one"}),
        (("label=tier", "label=kept"), {"blue-one"}),
        (("name=blue",), {"blue-one", "blue-two"}),
        (("name=blue", "label=tier=web"), {"blue-two"}),
        (("driver=local",), {"blue-one", "blue-two", "green"}),
        (("driver=other",), set()),
        (("dangling=true",), {"blue-one"}),
        (("dangling=false",), {"blue-two", "green"}),
    ]
    for filters, wanted in found:
        assert volumes(cli, *filters) == wanted, filters
    line = cli("volume", "ls", "--filter", "name=blue-one", "--format", '{{.Driver}} {{.Name}} {{.Label "tier"}}')
    assert line == "local blue-one db\n"


def test_prune_takes_what_nobody_uses_and_no_more_than_was_said(cli: DockerCli) -> None:
    anonymous = {cli("volume", "create").strip() for _ in range(2)}
    cli("volume", "create", "--label", "kept", "labelled")
    cli("volume", "create", "plain")
    cli("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "memory")
    cli("create", *QUIET, "-v", "used:/x", "-v", "/y", "busybox", "true")
    (place(cli, "plain") / "file").write_bytes(bytes(5 << 20))
    in_use = volumes(cli, "dangling=false")
    said = cli("volume", "prune", "-f")
    assert set(said.split()) & volumes(cli) == set()
    assert volumes(cli) == {"labelled", "plain", "memory", *in_use}
    assert all(name in said for name in anonymous)
    said = cli("volume", "prune", "-f", "--all", "--filter", "label!=kept")
    assert "plain" in said
    assert 5.2 < megabytes(said.split()[-1]) < 5.4
    assert volumes(cli) == {"labelled", "memory", *in_use}


def test_the_size_of_each_volume_is_told(cli: DockerCli) -> None:
    cli("create", *QUIET, "-v", "held:/x", "busybox", "true")
    cli("volume", "create", "free")
    (place(cli, "held") / "file").write_bytes(bytes(3 << 20))
    (place(cli, "free") / "file").write_bytes(bytes(7 << 20))
    lines = [line.split() for line in cli("system", "df", "-v").splitlines()]
    told = {line[0]: line[1:] for line in lines if line and line[0] in {"held", "free"}}
    assert {name: links for name, (links, _) in told.items()} == {"held": "1", "free": "0"}
    # blocks on a disk, of which a file system may take a few more for itself
    assert 3.1 < megabytes(told["held"][1]) < 3.3
    assert 7.3 < megabytes(told["free"][1]) < 7.5
    total = next(line.split() for line in cli("system", "df").splitlines() if line.startswith("Local Volumes"))
    assert total[2:4] == ["2", "1"]
    assert 10.4 < megabytes(total[4]) < 10.8
    assert 7.3 < megabytes(total[5]) < 7.5


def test_a_size_is_held_or_refused_with_the_reason(cli: DockerCli) -> None:
    if "quota" in _size_refusal(cli):
        assert "no project quotas" in cli.errors
        assert volumes(cli) == set()
        return
    assert json.loads(cli("volume", "inspect", "sized"))[0]["Options"] == {"size": "1m"}
    script = "dd if=/dev/zero of=/s/x bs=1k count=2000 2>/dev/null || echo full"
    assert shell(cli, script, "-v", "sized:/s") == "full\n"


def _size_refusal(cli: DockerCli) -> str:
    """Ask for a volume with a size; what is said against it."""
    try:
        cli("volume", "create", "--opt", "size=1m", "sized")
    except AssertionError:
        return cli.errors
    return ""
