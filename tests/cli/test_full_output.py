"""Output that goes nowhere: the disk is full, or nobody can be told."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon


def test_output_to_a_full_disk_is_an_error(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/containers/json", fake_daemon.reply(200, []))
    with Path("/dev/full").open("wb") as full, sampan.start("ps", stdout=full, stderr=-1) as process:
        assert process.stderr is not None
        assert process.wait(60) == 1
        assert process.stderr.read() == (
            b"sampan: the output: no space left on device\n  try: make room on the file system that it goes to\n"
        )


def test_a_full_disk_is_told_once_when_a_command_meets_it_before_its_end(
    fake_daemon: FakeDaemon, sampan: Command
) -> None:
    fake_daemon.on("GET", "/volumes", fake_daemon.reply(200, {"Volumes": [], "Warnings": ["far: does not answer"]}))
    with Path("/dev/full").open("wb") as full, sampan.start("volume", "ls", stdout=full, stderr=-1) as process:
        assert process.stderr is not None
        assert process.stderr.read().count(b"no space left") == 1
        assert process.wait(60) == 1


@pytest.mark.parametrize("words", [["run", "--rm", "app"], ["foo"]])
def test_a_command_that_cannot_say_what_went_wrong_ends_with_1(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str]
) -> None:
    fake_daemon.script_a_run()
    fake_daemon.output = fake_daemon.frame(2, b"told\n")
    with Path("/dev/full").open("wb") as full, sampan.start(*words, stdout=-3, stderr=full) as process:
        assert process.wait(60) == 1


@pytest.mark.parametrize("words", [["export", "c1"], ["save", "app"]])
def test_an_archive_that_finds_no_room_names_its_file(
    fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path, words: list[str]
) -> None:
    full = tmp_path / "full"
    os.mknod(full, stat.S_IFCHR | 0o600, os.makedev(1, 7))  # as /dev/full, which a mistake must not replace
    fake_daemon.on("GET", "/(containers/c1/export|images/get)", fake_daemon.reply(200, "x" * 100_000))

    done = sampan(*words, "-o", str(full))

    assert (done.returncode, done.stderr.decode().splitlines()[0]) == (1, f"sampan: {full}: no space left on device")


@pytest.mark.parametrize("words", [["save", "app"], ["ps"], ["build", "-q", "."], ["run", "--rm", "app"]])
def test_output_that_is_closed_is_an_error_where_something_was_to_go_there(
    builds: FakeDaemon, sampan: Command, tmp_path: Path, words: list[str]
) -> None:
    builds.script_a_run()
    builds.output = builds.frame(1, b"told\n")
    builds.on("GET", "/containers/json", builds.reply(200, []))
    builds.on("GET", "/images/get", builds.reply(200, "x"))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")

    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.join(sampan.argv(*words))} >&-"],
        env=sampan.environment(),
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(b"sampan: the output: bad file descriptor\n  try: ")


def test_output_that_is_closed_is_none_where_nothing_was_to_go_there(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.exit_code = 4

    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.join(sampan.argv('run', '--rm', 'app'))} >&-"],
        env=sampan.environment(),
        timeout=60,
        check=False,
    )

    assert done.returncode == 4
