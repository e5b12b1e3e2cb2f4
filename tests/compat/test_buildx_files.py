"""The files of a context on their way through buildx into an image, and those of an image on their way out."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.compat.buildx import built, need_buildx, run, shown
from tests.docker_command import DockerCli

LARGE_BYTES = 200 << 20
COPY_ALL = "FROM busybox\nCOPY . /all\n"
ODD = ("sp ace", "ünï", "new\nline", "-dash", "quo'te\"", "[a]*", "n" * 255, "e\u0301", "日本")


@pytest.fixture(autouse=True)
def _plugin() -> None:
    need_buildx()


def sent(docker: DockerCli, context: Path, *words: str) -> list[str]:
    """The paths of a context that COPY sees, sorted."""
    image = built(docker, *words, str(context))
    found = run(docker, image, "find", "/all", "-mindepth", "1", "-print0").rstrip("\0").split("\0")
    return sorted(one.removeprefix("/all/") for one in found if one)


def test_files_arrive_as_they_are(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(COPY_ALL)
    (tmp_path / "program").write_text("#!/bin/sh\n")
    (tmp_path / "program").chmod(0o4751)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("f\n")
    (tmp_path / "d").chmod(0o1770)
    (tmp_path / "empty").mkdir()
    (tmp_path / "same").hardlink_to(tmp_path / "program")
    (tmp_path / "link").symlink_to("d/f")
    (tmp_path / "astray").symlink_to("/none")
    os.mkfifo(tmp_path / "pipe")
    os.chmod(tmp_path / "pipe", 0o640)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"in the middle")
    os.utime(tmp_path / "program", (1_000_000_000, 1_000_000_000))
    image = built(docker, str(tmp_path))
    lines = run(docker, image, "sh", "-c", "cd /all && stat -c '%n %a %h %u %F' *").splitlines()
    assert lines == [
        "Dockerfile 644 1 0 regular file",
        "astray 777 1 0 symbolic link",
        "d 1770 2 0 directory",
        "empty 755 2 0 directory",
        "link 777 1 0 symbolic link",
        "pipe 640 1 0 fifo",
        "program 4751 2 0 regular file",
        "same 4751 2 0 regular file",
        "sparse 644 1 0 regular file",
    ]
    assert run(docker, image, "cat", "/all/link") == "f\n"
    assert run(docker, image, "stat", "-c", "%Y", "/all/program") == "1000000000\n"
    assert run(docker, image, "cmp", "/all/sparse", "/all/sparse") == ""
    assert run(docker, image, "tail", "-c", "+1048577", "/all/sparse").rstrip("\0") == "in the middle"


def test_odd_names_arrive(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(COPY_ALL)
    (tmp_path / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    for name in ODD:
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    assert sent(docker, tmp_path) == sorted([*ODD, *(f"{name}/{name}" for name in ODD)])


def test_names_that_are_no_text_arrive_and_leave(docker: DockerCli, tmp_path: Path) -> None:
    context, out = tmp_path / "context", tmp_path / "out"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY odd /odd\n")
    odd = bytes(context / "odd")
    os.mkdir(odd)
    os.mkdir(odd + b"/\xfe")
    with open(odd + b"/\xfe/\xff", "wb") as file:
        file.write(b"f")
    os.symlink(b"\xfe/\xff", odd + b"/link")
    docker("build", "-q", "--network", "none", "-o", str(out), str(context))
    with open(bytes(out) + b"/odd/link", "rb") as file:
        assert file.read() == b"f"


def test_triggers_find_their_files_in_the_build_that_declares_them(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox AS base\nONBUILD COPY f /f\nFROM base\n")
    (tmp_path / "f").write_text("given")
    assert run(docker, built(docker, str(tmp_path)), "cat", "/f") == "given"


def test_ignore_files_leave_out_what_they_name(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(COPY_ALL)
    for name in ("a/1", "a/b/keep.log", "a/b/2.log", "c/x", "top.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    ignore = tmp_path / ".dockerignore"
    ignore.write_text("# what is left out\n**/*.log\n!a/b/keep.log\nc\nDockerfile*\n.docker*\n")
    assert sent(docker, tmp_path) == ["a", "a/1", "a/b", "a/b/keep.log"]
    ignore.write_text("*\n!a/b\n")
    assert sent(docker, tmp_path) == ["a", "a/b", "a/b/2.log", "a/b/keep.log"]
    (tmp_path / "Dockerfile.dockerignore").write_text("a\n*.log\n*ocker*\n")
    assert sent(docker, tmp_path) == ["c", "c/x"]
    shutil.copy(tmp_path / "Dockerfile", f"{tmp_path}.other")
    Path(f"{tmp_path}.other.dockerignore").write_text("*\n!c\n")
    assert sent(docker, tmp_path, "-f", f"{tmp_path}.other") == ["c", "c/x"]


def test_many_files_and_a_large_one_arrive(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(COPY_ALL)
    for directory in range(100):
        (tmp_path / f"d{directory}").mkdir()
        for number in range(100):
            (tmp_path / f"d{directory}" / f"f{number}").write_text(f"{directory} {number}\n")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGE_BYTES)
        file.seek(LARGE_BYTES - 5)
        file.write(b"last\n")
    image = built(docker, str(tmp_path))
    counts = run(docker, image, "sh", "-c", "find /all -name 'f*' | wc -l; cat /all/d*/f* | sort -u | wc -l")
    assert counts.split() == ["10000", "10000"]
    assert run(docker, image, "sh", "-c", "stat -c %s /all/large; tail -c 5 /all/large") == f"{LARGE_BYTES}\nlast\n"
    assert shown(docker, str(tmp_path)).count("CACHED") == 1


def test_a_changed_file_is_copied_anew(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(COPY_ALL)
    (tmp_path / "f").write_text("before")
    os.utime(tmp_path / "f", (1, 1))
    built(docker, str(tmp_path))
    (tmp_path / "f").write_text("behind")
    os.utime(tmp_path / "f", (2, 2))
    assert run(docker, built(docker, str(tmp_path)), "cat", "/all/f") == "behind"


def test_the_files_of_an_image_become_a_directory_or_an_archive(docker: DockerCli, tmp_path: Path) -> None:
    context, out = tmp_path / "context", tmp_path / "out"
    context.mkdir()
    names = [name for name in ODD if "\n" not in name]
    (context / "Dockerfile").write_text(
        "FROM busybox AS made\nRUN mkdir /o && echo x > /o/f && chmod 4755 /o/f && ln /o/f /o/g && ln -s f /o/l\n"
        "FROM scratch\nCOPY --from=made /o /\nCOPY odd /odd\n"
    )
    (context / "odd").mkdir()
    for name in names:
        (context / "odd" / name).write_text(name)
    docker("build", "-q", "--network", "none", "-o", str(out), str(context))
    assert sorted(os.listdir(out)) == ["f", "g", "l", "odd"]
    assert sorted(os.listdir(out / "odd")) == sorted(names)
    assert stat.S_IMODE((out / "f").stat().st_mode) == 0o4755
    assert (out / "f").samefile(out / "g")
    assert os.readlink(out / "l") == "f"
    docker("build", "-q", "-o", f"type=tar,dest={tmp_path}/out.tar", "--network", "none", str(context))
    words = ("docker", "build", "-o", "-", "--network", "none", str(context))
    piped = subprocess.run(words, env=docker.environment, capture_output=True, check=True, timeout=110).stdout
    for content in ((tmp_path / "out.tar").read_bytes(), piped):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            assert {"f", "g", "l", "odd/sp ace"} <= {one.name.removeprefix("./") for one in archive}
