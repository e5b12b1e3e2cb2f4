"""Who USER and --group-add mean, by the files of a root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.errors import InvalidArgument
from sampan.runtime import users
from sampan.runtime.child import Identity

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
# a comment
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
sailor:x:1000:1001:A Sailor:/home/sailor:/bin/sh
1234:x:0:0::/root:/bin/sh
broken:x:zero:0::/root:/bin/sh
short:x
huge:x:4294967296:0::/:
twin:x:1000:7::/other:/bin/sh
"""
GROUP = """\
root:x:0:
crew:x:50:sailor,daemon
watch:x:51:other,sailor
1001:x:77:
bad:x:x:sailor
50:x:88:
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path


@pytest.fixture
def root_fd(root: Path) -> Iterator[int]:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("", Identity(0, 0, (0,), "/root")),
        ("root", Identity(0, 0, (0,), "/root")),
        ("sailor", Identity(1000, 1001, (1001, 50, 51), "/home/sailor")),
        ("1000", Identity(1000, 1001, (1001, 50, 51), "/home/sailor")),
        ("sailor:crew", Identity(1000, 50, (50,), "/home/sailor")),
        ("sailor:50", Identity(1000, 50, (50,), "/home/sailor")),
        ("4711", Identity(4711, 0, (0,), "")),
        ("4711:4712", Identity(4711, 4712, (4712,), "")),
        (":50", Identity(0, 50, (50,), "/root")),
        ("2147483647:2147483647", Identity(2147483647, 2147483647, (2147483647,), "")),
    ],
)
def test_a_user_is_who_docker_means(root_fd: int, spec: str, wanted: Identity) -> None:
    assert users.resolve(root_fd, spec) == wanted


def test_a_number_is_an_id_and_never_a_name(root_fd: int) -> None:
    assert users.resolve(root_fd, "1234").uid == 1234
    assert users.resolve(root_fd, "sailor:1001").gid == 1001
    assert users.resolve(root_fd, "", ("50",)).groups == (0, 50)


def test_further_groups_are_names_or_numbers_and_each_is_there_once(root_fd: int) -> None:
    assert users.resolve(root_fd, "sailor", ("crew", "999", "watch", "1001")).groups == (1001, 50, 51, 999)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("broken", "unable to find user broken: no matching entries in passwd file"),
        ("short", "unable to find user short: no matching entries in passwd file"),
        ("huge", "unable to find user huge: no matching entries in passwd file"),
        ("18446744073709551616", "unable to find user 18446744073709551616"),
        ("0x10", "unable to find user 0x10"),
        ("sailor:nobody", "unable to find group nobody: no matching entries in group file"),
        ("4294967296", "uids and gids must be in range 0-2147483647"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("sailor:4294967296", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_what_nobody_can_be_is_refused(root_fd: int, spec: str, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        users.resolve(root_fd, spec)


def test_without_files_numbers_still_work(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        assert users.resolve(fd, "5:6", ("7",)) == Identity(5, 6, (6, 7), "")
        assert users.resolve(fd, "") == Identity(0, 0, (0,), "")
        assert users.home_of(fd, 5) == "/"
        with pytest.raises(InvalidArgument, match="unable to find user root"):
            users.resolve(fd, "root")
    finally:
        os.close(fd)


def test_the_home_of_a_user_is_in_the_file(root_fd: int) -> None:
    assert users.home_of(root_fd, 1000) == "/home/sailor"
    assert users.home_of(root_fd, 5) == "/"


def test_a_file_of_absurd_size_is_refused(root: Path, root_fd: int) -> None:
    with (root / "etc/passwd").open("ab") as file:
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(InvalidArgument, match="etc/passwd of the root file system is larger than"):
        users.resolve(root_fd, "sailor")
