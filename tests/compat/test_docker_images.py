"""Images through the docker command: import, tag, commit, save, load, history, removal."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.docker_command import DockerCli

BUSYBOX = "/bin/busybox"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with busybox alone, as a tar."""
    if not Path(BUSYBOX).exists():
        pytest.skip("needs /bin/busybox: apt-get install busybox-static")
    path = tmp_path_factory.mktemp("archive") / "root.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(BUSYBOX, "bin/busybox")
        for name in ("sh", "cat", "ls", "echo", "true", "dd"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        content = b"from the archive\n"
        file = tarfile.TarInfo("etc/motd")
        file.size = len(content)
        tar.addfile(file, io.BytesIO(content))
    return path


def test_an_imported_archive_runs_with_the_changes_that_were_asked(docker: DockerCli, archive: Path) -> None:
    image_id = docker("import", "-c", 'CMD ["cat", "/etc/motd"]', "-m", "by a test", str(archive), "once:one").strip()
    assert docker("run", "--rm", "--network", "none", "once:one") == "from the archive\n"
    assert json.loads(docker("image", "inspect", "once:one"))[0]["Id"] == image_id
    assert "by a test" in docker("history", "--no-trunc", "once:one")
    listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "once")
    assert listed.split() == ["once:one"]


def test_a_commit_has_what_the_container_wrote_and_the_parent_has_not(docker: DockerCli, archive: Path) -> None:
    docker("import", str(archive), "box:base")
    docker(
        "run", "--name", "writer", "--network", "none", "box:base", "sh", "-c", "echo new > /etc/motd; echo x > /added"
    )
    docker("commit", "-a", "Somebody", "-m", "more", "-c", "ENV COLOUR=blue", "writer", "box:more")
    shown = docker("run", "--rm", "--network", "none", "box:more", "sh", "-c", "cat /etc/motd /added; echo $COLOUR")
    assert shown == "new\nx\nblue\n"
    assert docker("run", "--rm", "--network", "none", "box:base", "cat", "/etc/motd") == "from the archive\n"
    layers = json.loads(docker("image", "inspect", "box:more"))[0]["RootFS"]["Layers"]
    assert layers[:1] == json.loads(docker("image", "inspect", "box:base"))[0]["RootFS"]["Layers"]
    assert len(layers) == 2
    docker("rm", "writer")


def test_a_saved_image_comes_back_as_the_same_image(docker: DockerCli, archive: Path, tmp_path: Path) -> None:
    docker("import", str(archive), "box:saved")
    before = docker("image", "inspect", "-f", "{{.Id}}", "box:saved")
    docker("save", "-o", str(tmp_path / "saved.tar"), "box:saved")
    docker("rmi", "-f", before.strip())
    docker("image", "inspect", "box:saved", code=1)
    assert "Loaded image: box:saved" in docker("load", "-i", str(tmp_path / "saved.tar"))
    assert docker("image", "inspect", "-f", "{{.Id}}", "box:saved") == before
    assert docker("run", "--rm", "--network", "none", "box:saved", "cat", "/etc/motd") == "from the archive\n"


def test_what_skopeo_makes_of_a_saved_image_has_the_same_layers(
    docker: DockerCli, archive: Path, tmp_path: Path
) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("needs skopeo: apt-get install skopeo")
    docker("import", str(archive), "box:other")
    docker("save", "-o", str(tmp_path / "other.tar"), "box:other")
    inspected = subprocess.run(
        ["skopeo", "inspect", "--config", f"docker-archive:{tmp_path}/other.tar"],
        capture_output=True,
        text=True,
        check=True,
    )
    ours = json.loads(docker("image", "inspect", "box:other"))[0]["RootFS"]["Layers"]
    assert json.loads(inspected.stdout)["rootfs"]["diff_ids"] == ours


def test_an_image_in_use_is_not_removed(docker: DockerCli, archive: Path) -> None:
    docker("import", str(archive), "box:used")
    docker("create", "--name", "user", "--network", "none", "box:used", "true")
    docker("rmi", "box:used", code=1)
    assert "container" in docker.errors
    docker("rm", "user")
    assert "Untagged: box:used" in docker("rmi", "box:used")


def test_names_are_given_and_taken(docker: DockerCli, archive: Path) -> None:
    docker("import", str(archive), "box:named")
    docker("tag", "box:named", "other/name:2")
    assert "Untagged: other/name:2" in docker("rmi", "other/name:2")
    docker("image", "inspect", "box:named")
    docker("tag", "box:named", "Bad Name", code=1)


def test_pruning_removes_what_has_no_name(docker: DockerCli, archive: Path) -> None:
    docker("import", str(archive), "box:pruned")
    docker("import", "-m", "again", str(archive), "box:pruned")
    assert docker("images", "-q", "--filter", "dangling=true").strip()
    docker("image", "prune", "-f")
    assert not docker("images", "-q", "--filter", "dangling=true").strip()
    docker("image", "inspect", "box:pruned")


def test_an_archive_that_is_none_is_refused_and_leaves_nothing(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "garbage").write_bytes(b"this is no tar " * 1000)
    layers = set((Path(docker.engine.data_root) / "layers").iterdir())
    docker("import", str(tmp_path / "garbage"), "garbage", code=1)
    docker("load", "-i", str(tmp_path / "garbage"), code=1)
    docker("load", given="abc", code=1)
    assert {path.name for path in (Path(docker.engine.data_root) / "layers").iterdir()} == {p.name for p in layers}
