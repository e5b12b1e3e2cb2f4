from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from sampan.cgroup.directory import Directory
from sampan.cgroup.host import Hierarchy
from sampan.cgroup.writing import Write, one, put, refusal, settle
from sampan.errors import InvalidArgument, NotImplementedHere

if TYPE_CHECKING:
    from pathlib import Path

EITHER = Write("io", (("io.bfq.weight", "1"), ("io.weight", "default 2")), "block io weight")


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(Hierarchy("", 2, str(tmp_path), frozenset({"io"})), str(tmp_path))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["io.bfq.weight"], {"io.bfq.weight": "1"}),
        (["io.weight"], {"io.weight": "default 2"}),
        (["io.bfq.weight", "io.weight"], {"io.bfq.weight": "1", "io.weight": ""}),
    ],
)
def test_the_first_file_that_exists_is_written(
    directory: Directory, tmp_path: Path, files: list[str], expected: dict[str, str]
) -> None:
    for file in files:
        (tmp_path / file).write_text("")
    put(directory, EITHER)
    assert {file: (tmp_path / file).read_text() for file in files} == expected


def test_when_none_exists_both_are_named(directory: Directory) -> None:
    with pytest.raises(NotImplementedHere, match=r"block io weight.*io\.bfq\.weight or io\.weight"):
        settle(directory, [EITHER])


class Picky(Directory):
    """A directory whose limit may not be above its sum, as memory and memory plus swap on v1."""

    __slots__ = ("values",)

    def __init__(self, limit: int, total: int) -> None:
        super().__init__(Hierarchy("memory", 1, "/", frozenset()), "/")
        self.values = {"limit": limit, "total": total}

    def write(self, file: str, value: str) -> None:
        wanted = self.values | {file: int(value)}
        if wanted["limit"] > wanted["total"]:
            raise OSError(errno.EINVAL, "invalid", file)
        self.values = wanted


@pytest.mark.parametrize("before", [(1, 1), (5, 9), (100, 100)])
@pytest.mark.parametrize("order", [("limit", "total"), ("total", "limit")])
def test_values_that_bound_each_other_get_in_whatever_was_there(
    before: tuple[int, int], order: tuple[str, str]
) -> None:
    picky = Picky(*before)
    values = {"limit": 10, "total": 20}
    settle(picky, [one("memory", file, values[file], file) for file in order])
    assert picky.values == values


def test_a_value_that_stays_refused_is_named() -> None:
    with pytest.raises(InvalidArgument, match="the limit: the kernel refuses '30'"):
        settle(Picky(1, 2), [one("memory", "limit", 30, "the limit"), one("memory", "total", 20, "the sum")])


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EINVAL, InvalidArgument),
        (errno.ENODEV, InvalidArgument),
        (errno.EBUSY, InvalidArgument),
        (errno.EPERM, InvalidArgument),
        (errno.ENOENT, NotImplementedHere),
        (errno.EOPNOTSUPP, NotImplementedHere),
        (524, NotImplementedHere),
        (errno.EIO, OSError),
        (errno.EROFS, OSError),
    ],
)
def test_each_errno_is_the_fault_of_the_request_the_kernel_or_the_machine(number: int, kind: type[Exception]) -> None:
    assert isinstance(refusal(EITHER, OSError(number, "x", "io.weight")), kind)
