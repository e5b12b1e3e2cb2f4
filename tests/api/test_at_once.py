"""A small question has the same answer whether it is answered at once or the usual way, at every moment."""

from __future__ import annotations

import json
import re
from contextlib import closing

import pytest
from tests.engine_process import EngineProcess, UnixConnection
from tests.raw_http import connect

USUAL = b"X-Usual: yes\r\n"  # a field that is not known to small questions


def _said(engine: EngineProcess, first: str, fields: bytes) -> bytes:
    """The whole answer, with its date masked; the request lets the connection be closed."""
    with connect(engine) as connection:
        connection.sendall(first.encode() + b"\r\nHost: localhost\r\n" + fields + b"\r\n")
        said = b""
        while piece := connection.recv(1 << 20):
            said += piece
    return re.sub(rb"\r\nDate: [^\r]*", b"\r\nDate: masked", said)


def _both(engine: EngineProcess, first: str) -> bytes:
    last = b"Connection: close\r\n" if first.endswith("1.1") else b""
    at_once, usual = _said(engine, first, last), _said(engine, first, last + USUAL)
    assert at_once == usual
    return at_once


@pytest.mark.parametrize("http", ["1.0", "1.1"])
def test_each_question_has_the_answer_that_it_has_in_the_usual_way(engine: EngineProcess, http: str) -> None:
    name = f"asked-{http}"
    container_id = engine.run(name, "sleep", "300", MacAddress="02:42:ac:11:00:07")
    exec_id = engine.json("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})["Id"]
    paths = [
        "/_ping",
        "/v1.24/_ping",
        f"/containers/{name}/json",
        f"/v1.43/containers/{container_id}/json",
        f"/v1.47/containers/{container_id[:12]}/json",
        f"/v1.45/exec/{exec_id}/json",
    ]
    for path in paths:
        assert _both(engine, f"GET {path} HTTP/{http}").startswith(f"HTTP/{http} 200 OK\r\n".encode())
    refused = [
        "/nothing",
        "/containers/nobody/json",
        "/exec/nobody/json",
        "/v1.12/_ping",
        "/v1.99/_ping",
        "/v1.45x/_ping",
    ]
    for path in refused:
        assert re.match(rb"HTTP/1\.[01] 4\d\d ", _both(engine, f"GET {path} HTTP/{http}"))
    assert _both(engine, f"HEAD /_ping HTTP/{http}").endswith(b"\r\n\r\n")
    assert b" 404 " in _both(engine, f"HEAD /containers/{name}/json HTTP/{http}")


def test_a_kept_connection_tells_each_change_at_once(engine: EngineProcess) -> None:
    engine.create("mixed", "sleep", "300")
    with closing(UnixConnection(engine.socket)) as connection:

        def told(method: str, path: str) -> bytes:
            connection.request(method, path)
            return connection.getresponse().read()

        states = []
        for change in ("", "start", "pause", "unpause", "stop?t=0"):
            if change:
                told("POST", f"/containers/mixed/{change}")
            states.append(json.loads(told("GET", "/containers/mixed/json"))["State"]["Status"])
            states.append(told("GET", "/_ping").decode())
    assert states == ["created", "OK", "running", "OK", "paused", "OK", "running", "OK", "exited", "OK"]
