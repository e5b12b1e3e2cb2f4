"""Pages of a process: which are its own, and having them its own before it writes to them."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable

import pytest

from sampan.linux.memory import PAGE_BYTES, own_pages, populate, ranges_of, writable_memory

PAGES = 64


def in_fork(act: Callable[[], object]) -> str:
    """What `act` gives in a fork of this process."""
    answer, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(theirs, repr(act()).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(answer) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


@pytest.fixture
def memory() -> tuple[mmap.mmap, int]:
    """Some pages that were written to, and their address."""
    made = mmap.mmap(-1, PAGES * PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for number in range(PAGES):
        made[number * PAGE_BYTES] = 1
    return made, ctypes.addressof(ctypes.c_char.from_buffer(made))


def test_in_a_fork_those_pages_are_its_own_that_it_wrote_to(memory: tuple[mmap.mmap, int]) -> None:
    made, address = memory
    span = ((address, PAGES * PAGE_BYTES),)

    def write() -> object:
        before = own_pages(span)
        for number in (3, 4, 9):
            made[number * PAGE_BYTES] = 2
        return before, ranges_of(sorted(own_pages(span)))

    expected = ((address + 3 * PAGE_BYTES, 2 * PAGE_BYTES), (address + 9 * PAGE_BYTES, PAGE_BYTES))
    assert in_fork(write) == repr((set(), expected))


def test_pages_can_be_made_a_forks_own_before_it_writes(memory: tuple[mmap.mmap, int]) -> None:
    made, address = memory
    wanted = ((address + 5 * PAGE_BYTES, 2 * PAGE_BYTES),)

    def act() -> object:
        populate(wanted)
        return ranges_of(sorted(own_pages(((address, PAGES * PAGE_BYTES),)))), made[5 * PAGE_BYTES]

    assert in_fork(act) == repr((wanted, 1))


def test_memory_that_is_not_there_cannot_be_populated(memory: tuple[mmap.mmap, int]) -> None:
    made, address = memory
    spans = writable_memory()
    assert any(first <= address < first + size for first, size in spans)
    del made
    with pytest.raises(OSError, match="madvise") as caught:
        populate(((PAGE_BYTES, PAGE_BYTES),))
    assert caught.value.errno in {errno.ENOMEM, errno.EFAULT}
