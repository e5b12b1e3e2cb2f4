"""What the API's socket takes from a client, and what it notes of one."""

from __future__ import annotations

import contextlib
import os
import resource
import stat

from tests.engine_process import EngineProcess
from tests.raw_http import ask, connect, receive_head, request
from tests.waiting import until


def test_the_socket_is_root_s_and_its_group_s(engine: EngineProcess) -> None:
    assert stat.S_IMODE(os.stat(engine.socket).st_mode) == 0o660
    assert os.stat(engine.socket).st_uid == 0


def test_who_connects_is_noted(engine: EngineProcess) -> None:
    assert ask(engine, "GET", "/_ping").status == 200
    noted = f"a connection from pid {os.getpid()}, uid {os.getuid()}, gid {os.getgid()}"
    until(lambda: noted in engine.log.read_text())


def test_a_body_without_an_end_is_refused(engine: EngineProcess) -> None:
    with connect(engine) as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(
            request("POST", "/containers/create", b"{" + b" " * (17 << 20), Content_Type="application/json")
        )
        assert receive_head(connection)[0] == 400


def test_a_head_without_an_end_is_refused(engine: EngineProcess) -> None:
    with connect(engine) as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(request("GET", "/_ping", Long="x" * (1 << 20)))
        assert receive_head(connection)[0] == 400
    with connect(engine) as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(request("GET", "/_ping", b"", **{f"Name{number}": "x" for number in range(5000)}))
        assert receive_head(connection)[0] == 400
    assert ask(engine, "GET", "/_ping").status == 200


def test_more_connections_than_the_limit_are_turned_away_until_others_leave(engine: EngineProcess) -> None:
    before = resource.prlimit(engine.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(engine.pid, resource.RLIMIT_NOFILE, (200, before[1]))
    connections = []
    try:
        connections = [connect(engine) for _ in range(101)]
        assert receive_head(connections[-1])[0] == 503
        connections[0].sendall(request("GET", "/_ping"))
        assert receive_head(connections[0])[0] == 200
    finally:
        for connection in connections:
            connection.close()
        resource.prlimit(engine.pid, resource.RLIMIT_NOFILE, before)

    def is_served() -> bool:
        with contextlib.suppress(OSError, AssertionError):  # turned away before it was heard
            return ask(engine, "GET", "/_ping").status == 200
        return False

    until(is_served)
