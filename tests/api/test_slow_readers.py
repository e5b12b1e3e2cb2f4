"""Clients that stop reading in the middle of a container's files: nobody waits for them, and they miss nothing."""

from __future__ import annotations

import http.client
import io
import os
import tarfile
from contextlib import closing

import pytest
from tests.engine_process import EngineProcess
from tests.raw_http import connect, receive_head, request
from tests.waiting import until

BYTES = 20_000_000  # more than any buffer on the way
SCRIPT = f"mkdir -p /data; head -c {BYTES} /dev/urandom > /data/big; echo last > /data/zz"
READS = ("export", "archive?path=/data")


class Reader:
    """A client that has got the head of an archive, and no more for now."""

    def __init__(self, engine: EngineProcess, path: str) -> None:
        self._connection = connect(engine)
        self._connection.sendall(request("GET", path, Connection="close"))
        self._answer = http.client.HTTPResponse(self._connection)
        self._answer.begin()
        assert self._answer.status == 200

    def read_on(self) -> dict[str, int]:
        """All the rest: what is in the archive, and its bytes."""
        with closing(self._connection), closing(self._answer):
            data = self._answer.read()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            return {one.name.strip("/"): one.size for one in archive}


def check(found: dict[str, int]) -> None:
    assert found["data/big"] == BYTES
    assert found["data/zz"] == len("last\n")


def is_gone(engine: EngineProcess) -> bool:
    """Whether nothing of the container's files is left on the disk."""
    return not any("big" in files for _, _, files in os.walk(engine.data_root))


@pytest.mark.parametrize("read", READS)
def test_a_container_is_removed_while_a_client_stopped_reading_it(engine: EngineProcess, read: str) -> None:
    engine.create("read", "sh", "-c", SCRIPT, image="busybox")
    engine.json("POST", "/containers/read/start", expect=204)
    assert engine.wait("read") == 0
    reader = Reader(engine, f"/containers/read/{read}")
    engine.json("DELETE", "/containers/read", expect=204)
    assert not is_gone(engine)
    check(reader.read_on())
    until(lambda: is_gone(engine))


@pytest.mark.parametrize("read", READS)
def test_a_running_container_is_removed_by_force_while_a_client_stopped_reading_it(
    engine: EngineProcess, read: str
) -> None:
    engine.create("read", "sh", "-c", f"{SCRIPT}; echo; sleep 600", image="busybox")
    engine.json("POST", "/containers/read/start", expect=204)
    until(lambda: engine.request("GET", "/containers/read/logs?stdout=1")[1] != b"")
    reader = Reader(engine, f"/containers/read/{read}")
    engine.json("DELETE", "/containers/read?force=1", expect=204)
    assert not is_gone(engine)
    check(reader.read_on())
    until(lambda: is_gone(engine))


def test_a_start_comes_when_those_who_read_have_what_they_want(engine: EngineProcess) -> None:
    engine.create("read", "sh", "-c", SCRIPT, image="busybox")
    engine.json("POST", "/containers/read/start", expect=204)
    assert engine.wait("read") == 0
    readers = [Reader(engine, f"/containers/read/{read}") for read in READS]
    with connect(engine) as starting:
        starting.sendall(request("POST", "/containers/read/start", Connection="close"))
        for reader in readers:
            check(reader.read_on())
        assert receive_head(starting)[0] == 204
    assert engine.wait("read") == 0
    engine.json("DELETE", "/containers/read", expect=204)
