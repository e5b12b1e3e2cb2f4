"""Volumes and mounts by the command line, against an engine of the module's own with the machine as its image."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Command
from tests.engine_process import EngineProcess

Sampan = Callable[..., str]
QUIET = ("--network", "none")


@pytest.fixture
def cli(engine: EngineProcess, tmp_path: Path) -> Sampan:
    command = Command(f"unix://{engine.socket}", tmp_path)

    def call(*words: str, code: int = 0, given: bytes = b"") -> str:
        done = command(*words, input=given)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return (done.stderr if code else done.stdout).decode()

    return call


def test_a_mount_goes_into_a_running_container_and_out_again(cli: Sampan, tmp_path: Path) -> None:
    cli("run", "-d", "--name", "box", *QUIET, "host", "sleep", "1000")
    (tmp_path / "file").write_text("here\n")
    assert (
        cli("update", "--mount", f"type=bind,src={tmp_path},dst=/mnt/a", "--mount", "src=vol,dst=/mnt/b", "box")
        == "box\n"
    )
    assert cli("exec", "box", "sh", "-c", "cat /mnt/a/file; echo kept > /mnt/b/file") == "here\n"
    shown = cli("inspect", "-f", "{{range .Mounts}}{{.Type}}:{{.Destination}} {{end}}", "box")
    assert shown == "bind:/mnt/a volume:/mnt/b \n"
    assert "/mnt/a is busy" in cli("update", "--mount", "type=tmpfs,dst=/mnt/a", "box", code=1)
    cli("update", "--unmount", "/mnt/a", "--unmount", "/mnt/b", "box")
    assert cli("exec", "box", "ls", "/mnt/a") == ""
    assert "has no mount at /mnt/a" in cli("update", "--unmount", "/mnt/a", "box", code=1)
    cli("rm", "-f", "box")
    assert cli("run", "--rm", *QUIET, "-v", "vol:/x", "host", "cat", "/x/file") == "kept\n"


def test_a_volume_is_made_shared_listed_and_removed(cli: Sampan) -> None:
    assert cli("volume", "create", "--label", "tier=db", "life") == "life\n"
    assert json.loads(cli("volume", "inspect", "life"))[0]["Labels"] == {"tier": "db"}
    assert "life" in cli("volume", "ls", "-q", "-f", "label=tier=db").split()
    cli(
        "run", "-d", "--name", "writer", *QUIET, "-v", "life:/out", "host", "sh", "-c", "echo from > /out/x; sleep 1000"
    )
    script = "until [ -e /in/x ]; do sleep 0.02; done; cat /in/x; touch /in/y || true"
    assert cli("run", "--rm", *QUIET, "--mount", "src=life,dst=/in,readonly", "host", "sh", "-c", script) == "from\n"
    assert "volume is in use" in cli("volume", "rm", "life", code=1)
    assert cli("run", "--rm", *QUIET, "--volumes-from", "writer:ro", "host", "cat", "/out/x") == "from\n"
    cli("rm", "-f", "-v", "writer")
    assert cli("volume", "rm", "life") == "life\n"


def test_a_volume_is_no_part_of_a_commit_or_an_export(cli: Sampan, tmp_path: Path) -> None:
    script = "echo x > /data/secret; echo y > /seen"
    cli("run", "--name", "parted", *QUIET, "-v", "apart:/data", "busybox", "sh", "-c", script)
    cli("commit", "parted", "parted-image")
    assert cli("run", "--rm", *QUIET, "parted-image", "sh", "-c", "cat /seen; ls /data") == "y\n"
    cli("export", "-o", f"{tmp_path}/out.tar", "parted")
    with tarfile.open(tmp_path / "out.tar") as archive:
        names = archive.getnames()
    assert "seen" in names
    assert "data/secret" not in names
    cli("rm", "parted")
    assert cli("run", "--rm", *QUIET, "-v", "apart:/data:ro", "busybox", "cat", "/data/secret") == "x\n"


def test_only_anonymous_volumes_are_pruned_unless_all_are_meant(cli: Sampan) -> None:
    cli("volume", "create", "named")
    anonymous = cli("volume", "create").strip()
    assert anonymous in cli("volume", "prune", "-f")
    assert "named" in cli("volume", "ls", "-q").split()
    assert "named" in cli("volume", "prune", "-f", "--all")


def test_a_subpath_and_a_volume_without_copy_are_as_asked(cli: Sampan) -> None:
    cli("run", "--rm", *QUIET, "-v", "whole:/x:nocopy", "host", "sh", "-c", "mkdir /x/sub; echo in > /x/sub/file")
    mount = "type=volume,src=whole,dst=/y,volume-subpath=sub"
    assert cli("run", "--rm", *QUIET, "--mount", mount, "host", "ls", "/y") == "file\n"
    assert cli("run", "--rm", *QUIET, "--mount", "src=bare,dst=/etc/apt,volume-nocopy", "host", "ls", "/etc/apt") == ""
    assert cli("run", "--rm", *QUIET, "-v", "filled:/etc/apt", "host", "ls", "/etc/apt") != ""


def test_a_volume_is_cloned_kept_restored_renamed_and_carried_away(cli: Sampan, tmp_path: Path) -> None:
    def files(volume: str) -> str:
        return cli("run", "--rm", *QUIET, "-v", f"{volume}:/x:ro", "busybox", "sh", "-c", "cd /x; grep . *")

    cli("run", "--rm", *QUIET, "-v", "db:/x", "busybox", "sh", "-c", "echo one > /x/a; echo two > /x/b")
    assert cli("volume", "snapshot", "db", "before") == "before\n"
    assert cli("volume", "clone", "--pause", "db", "db2") == "db2\n"
    cli("run", "--rm", *QUIET, "-v", "db:/x", "busybox", "rm", "/x/a")
    assert files("db") == "two\n"
    assert files("db2") == "a:one\nb:two\n"
    assert cli("volume", "snapshots", "-q", "db") == "before\n"
    assert cli("volume", "snapshots", "db").startswith("SNAPSHOT   CREATED AT\nbefore     20")
    cli("volume", "restore", "db", "before")
    assert files("db") == "a:one\nb:two\n"
    assert cli("volume", "forget", "db", "before") == "before\n"
    assert "has no snapshot before" in cli("volume", "restore", "db", "before", code=1)
    cli("volume", "rename", "db", "db3")
    cli("volume", "export", "-o", f"{tmp_path}/db.tar", "db3")
    assert cli("volume", "import", "--label", "from=tar", f"{tmp_path}/db.tar", "db4") == "db4\n"
    assert files("db4") == "a:one\nb:two\n"
    archive = (tmp_path / "db.tar").read_bytes()
    assert cli("volume", "import", "-", "db5", given=archive) == "db5\n"
    assert json.loads(cli("volume", "inspect", "db4"))[0]["Labels"] == {"from": "tar"}
    assert "exists" in cli("volume", "import", f"{tmp_path}/db.tar", "db4", code=1)


@pytest.mark.parametrize("kind", ["secret", "config"])
def test_secrets_and_configs_are_kept_and_mounted(cli: Sampan, tmp_path: Path, kind: str) -> None:
    (tmp_path / "content").write_text("hush\n")
    made = cli(kind, "create", "--label", "a=b", "one", f"{tmp_path}/content").strip()
    cli(kind, "create", "two", "-", given=b"other\n")
    assert cli(kind, "ls", "--format", "{{.Name}} {{.Labels}}") == "one a=b\ntwo \n"
    assert cli(kind, "ls", "-q", "-f", "name=one") == f"{made}\n"
    assert json.loads(cli(kind, "inspect", "one"))[0]["ID"] == made
    mounts = (f"--{kind}=one,target=/opt/one,mode=0400,uid=5", f"--{kind}", "source=two,target=/two")
    script = "cat /opt/one /two; stat -c '%a %u' /opt/one"
    assert cli("run", "--name", "has", *QUIET, *mounts, "busybox", "sh", "-c", script) == "hush\nother\n400 5\n"
    assert "is in use by the following containers: has" in cli(kind, "rm", "one", code=1)
    assert "names no" in cli("run", f"--{kind}", "target=/x", "busybox", "true", code=125)
    assert "has no use for" in cli("run", f"--{kind}", "one,colour=blue", "busybox", "true", code=125)
    cli("rm", "has")
    assert cli(kind, "rm", "one", "two") == "one\ntwo\n"
    assert "not found" in cli(kind, "inspect", "one", code=1)


def test_a_copy_is_given_an_owner_and_its_parents(cli: Sampan, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_text("here\n")
    (tmp_path / "out").mkdir()
    source = tmp_path / "deep" / "er" / "file"
    cli("run", "-d", "--name", "owned", *QUIET, "host", "sleep", "1000")
    cli("cp", "--chown", "daemon:games", str(source), "owned:/srv/mine")
    assert cli("exec", "owned", "stat", "-c", "%U:%G", "/srv/mine") == "daemon:games\n"
    assert "nobody-of-this-name" in cli("cp", "--chown", "nobody-of-this-name", str(source), "owned:/srv", code=1)
    assert "--chown is for copies into" in cli("cp", "--chown", "0", "owned:/srv/mine", str(tmp_path), code=1)

    cli("cp", "--parents", str(source), "owned:/srv")
    assert cli("exec", "owned", "cat", f"/srv{source}") == "here\n"
    cli("cp", "--parents", f"owned:/srv{source.parent}", str(tmp_path / "out"))
    assert (tmp_path / "out" / "srv" / str(source).lstrip("/")).read_text() == "here\n"
    assert "goes up" in cli("cp", "--parents", "..", "owned:/srv", code=1)
    assert "is no directory" in cli("cp", "--parents", str(source), "owned:/srv/none", code=1)
