"""Ids of builds: one goes on under each, whenever it was asked for."""

from __future__ import annotations

import http.client
import json

import pytest
from tests.building import context_of
from tests.engine_process import EngineProcess, UnixConnection

pytestmark = pytest.mark.usefixtures("busybox")


def begin(engine: EngineProcess, archive: bytes, build_id: str) -> http.client.HTTPConnection:
    """A request for a build, of which the last byte is not sent yet; the daemon knows of it."""
    connection = UnixConnection(engine.socket)
    connection.putrequest("POST", f"/build?buildid={build_id}")
    connection.putheader("Content-Type", "application/x-tar")
    connection.putheader("Content-Length", str(len(archive)))
    connection.endheaders(archive[:-1])
    assert engine.request("GET", "/_ping")[0] == 200, "asked later, answered when the other has been heard"
    return connection


def test_an_id_that_was_taken_while_the_context_arrived_is_refused(engine: EngineProcess) -> None:
    archive = context_of({"Dockerfile": "FROM busybox\nRUN sleep 600\n"})
    late, first = begin(engine, archive, "twice"), begin(engine, archive, "twice")
    try:
        first.send(archive[-1:])
        going_on = first.getresponse()
        while b"Running in" not in (line := going_on.readline()):
            assert line, "the build ended"
        late.send(archive[-1:])
        refused = late.getresponse()
        assert (refused.status, "twice" in refused.read().decode()) == (409, True)
        engine.json("POST", "/build/cancel?id=twice", expect=204)
        assert json.loads(going_on.read().splitlines()[-1])["error"] == "the build was canceled"
        engine.json("POST", "/build/cancel?id=twice", expect=404)
    finally:
        late.close()
        first.close()
