from __future__ import annotations

import errno
import os
import random
import socket
from pathlib import Path

import pytest

from sampan.monitor import spool as spool_module
from sampan.monitor.spool import Spool


def take(spool: Spool, ours: socket.socket, theirs: socket.socket) -> bytes:
    theirs.settimeout(0)
    try:
        spool.send(theirs)
    except BlockingIOError:
        return b""
    ours.settimeout(0)
    content = b""
    try:
        while True:
            content += ours.recv(65536)
    except BlockingIOError:
        return content


def test_bytes_come_out_in_order_however_the_ring_wraps(tmp_path: Path) -> None:
    chance = random.Random(7)
    spool = Spool(str(tmp_path), 1000)
    ours, theirs = socket.socketpair()
    put = got = b""
    with ours, theirs:
        for _ in range(400):
            piece = chance.randbytes(chance.randrange(300))
            if spool.append([memoryview(piece[:10]), memoryview(piece[10:])]):
                put += piece
            if chance.random() < 0.6 and spool.size:
                got += take(spool, ours, theirs)
        while spool.size:
            got += take(spool, ours, theirs)
    spool.close()
    assert len(put) > 5000
    assert got == put


def test_what_lies_in_a_socket_is_not_changed_when_its_place_in_the_ring_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_ONE_PIECE", 4096)
    spool = Spool(str(tmp_path), 8192)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert spool.append([memoryview(b"a" * 4096 + b"b" * 4096)])
        spool.send(theirs)
        assert spool.append([memoryview(b"c" * 4096)])
        while spool.size:
            spool.send(theirs)
        ours.shutdown(socket.SHUT_WR)
        theirs.close()
        assert ours.recv(65536, socket.MSG_WAITALL) == b"a" * 4096 + b"b" * 4096 + b"c" * 4096
    spool.close()


def test_a_full_spool_takes_nothing_rather_than_a_part(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), 100)
    assert spool.append([memoryview(b"x" * 60)])
    assert not spool.append([memoryview(b"y" * 41)])
    assert spool.size == 60
    spool.close()


def test_it_has_no_name_and_gives_its_space_back_when_it_runs_empty(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), 1 << 20)
    assert spool.append([memoryview(bytes(100_000))])
    assert list(tmp_path.iterdir()) == []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        while spool.size:
            take(spool, ours, theirs)
    assert os.fstat(spool._descriptor).st_blocks == 0
    spool.close()


def test_a_disk_that_takes_no_more_is_a_full_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(str(tmp_path), 1000)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "pwritev", full)
    assert not spool.append([memoryview(b"x")])
    assert spool.size == 0
    spool.close()


def test_where_files_without_a_name_are_not_known_the_name_is_removed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def without_tmpfile(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", without_tmpfile)
    spool = Spool(str(tmp_path), 1000)
    assert spool.append([memoryview(b"x")])
    assert list(tmp_path.iterdir()) == []
    spool.close()
