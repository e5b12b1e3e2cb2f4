"""Streams under clients of every habit: whatever the pieces and when they come, what goes in comes out."""

from __future__ import annotations

import threading

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.engine_process import EngineProcess
from tests.hijack import Hijacked, demultiplex
from tests.waiting import until

sizes = st.sampled_from([1, 7, 8, 9, 4095, 4096, 65535, 65536, 200_000])
pieces = st.lists(st.tuples(sizes, st.integers(0, 255)), max_size=6)


@pytest.fixture(scope="module")
def engine(engine: EngineProcess) -> EngineProcess:
    engine.run("echoing", "sleep", "1000")
    return engine


def _exec(engine: EngineProcess, *command: str) -> str:
    body = {"Cmd": command, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
    found: str = engine.json("POST", "/containers/echoing/exec", body, expect=201)["Id"]
    return found


def _bytes(parts: list[tuple[int, int]]) -> list[bytes]:
    return [bytes([value]) * size for size, value in parts]


@settings(
    max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
)
@given(behind=pieces, later=pieces, upgrade=st.booleans())
def test_what_goes_into_cat_comes_out_of_it(
    engine: EngineProcess, behind: list[tuple[int, int]], later: list[tuple[int, int]], *, upgrade: bool
) -> None:
    early = b"".join(_bytes(behind)) if upgrade else b""
    session = Hijacked(engine, f"/exec/{_exec(engine, 'cat')}/start", {}, behind=early, upgrade=upgrade)
    said: list[bytes] = []
    reading = threading.Thread(target=lambda: said.append(session.read_all()))
    reading.start()
    for piece in _bytes(later):
        session.send(piece)
    session.end_input()
    reading.join(110)
    shown = demultiplex(said[0]).get(1, b"")
    assert (len(shown), shown == early + b"".join(_bytes(later))) == (len(early) + sum(size for size, _ in later), True)


@settings(
    max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
)
@given(read=st.sampled_from([0, 1, 100, 70_000]), ends_input=st.booleans())
def test_a_client_that_leaves_in_the_middle_harms_nobody(engine: EngineProcess, read: int, *, ends_input: bool) -> None:
    exec_id = _exec(engine, "sh", "-c", "head -c 300000 /dev/zero; cat > /dev/null")
    session = Hijacked(engine, f"/exec/{exec_id}/start", {})
    left = read
    while left > 0:
        left -= len(session.socket.recv(left))
    if ends_input:
        session.end_input()
    session.close()
    until(lambda: not engine.json("GET", f"/exec/{exec_id}/json")["Running"], 30)
