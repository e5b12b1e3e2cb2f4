from __future__ import annotations

import pytest

from sampan.cgroup.name import check_path
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    "path", ["/sampan/" + "a" * 64, "/a", "a/b", "/machine.slice:docker:1", "/ü/ x", "/.hidden/..x"]
)
def test_a_path_of_plain_names_is_taken_as_it_is(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//a",
        "/a/",
        "/a//b",
        "/../a",
        "/a/..",
        "/a/./b",
        "..",
        "/a\nb",
        "/a\0b",
        "/" + "a" * 256,
        "/" + "ü" * 128,
        "/a" * 2000,
        "/tasks",
        "/a/cgroup.procs",
        "/a/memory.max",
        "/release_agent/a",
    ],
)
def test_what_cannot_be_a_path_is_refused_with_a_remedy(path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_path(path)
    assert caught.value.remedy
    assert repr(path) in str(caught.value)
