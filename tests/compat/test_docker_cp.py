"""Files in and out of containers through the docker command: cp in all its shapes, diff and export."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docker_command import DockerCli


@pytest.fixture(scope="module", params=["running", "stopped"])
def box(docker: DockerCli, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"box-{request.param}"
    docker("run", "-d", "--name", name, "--network", "none", "-v", f"{name}:/vol", "busybox", "sleep", "300")
    docker("exec", name, "sh", "-c", "mkdir -p /d/sub /empty; echo one > /d/one; ln -s one /d/link; ln -s d /dirlink")
    if request.param == "stopped":
        docker("kill", name)
    yield name
    docker("rm", "-f", "-v", name)


def test_a_file_goes_in_and_out_under_the_names_that_docker_gives(docker: DockerCli, box: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    (tmp_path / "file").chmod(0o640)
    docker("cp", f"{tmp_path}/file", f"{box}:/d")
    docker("cp", f"{tmp_path}/file", f"{box}:/d/renamed")
    docker("cp", f"{tmp_path}/file", f"{box}:/dirlink/")
    docker("cp", f"{tmp_path}/file", f"{box}:/vol/file")
    docker("cp", f"{tmp_path}/file", f"{box}:/nowhere/deep/file", code=1)
    assert "Could not find the file /nowhere/deep in container" in docker.errors
    docker("cp", f"{tmp_path}/file", f"{box}:/d/one/", code=1)
    for name in ("d/file", "d/renamed", "vol/file"):
        docker("cp", f"{box}:/{name}", f"{tmp_path}/back")
        assert (tmp_path / "back").read_text() == "content\n"
        assert (tmp_path / "back").stat().st_mode & 0o7777 == 0o640
    docker("cp", f"{box}:/d/nothing", f"{tmp_path}/x", code=1)
    assert f"Could not find the file /d/nothing in container {box}" in docker.errors


def test_directories_and_links_go_as_docker_has_it(docker: DockerCli, box: str, tmp_path: Path) -> None:
    docker("cp", f"{box}:/d", f"{tmp_path}/new")
    assert (tmp_path / "new" / "one").read_text() == "one\n"
    assert (tmp_path / "new" / "link").readlink() == Path("one")
    (tmp_path / "there").mkdir()
    docker("cp", f"{box}:/d", f"{tmp_path}/there")
    assert (tmp_path / "there" / "d" / "one").exists()
    docker("cp", f"{box}:/d/.", f"{tmp_path}/there")
    assert (tmp_path / "there" / "one").exists()
    docker("cp", f"{box}:/d/link", f"{tmp_path}/link")
    assert (tmp_path / "link").is_symlink()
    docker("cp", "-L", f"{box}:/d/link", f"{tmp_path}/followed")
    assert (tmp_path / "followed").read_text() == "one\n"
    docker("cp", "-L", f"{box}:/dirlink", f"{tmp_path}/dir")
    assert (tmp_path / "dir" / "one").exists()
    docker("cp", f"{tmp_path}/new", f"{box}:/d/copied")
    docker("cp", f"{tmp_path}/new/.", f"{box}:/empty")
    listing = docker("cp", f"{box}:/empty", "-").encode(errors="surrogateescape")
    with tarfile.open(fileobj=io.BytesIO(listing)) as archive:
        assert {"empty/one", "empty/link"} <= set(archive.getnames())
    docker("cp", f"{tmp_path}/new", f"{box}:/d/one", code=1)


def test_standard_input_and_output_are_archives(docker: DockerCli, box: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "piped").write_text("piped\n")
    archive = subprocess.run(["tar", "-C", f"{tmp_path}/in", "-c", "."], capture_output=True, check=True).stdout
    docker("cp", "-", f"{box}:/empty", given=archive.decode())
    docker("cp", f"{box}:/empty/piped", f"{tmp_path}/out")
    assert (tmp_path / "out").read_text() == "piped\n"
    docker("cp", "-", f"{box}:/d/one", given=archive.decode(), code=1)


def test_diff_shows_what_was_changed(docker: DockerCli, box: str) -> None:
    lines = docker("diff", box).splitlines()
    assert {"A /d", "A /d/one", "A /dirlink"} <= set(lines)
    assert "A /vol/file" not in lines


def test_an_export_can_be_imported(docker: DockerCli, box: str, tmp_path: Path) -> None:
    docker("export", "-o", f"{tmp_path}/root.tar", box)
    docker("import", "-c", 'CMD ["cat", "/d/one"]', f"{tmp_path}/root.tar", f"{box}:exported")
    assert docker("run", "--rm", "--network", "none", f"{box}:exported") == "one\n"
    assert os.path.getsize(tmp_path / "root.tar") > 100_000
