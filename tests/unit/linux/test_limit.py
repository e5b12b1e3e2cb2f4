from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from sampan.linux import limit, process


def test_the_numbers_are_those_of_the_c_library() -> None:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]
    assert {name: limit.NUMBERS[name] for name in names} == {name: getattr(resource, name) for name in names}


def test_the_numbers_are_all_that_the_kernel_has() -> None:
    assert sorted(limit.NUMBERS.values()) == list(range(16))
    with pytest.raises(OSError, match="prlimit64"):
        limit.get_limit(0, 16)


def test_no_limit_is_minus_one_or_the_largest_number() -> None:
    def both() -> bool:
        limit.prlimit(0, limit.NUMBERS["RLIMIT_CORE"], 0, -1)
        hard = limit.get_limit(0, limit.NUMBERS["RLIMIT_CORE"])[1]
        limit.prlimit(0, limit.NUMBERS["RLIMIT_CORE"], limit.UNLIMITED, -1)
        return hard == limit.UNLIMITED == limit.get_limit(0, limit.NUMBERS["RLIMIT_CORE"])[0] == 2**64 - 1

    if limit.get_limit(0, limit.NUMBERS["RLIMIT_CORE"])[1] != limit.UNLIMITED:
        pytest.skip("needs an unlimited RLIMIT_CORE")
    pid = os.fork()
    if pid == 0:
        os._exit(0 if both() else 1)
    ended = process.wait_pid(pid)
    assert ended is not None
    assert ended.status == 0


def test_a_limit_of_another_process_is_set_and_read_back() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        _, hard = limit.get_limit(child, limit.NUMBERS["RLIMIT_NOFILE"])
        limit.prlimit(child, limit.NUMBERS["RLIMIT_NOFILE"], 10, hard)
        assert limit.get_limit(child, limit.NUMBERS["RLIMIT_NOFILE"]) == (10, hard)
        assert f"{10:<21}{hard:<21}files" in Path(f"/proc/{child}/limits").read_text()
        assert limit.get_limit(0, limit.NUMBERS["RLIMIT_NOFILE"]) != (10, hard)
    finally:
        os.kill(child, 9)
        process.wait_pid(child)


@pytest.mark.parametrize("value", [-2, 1 << 64])
def test_a_number_that_is_no_limit_is_refused_and_not_cut(value: int) -> None:
    with pytest.raises(OSError, match=str(value)) as caught:
        limit.prlimit(0, limit.NUMBERS["RLIMIT_CORE"], value, -1)
    assert caught.value.errno == errno.EINVAL


def test_a_soft_limit_above_the_hard_one_is_refused_with_both_named() -> None:
    with pytest.raises(OSError, match="prlimit64") as caught:
        limit.prlimit(0, limit.NUMBERS["RLIMIT_CORE"], 2, 1)
    assert caught.value.errno == errno.EINVAL
    assert "soft 2 hard 1" in str(caught.value.filename)


def test_a_refused_limit_is_named_in_words() -> None:
    with pytest.raises(OSError, match="prlimit64") as caught:
        limit.prlimit(0, limit.NUMBERS["RLIMIT_NOFILE"], -1, limit.UNLIMITED)  # over fs.nr_open, even for root
    assert caught.value.filename == "RLIMIT_NOFILE soft unlimited hard unlimited"
