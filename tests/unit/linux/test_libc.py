from __future__ import annotations

import errno
import os

import pytest

from sampan.linux import libc
from sampan.linux.syscall_numbers import numbers


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_system_call_number_is_the_one_of_the_kernels_table(machine: str) -> None:
    table = numbers(machine)
    known = libc._UNIFIED | libc._BY_MACHINE[machine]
    assert known == {name: table[name] for name in known}


def test_a_string_with_a_null_byte_is_refused_and_not_cut() -> None:
    with pytest.raises(OSError, match="null byte") as caught:
        libc.c_string("/etc/passwd\0/harmless")
    assert caught.value.errno == errno.EINVAL


def test_a_name_that_is_no_utf8_survives() -> None:
    assert libc.c_string(os.fsdecode(b"caf\xe9")) == b"caf\xe9"


def test_a_call_that_fails_names_itself_and_what_it_was_about() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        libc.syscall("openat2", -100, b"/missing", b"\0" * 24, 24, about="/missing")
    assert (caught.value.strerror, caught.value.filename) == ("openat2: No such file or directory", "/missing")


def test_a_call_without_a_number_here_is_not_implemented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(libc.NUMBERS, "openat2")
    with pytest.raises(OSError, match="openat2") as caught:
        libc.syscall("openat2")
    assert caught.value.errno == errno.ENOSYS
