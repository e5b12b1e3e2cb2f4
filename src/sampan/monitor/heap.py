"""The heap of a process that forks: what its children share with it is kept shared.

A page is copied for a child as soon as either writes to it, and CPython writes to an object's reference count whenever
it looks at it; a monitor copied 1.9 MB that way, and 0.9 without. It is also what makes a fork's child quick: every
page that is not copied is a page fault saved. Only for a process that never frees what it has when this is called, and
that ends with os._exit. docs/decisions/shared-heap.md has the measurements.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import itertools
import os
import sys
from collections.abc import Callable
from types import CodeType, FunctionType

from sampan.linux.libc import libc
from sampan.linux.memory import Ranges, own_pages, ranges_of, writable_memory

# CPython's small object allocator (Objects/obmalloc.c): sizes up to 512 in steps of 16, a kind per pool of 16 KiB whose
# first object follows a header of 48 bytes.
_LARGEST_SMALL = 512
_POOL_BYTES = 16384
_POOL_HEADER_BYTES = 48
_LARGEST_PLUG = 4096
_MOST_PLUGS = 5000

_plugs: list[object] = []


def settle() -> None:
    """Everything that is alive now is kept for good, and what comes next gets pages of its own."""
    gc.disable()
    gc.collect()
    _plug_holes()
    if _can_be_immortal():
        _make_immortal()
    gc.freeze()
    trim()


def written_by(run: Callable[[Callable[[], None]], None]) -> Ranges:
    """The pages of this process that `run` writes to between two calls of what it is given, found out in a fork.

    None where that cannot be done.
    """
    answer, theirs = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            memory = writable_memory()
            found: list[set[int]] = []
            run(lambda: found.append(own_pages(memory)))
            os.write(theirs, " ".join(str(page) for page in sorted(found[1] - found[0])).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(answer, "rb") as file:
        said = file.read()
    os.waitpid(pid, 0)
    return ranges_of(int(word) for word in said.split())


def trim() -> None:
    """Give freed memory back to the kernel (malloc_trim(3)), where the C library can."""
    with contextlib.suppress(AttributeError):  # not glibc
        libc.malloc_trim(0)


def gather_code(run: Callable[[], None]) -> None:
    """Put the code that `run` runs side by side, in pages of its own.

    Code is written to whenever it runs, also when it is specialized (a branch keeps its history in its instruction), so
    what runs in a monitor is copied for it: better a few full pages than one for every function.
    """
    run()
    functions = [found for found in gc.get_objects() if isinstance(found, FunctionType)]
    before = [hash(_instructions(function)) for function in functions]
    run()
    after = [hash(_instructions(function)) for function in functions]
    _plug_holes()
    for function, old, new in zip(functions, before, after, strict=True):
        if old != new:
            _plugs.append(function.__code__)  # its place stays taken
            function.__code__ = function.__code__.replace()
    run()


def _instructions(function: FunctionType) -> bytes:
    """What the interpreter has made of them by now."""
    code = function.__code__
    found: bytes = getattr(code, "_co_code_adaptive", b"")
    return found


def _plug_holes() -> None:
    """Fill the free places between living objects: new ones there would copy a page each."""
    _plug_pool(object)  # 16 bytes
    numbers = itertools.count(1 << 30)
    _plug_pool(lambda: next(numbers))  # 32 bytes
    overhead = sys.getsizeof(b"")
    for size in range(48, _LARGEST_SMALL + 1, 16):
        _plug_pool(functools.partial(bytes, size - overhead))
    top = id(bytes(_LARGEST_PLUG))
    for size in range(_LARGEST_PLUG, _LARGEST_SMALL, -16):
        _plug_heap(functools.partial(bytes, size - overhead), top)


def _plug_pool(make: Callable[[], object]) -> None:
    """Make objects of one size until one begins a pool."""
    for _ in range(_MOST_PLUGS):
        plug = make()
        _plugs.append(plug)
        if id(plug) % _POOL_BYTES == _POOL_HEADER_BYTES:
            return


def _plug_heap(make: Callable[[], object], top: int) -> None:
    """Make larger objects, which malloc(3) places, until one lies beyond `top`."""
    for _ in range(_MOST_PLUGS):
        plug = make()
        if id(plug) >= top:
            return
        _plugs.append(plug)


def _parts(code: CodeType) -> list[object]:
    """What a code object refers to, of which the collector knows nothing."""
    names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    tables = (code.co_consts, code.co_names, code.co_exceptiontable, code.co_linetable)
    return [*names, *tables, code.co_filename, code.co_name, code.co_qualname]


def _reference_count(of: object) -> ctypes.c_uint32:
    return ctypes.c_uint32.from_address(id(of))


def _can_be_immortal() -> bool:
    """Whether objects may be given the reference count that None has, which is never written again (PEP 683).

    Tried on one object, since the layout is the interpreter's own.
    """
    if (
        sys.implementation.name != "cpython"
        or sys.byteorder != "little"
        or not getattr(sys, "_is_gil_enabled", lambda: True)()
    ):
        return False
    probe = object()
    before = _reference_count(probe).value
    more = [probe, probe]
    if _reference_count(probe).value != before + len(more):
        return False
    more.clear()
    mortal = _reference_count(probe).value
    _reference_count(probe).value = immortal = _reference_count(None).value
    more += [probe, probe]
    holds = _reference_count(probe).value == immortal
    more.clear()
    _reference_count(probe).value = immortal if holds else mortal
    return holds


def _make_immortal() -> None:
    """All objects that can be reached from those the collector knows; the count itself tells who was met before."""
    immortal = _reference_count(None).value
    waiting = gc.get_objects()
    while waiting:
        each = waiting.pop()
        _reference_count(each).value = immortal
        for referent in gc.get_referents(each) if not isinstance(each, CodeType) else _parts(each):
            count = _reference_count(referent)
            if count.value < immortal:
                count.value = immortal
                waiting.append(referent)
