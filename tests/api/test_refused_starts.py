"""A daemon that cannot serve says so: a sentence that names what is wrong, and a remedy; nothing is touched."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.engine_process import PROGRAM, SOURCE, EngineProcess

PATIENCE_S = 60


@contextmanager
def _daemon(directory: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    roots = ["--data-root", str(directory / "data"), "--exec-root", str(directory / "run"), "--bridge", "none"]
    program = [sys.executable, "-I", "-c", PROGRAM, str(SOURCE)]
    with subprocess.Popen([*program, *roots, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        yield one


def _answer(directory: Path, *words: str) -> tuple[int, str, str]:
    with _daemon(directory, *words) as process:
        output, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output, errors


def _refusal(directory: Path, *words: str) -> str:
    status, _, errors = _answer(directory, *words)
    assert status == 1, errors
    first, second = errors.splitlines()
    assert first.startswith("sampand: ")
    assert second.startswith("  try: ")
    return errors


def test_a_file_where_the_socket_is_to_be_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "accounts").write_text("root:x:0:0")
    assert f"cannot listen on {tmp_path}/accounts: it is there, and no socket" in _refusal(
        tmp_path, "-H", f"unix://{tmp_path}/accounts"
    )
    assert (tmp_path / "accounts").read_text() == "root:x:0:0"


def test_a_link_where_the_socket_is_to_be_stays_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert "no socket" in _refusal(tmp_path, "-H", f"unix://{tmp_path}/link")
    assert os.readlink(tmp_path / "link") == str(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "it is there, and no socket"),
        ("/file/below", "/file: file exists"),
        (f"/{'long' * 40}", "AF_UNIX path too long"),
    ],
)
def test_a_socket_that_cannot_be_made_is_said(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "file").touch()
    assert said in _refusal(tmp_path, "-H", f"unix://{tmp_path}{path}")


def test_the_socket_that_a_dead_daemon_left_is_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        (tmp_path / "run").mkdir()
        dead.bind(str(tmp_path / "run" / "sampan.sock"))
    with EngineProcess(tmp_path, "-H", "unix://") as engine:  # which is the default, as with dockerd
        assert engine.request("GET", "/_ping")[0] == 200


def test_a_settings_file_of_another_language_is_said_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_bytes(b'{"debug": true}\n\xff')
    assert "daemon.json is no TOML: it is no UTF-8" in _refusal(
        tmp_path, "--config-file", str(tmp_path / "daemon.json")
    )
    assert "cannot be read: is a directory" in _refusal(tmp_path, "--config-file", str(tmp_path))


def test_a_pid_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    assert "cannot write the pid to /proc/no/pid: " in _refusal(tmp_path, "--pidfile", "/proc/no/pid")


def test_a_certificate_that_is_not_there_is_said_without_its_number(tmp_path: Path) -> None:
    said = _refusal(tmp_path, "--tls", "-H", "tcp://127.0.0.1:1", "--tlscert", "/no/such/cert.pem")
    assert "cannot use the TLS files /no/such/cert.pem, /etc/sampan/key.pem: no such file or directory" in said


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "sampan-test", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_disk_without_room_is_said_at_whatever_point_it_is_full(tmp_path: Path, disk: Path) -> None:
    for room in range(0, 160 << 10, 32 << 10):
        (disk / "ballast").write_bytes(bytes((160 << 10) - room - 4096))
        said = _refusal(tmp_path, "--data-root", str(disk / f"data{room}"))
        assert "move it away" not in said, "what is in the file is sound"
        shutil.rmtree(disk / f"data{room}", ignore_errors=True)  # or else the next round had less room


def test_a_disk_that_cannot_be_written_to_is_said(tmp_path: Path, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert f"{disk}/data: read-only file system" in _refusal(tmp_path, "--data-root", str(disk / "data")).lower()


def test_a_state_file_that_is_none_is_said_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sampan.db").write_bytes(b"no database" * 1000)
    assert "sampan.db cannot be opened: file is not a database" in _refusal(tmp_path)
    assert (tmp_path / "data" / "sampan.db").read_bytes() == b"no database" * 1000


def test_who_is_not_root_is_told_to_become_it(tmp_path: Path) -> None:
    # what is needed is imported as root: the checkout may be where nobody else may read
    program = "import os, sys; sys.path.insert(0, sys.argv.pop(1)); from sampan.daemon.serve import main; "
    words = [
        program + "os.setresuid(1000, 1000, 1000); sys.exit(main())",
        str(SOURCE),
        "--data-root",
        f"{tmp_path}/data",
    ]
    with subprocess.Popen([sys.executable, "-I", "-c", *words], stderr=subprocess.PIPE, text=True) as process:
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert errors.splitlines()[0].endswith("for which it has to be root")
    assert errors.splitlines()[1] == "  try: sudo sampand"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("is_a_mount", [True, False])
def test_in_a_chroot_it_refuses_before_anything_is_made(tmp_path: Path, *, is_a_mount: bool) -> None:
    """What enters a container's mounts gets the root of its mount namespace, which a chroot does not change."""
    bare = tmp_path / "bare"
    for name in ("proc", "usr"):
        (bare / name).mkdir(parents=True)
    mounts = f"mount --rbind / {tmp_path}/bare" if is_a_mount else f"mount --rbind /proc {bare}/proc"
    # what is needed is imported before: there may be little inside
    program = "import os, sys; sys.path.insert(0, sys.argv.pop(1)); from sampan.daemon.serve import main; "
    program += "os.chroot(sys.argv.pop(1)); sys.exit(main())"
    words = [sys.executable, "-I", "-c", program, str(SOURCE), str(bare), "--data-root", f"{tmp_path}/data"]
    inside = ["unshare", "--mount", "--propagation", "private", "bash", "-ec", f'{mounts}; exec "$@"', "bash", *words]
    done = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("sampand: no engine can work in a chroot")
    assert second.startswith("  try: ")
    assert not (tmp_path / "data").exists()
    assert not (bare / "var").exists()


def test_it_says_its_version(tmp_path: Path) -> None:
    for word in ("--version", "-v"):
        status, output, errors = _answer(tmp_path, word)
        assert (status, output[:16], errors) == (0, "sampand version ", "")
    assert not (tmp_path / "data").exists()
