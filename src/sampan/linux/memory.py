"""A process's own pages: which of them it has written, and having them ready to be written (pagemap, madvise(2))."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from sampan.linux.libc import check, libc

PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_MADV_POPULATE_WRITE = 23  # Linux 5.14
# Documentation/admin-guide/mm/pagemap.rst
_PRESENT = 1 << 63
_EXCLUSIVE = 1 << 56

libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

Ranges = tuple[tuple[int, int], ...]


def writable_memory() -> Ranges:
    """(address, bytes) of every private mapping that may be written to (proc_pid_maps(5))."""
    found = []
    with open("/proc/self/maps", "rb") as maps:
        for line in maps:
            span, access = line.split(b" ", 2)[:2]
            if access[1:2] == b"w" and access[3:4] == b"p":
                first, last = (int(word, 16) for word in span.split(b"-"))
                found.append((first, last - first))
    return tuple(found)


def own_pages(memory: Ranges) -> set[int]:
    """The addresses of pages in there that are this process's alone: those that a fork shares with it are left out.

    Right after a fork that is nothing; later it is what was written, and what is new.
    """
    found = set()
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for first, size in memory:
            pagemap.seek(first // PAGE_BYTES * 8)
            entries = pagemap.read(size // PAGE_BYTES * 8)
            for number, (entry,) in enumerate(struct.iter_unpack("=Q", entries)):
                if entry & _PRESENT and entry & _EXCLUSIVE:
                    found.add(first + number * PAGE_BYTES)
    return found


def ranges_of(pages: Iterable[int]) -> Ranges:
    """(address, bytes) of pages, in their order, neighbours taken together."""
    found: list[tuple[int, int]] = []
    for address in pages:
        if found and sum(found[-1]) == address:
            found[-1] = (found[-1][0], found[-1][1] + PAGE_BYTES)
        else:
            found.append((address, PAGE_BYTES))
    return tuple(found)


def populate(ranges: Ranges) -> None:
    """Have these pages present and writable, copied where they are shared: as if each had been written to.

    OSError (EINVAL) before Linux 5.14, (EFAULT, ENOMEM) where nothing is mapped.
    """
    for address, size in ranges:
        check(libc.madvise(address, size, _MADV_POPULATE_WRITE), "madvise")
