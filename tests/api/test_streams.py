"""Attach, exec and logs, byte for byte."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.engine_process import EngineProcess
from tests.hijack import Hijacked, demultiplex
from tests.waiting import until

ATTACH = "stream=1&stdin=1&stdout=1&stderr=1"
STDIN: dict[str, Any] = {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True}


def test_an_attached_client_gets_the_first_byte_and_the_last_on_the_right_stream(engine: EngineProcess) -> None:
    engine.create("streams", "sh", "-c", "echo out; echo err >&2; echo again")
    client = Hijacked(engine, "/containers/streams/attach?stream=1&stdout=1&stderr=1")
    assert client.status == 101
    assert "application/vnd.docker.multiplexed-stream" in client.head
    engine.json("POST", "/containers/streams/start", expect=204)
    assert demultiplex(client.read_all()) == {1: b"out\nagain\n", 2: b"err\n"}


def test_a_client_that_asks_for_no_upgrade_gets_200_and_the_same_stream(engine: EngineProcess) -> None:
    engine.create("plain", "echo", "hello")
    client = Hijacked(engine, "/containers/plain/attach?stream=1&stdout=1", upgrade=False)
    assert client.status == 200
    engine.json("POST", "/containers/plain/start", expect=204)
    assert demultiplex(client.read_all()) == {1: b"hello\n"}


def test_before_api_1_42_the_stream_has_the_raw_content_type(engine: EngineProcess) -> None:
    engine.create("older", "echo", "hello")
    client = Hijacked(engine, "/v1.41/containers/older/attach?stream=1&stdout=1")
    assert "application/vnd.docker.raw-stream" in client.head
    engine.json("POST", "/containers/older/start", expect=204)
    assert demultiplex(client.read_all()) == {1: b"hello\n"}


def test_bytes_sent_right_behind_the_request_reach_the_program(engine: EngineProcess) -> None:
    engine.create("early", "cat", **STDIN)
    client = Hijacked(engine, f"/containers/early/attach?{ATTACH}", behind=b"early bird\n")
    engine.json("POST", "/containers/early/start", expect=204)
    client.send(b"late\n")
    client.end_input()
    assert demultiplex(client.read_all()) == {1: b"early bird\nlate\n"}
    assert engine.wait("early") == 0


def test_the_end_of_input_reaches_the_program_and_its_output_still_comes(engine: EngineProcess) -> None:
    engine.create("counter", "sh", "-c", "cat | wc -c; sleep 0.3; echo done", **STDIN)
    client = Hijacked(engine, f"/containers/counter/attach?{ATTACH}")
    engine.json("POST", "/containers/counter/start", expect=204)
    client.send(b"x" * 100_000)
    client.end_input()
    assert demultiplex(client.read_all())[1].split() == [b"100000", b"done"]


def test_fifty_megabytes_go_in_and_come_out_unchanged(engine: EngineProcess) -> None:
    content = os.urandom(1 << 20) * 50
    engine.create("bulk", "sha256sum", **STDIN)
    client = Hijacked(engine, f"/containers/bulk/attach?{ATTACH}")
    engine.json("POST", "/containers/bulk/start", expect=204)
    client.send(content)
    client.end_input()
    assert demultiplex(client.read_all())[1].split()[0].decode() == hashlib.sha256(content).hexdigest()


def test_a_slow_reader_gets_every_byte_and_does_not_hold_up_the_program(engine: EngineProcess) -> None:
    engine.create("flood", "sh", "-c", "seq 1 300000")
    client = Hijacked(engine, "/containers/flood/attach?stream=1&stdout=1")
    engine.json("POST", "/containers/flood/start", expect=204)
    assert engine.wait("flood") == 0
    time.sleep(0.3)
    lines = demultiplex(client.read_all())[1].split()
    assert lines == [str(number).encode() for number in range(1, 300_001)]


def test_a_client_that_vanishes_does_not_stop_the_program(engine: EngineProcess) -> None:
    engine.create("going-on", "sh", "-c", "seq 1 200000; exit 6")
    client = Hijacked(engine, "/containers/going-on/attach?stream=1&stdout=1")
    engine.json("POST", "/containers/going-on/start", expect=204)
    client.close()
    assert engine.wait("going-on") == 6
    assert len(engine.output("going-on")) == 200_000


def test_the_detach_keys_let_the_client_go_and_the_program_run(engine: EngineProcess) -> None:
    engine.create("detached", "cat", Tty=True, OpenStdin=True)
    client = Hijacked(engine, f"/containers/detached/attach?{ATTACH}&detachKeys=ctrl-x,x")
    assert "application/vnd.docker.raw-stream" in client.head
    engine.json("POST", "/containers/detached/start", expect=204)
    client.send(b"hello\r")
    client.read_until(b"hello")
    client.send(b"\x18x")
    client.read_all()
    assert engine.inspect("detached")["State"]["Status"] == "running"
    engine.json("POST", "/containers/detached/resize?h=33&w=99", expect=200)
    second = Hijacked(engine, f"/containers/detached/attach?{ATTACH}")
    second.send(b"again\r")
    second.read_until(b"again")
    second.close()


def test_attach_replays_the_log_when_asked(engine: EngineProcess) -> None:
    engine.run("told", "sh", "-c", "echo before")
    engine.wait("told")
    client = Hijacked(engine, "/containers/told/attach?logs=1&stdout=1&stderr=1")
    assert demultiplex(client.read_all()) == {1: b"before\n"}


def test_who_attaches_to_a_run_that_ends_while_its_log_is_replayed_waits_for_no_other(
    engine: EngineProcess, tmp_path: Path
) -> None:
    script = "while ! test -e /told/go; do :; done"
    for number in range(5):
        go = tmp_path / "go"
        name = engine.run(f"ending-{number}", "sh", "-c", script, host={"Binds": [f"{tmp_path}:/told"]})
        client = Hijacked(engine, f"/containers/{name}/attach?logs=1&stream=1&stdout=1&stderr=1")
        go.touch()
        assert client.read_all() == b""
        engine.wait(name)
        go.unlink()


def test_who_attaches_with_the_log_before_the_first_start_misses_nothing_of_a_short_run(engine: EngineProcess) -> None:
    for number in range(10):
        name = f"short-{number}"
        engine.create(name, "sh", "-c", "echo words")
        client = Hijacked(engine, f"/containers/{name}/attach?logs=1&stream=1&stdout=1&stderr=1")
        engine.json("POST", f"/containers/{name}/start", expect=204)
        assert demultiplex(client.read_all()) == {1: b"words\n"}


def test_invalid_detach_keys_are_refused(engine: EngineProcess) -> None:
    engine.create("keys", "true")
    answer = engine.json("POST", "/containers/keys/attach?stream=1&detachKeys=ctrl-%C3%A9", expect=400)
    assert "Invalid detach keys" in answer["message"]


def test_an_exec_streams_its_output_and_keeps_its_code(engine: EngineProcess) -> None:
    engine.run("host-of-execs", "sleep", "300")
    command = {"Cmd": ["sh", "-c", "cat; echo err >&2; exit 5"]}
    body = {**command, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
    exec_id = engine.json("POST", "/containers/host-of-execs/exec", body, expect=201)["Id"]
    client = Hijacked(engine, f"/exec/{exec_id}/start", {"Detach": False}, behind=b"in\n")
    assert client.status == 101
    client.end_input()
    assert demultiplex(client.read_all()) == {1: b"in\n", 2: b"err\n"}
    until(lambda: engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"] == 5)
    assert engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True}, expect=409)["message"]


@pytest.mark.parametrize("name", ["no-such-program", ""])
def test_an_exec_of_a_missing_program_is_told_on_the_stream(engine: EngineProcess, name: str) -> None:
    container_id = engine.run(f"host-of-failures-{name}", "sleep", "300")
    body = {"Cmd": [name], "AttachStdout": True, "AttachStderr": True}
    exec_id = engine.json("POST", f"/containers/{container_id}/exec", body, expect=201)["Id"]
    told = demultiplex(Hijacked(engine, f"/exec/{exec_id}/start", {"Detach": False}).read_all())
    assert f'exec: "{name}": executable file not found' in b"".join(told.values()).decode()
    assert engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"] == 126  # as Docker with runc has it


def test_an_exec_that_cannot_be_is_refused_before_its_start(engine: EngineProcess) -> None:
    engine.run("host-of-refusals", "sleep", "300")
    body = {"Cmd": ["pwd"], "WorkingDir": "relative"}
    answer = engine.json("POST", "/containers/host-of-refusals/exec", body, expect=400)
    assert "cwd must be an absolute path" in answer["message"]


def test_an_exec_in_a_container_that_does_not_run_is_refused(engine: EngineProcess) -> None:
    engine.create("still", "true")
    answer = engine.json("POST", "/containers/still/exec", {"Cmd": ["true"]}, expect=409)
    assert "is not running" in answer["message"]


def test_logs_are_cut_by_tail_time_and_stream(engine: EngineProcess, tmp_path: Path) -> None:
    script = "echo one; echo two >&2; until [ -e /gate/open ]; do sleep 0.02; done; echo three"
    engine.run("logged", "sh", "-c", script, host={"Binds": [f"{tmp_path}:/gate"]})
    until(lambda: sorted(engine.output("logged")) == ["one", "two"])  # their time is when they were read
    (tmp_path / "open").touch()
    engine.wait("logged")
    path = "/containers/logged/logs?stdout=1&stderr=1"
    assert demultiplex(engine.request("GET", path)[1]) == {1: b"one\nthree\n", 2: b"two\n"}
    assert demultiplex(engine.request("GET", f"{path}&tail=1")[1]) == {1: b"three\n"}
    assert demultiplex(engine.request("GET", "/containers/logged/logs?stderr=1")[1]) == {2: b"two\n"}
    stamped = demultiplex(engine.request("GET", f"{path}&timestamps=1&tail=1")[1])[1].decode()
    moment = stamped.split()[0]
    assert len(moment) == len("2026-01-01T00:00:00.123456789Z")
    assert demultiplex(engine.request("GET", f"{path}&since={moment}")[1]) == {1: b"three\n"}
    assert engine.json("GET", "/containers/logged/logs", expect=400)["message"]


def test_following_logs_ends_with_the_run(engine: EngineProcess) -> None:
    engine.run("followed", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done")
    told = demultiplex(engine.request("GET", "/containers/followed/logs?stdout=1&follow=1")[1])
    assert told == {1: b"1\n2\n3\n4\n5\n"}


def test_an_attach_whose_log_cannot_be_read_is_refused_before_it_leaves_http(engine: EngineProcess) -> None:
    engine.run("kept-nothing", "sleep", "1000", host={"LogConfig": {"Type": "none"}})
    for path, status in (("logs=1&stdout=1&stream=1", 501), ("logs=1&stream=1", 400)):
        engine.json("POST", f"/containers/kept-nothing/attach?{path}", expect=status)
    assert "Traceback" not in engine.log.read_text()


@pytest.mark.parametrize("stream", ["0", "1"])
def test_a_websocket_begins_with_the_log_when_that_is_asked_for(engine: EngineProcess, stream: str) -> None:
    name = f"wrote-{stream}"
    engine.run(name, "sh", "-c", "echo one; echo two >&2; read line; echo $line", OpenStdin=True, StdinOnce=True)
    until(lambda: len(engine.output(name)) == 2, 30)

    async def talk() -> bytes:
        connector = aiohttp.UnixConnector(engine.socket)
        path = f"http://localhost/containers/{name}/attach/ws?logs=1&stream={stream}&stdin=1&stdout=1&stderr=1"
        heard = b""
        async with aiohttp.ClientSession(connector=connector) as session, session.ws_connect(path) as connection:
            await connection.send_bytes(b"three\n")
            async for message in connection:
                heard += message.data
        return heard

    assert asyncio.run(talk()) == (b"one\ntwo\nthree\n" if stream == "1" else b"one\ntwo\n")


def test_a_websocket_carries_both_directions(engine: EngineProcess) -> None:
    engine.run("socketed", "cat", Tty=False, OpenStdin=True, StdinOnce=True)

    async def talk() -> bytes:
        connector = aiohttp.UnixConnector(engine.socket)
        path = "http://localhost/containers/socketed/attach/ws?stream=1&stdin=1&stdout=1"
        async with aiohttp.ClientSession(connector=connector) as session, session.ws_connect(path) as connection:
            await connection.send_bytes(b"over a websocket\n")
            message = await connection.receive(60)
            assert isinstance(message.data, bytes)
            return message.data

    assert asyncio.run(talk()) == b"over a websocket\n"
    assert engine.wait("socketed") == 0  # its input ended when the client left
