"""The file system's answers to the kernel's requests, without a kernel."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

import pytest

from sampan.linux.fuse import Operation, Request
from sampan.view.filesystem import FileSystem

_OUT = struct.Struct("=IiQ")
_LOCKOWNER = 2  # FUSE_READ_LOCKOWNER: the flag of read(2)


class Pipe:
    """Where answers go, one read a packet."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe2(os.O_CLOEXEC)

    def answer(self) -> tuple[int, bytes]:
        """(errno, content)."""
        packet = os.read(self.reading, 65536)
        length, error, _ = _OUT.unpack_from(packet)
        assert length == len(packet)
        return -error, packet[_OUT.size :]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reading)
    os.close(made.writing)


def _system(written: list[tuple[str, int]]) -> FileSystem:
    def content(path: str, pid: int) -> bytes:
        written.append((path, pid))
        if pid == 13:
            raise FileNotFoundError(errno.ENOENT, "gone")
        if pid == 14:
            raise ValueError("a kernel that says what nobody expects")
        return f"{path} for {pid}, {len(written)}\n".encode()

    return FileSystem(("proc/meminfo", "proc/pressure/cpu"), content)


def _ask(system: FileSystem, pipe: Pipe, operation: int, body: bytes = b"", node: int = 1, pid: int = 7) -> bytes:
    system.answer(pipe.writing, Request(operation, 1, node, pid, body))
    error, content = pipe.answer()
    assert error == 0, os.strerror(error)
    return content


def _node(content: bytes) -> int:
    return int.from_bytes(content[:8], "little")


def _look(system: FileSystem, pipe: Pipe, *names: str) -> int:
    node = 1
    for name in names:
        node = _node(_ask(system, pipe, Operation.LOOKUP, name.encode() + b"\0", node))
    return node


def _read(system: FileSystem, pipe: Pipe, node: int, handle: int, offset: int, size: int, pid: int = 7) -> bytes:
    return _ask(
        system, pipe, Operation.READ, struct.pack("=QQII", handle, offset, size, _LOCKOWNER) + b"\0" * 16, node, pid
    )


def test_a_file_is_written_for_its_reader_when_it_reads_from_the_beginning(pipe: Pipe) -> None:
    written: list[tuple[str, int]] = []
    system = _system(written)
    node = _look(system, pipe, "proc", "pressure", "cpu")
    handle = _node(_ask(system, pipe, Operation.OPEN, b"\0" * 8, node))
    first = _read(system, pipe, node, handle, 0, 10)
    rest = _read(system, pipe, node, handle, 10, 4096)
    assert first + rest == b"proc/pressure/cpu for 7, 1\n"
    assert _read(system, pipe, node, handle, 0, 4096) == b"proc/pressure/cpu for 7, 2\n"


def test_two_who_have_it_open_do_not_read_each_others(pipe: Pipe) -> None:
    system = _system([])
    node = _look(system, pipe, "proc", "meminfo")
    one, two = (_node(_ask(system, pipe, Operation.OPEN, b"\0" * 8, node)) for _ in range(2))
    _read(system, pipe, node, one, 0, 4096, pid=1)
    _read(system, pipe, node, two, 0, 4096, pid=2)
    assert b"for 1, 1" in _read(system, pipe, node, one, 2, 4096, pid=1)


def test_what_cannot_be_written_is_an_error_and_the_server_goes_on(pipe: Pipe) -> None:
    system = _system([])
    node = _look(system, pipe, "proc", "meminfo")
    system.answer(pipe.writing, Request(Operation.READ, 1, node, 13, struct.pack("=QQII", 5, 0, 10, _LOCKOWNER)))
    assert pipe.answer()[0] == errno.ENOENT
    system.answer(pipe.writing, Request(Operation.LOOKUP, 1, 1, 7, b"nothing\0"))
    assert pipe.answer()[0] == errno.ENOENT
    system.answer(pipe.writing, Request(9, 1, node, 7, b""))
    assert pipe.answer()[0] == errno.ENOSYS
    assert _look(system, pipe, "proc", "meminfo") == node


def test_a_mistake_in_one_file_is_told_and_ends_nobody_elses(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    system = _system([])
    node = _look(system, pipe, "proc", "meminfo")
    system.answer(pipe.writing, Request(Operation.READ, 1, node, 14, struct.pack("=QQII", 5, 0, 10, _LOCKOWNER)))
    assert pipe.answer()[0] == errno.EIO
    assert "a kernel that says what nobody expects" in capsys.readouterr().err
    assert b"for 7" in _read(system, pipe, node, 6, 0, 4096)


def test_a_file_is_as_long_as_what_its_reader_reads(pipe: Pipe) -> None:
    system = _system([])
    node = _look(system, pipe, "proc", "meminfo")
    for pid, content in ((7, "proc/meminfo for 7, 1\n"), (1007, "proc/meminfo for 1007, 2\n")):
        told = _ask(system, pipe, Operation.GETATTR, b"\0" * 16, node, pid)
        (valid_s,), (size,) = struct.unpack_from("=Q", told, 0), struct.unpack_from("=Q", told, 24)
        assert (valid_s, size) == (0, len(content))
    lost = _ask(system, pipe, Operation.GETATTR, b"\0" * 16, node, 13)
    assert struct.unpack_from("=Q", lost, 24)[0] > 0


def test_a_directory_lists_its_entries_once(pipe: Pipe) -> None:
    system = _system([])
    node = _look(system, pipe, "proc")
    whole = _ask(system, pipe, Operation.READDIR, struct.pack("=QQII", 1, 0, 4096, 0), node)
    assert b"meminfo" in whole
    assert b"pressure" in whole
    assert _ask(system, pipe, Operation.READDIR, struct.pack("=QQII", 1, 4, 4096, 0), node) == b""
    assert len(_ask(system, pipe, Operation.READDIR, struct.pack("=QQII", 1, 0, 40, 0), node)) <= 40
