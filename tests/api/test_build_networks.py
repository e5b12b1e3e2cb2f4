"""The networks of a build's steps: those that have none may use the namespace of an earlier one, if it is as new."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.building import build
from tests.engine_process import EngineProcess

pytestmark = pytest.mark.usefixtures("busybox")

STEPS = 12
TALK = "nc -l -p 7777 </dev/null & until nc 127.0.0.1 7777 </dev/null; do :; done; wait"


def said_by_steps(engine: EngineProcess, command: str) -> list[str]:
    """What each of the steps, which all are the same command, says."""
    dockerfile = "FROM busybox\n" + f"RUN {command}\n" * STEPS
    told = build(engine, {"Dockerfile": dockerfile}, nocache="1", networkmode="none")
    assert told.status == 200, told.text
    said = [line for line in told.text.splitlines() if line.startswith(("net:[", "TCP:"))]
    assert len(said) == STEPS
    return said


def test_steps_without_a_network_share_namespaces_with_earlier_ones(engine: EngineProcess) -> None:
    networks = said_by_steps(engine, "readlink /proc/self/ns/net")
    assert len(set(networks)) < STEPS
    assert str(Path("/proc/self/ns/net").readlink()) not in networks


def test_no_step_sees_the_connections_of_an_earlier_one(engine: EngineProcess) -> None:
    """One side is in TIME_WAIT for a minute: who listened there then would be told that the address is in use."""
    for counts in said_by_steps(engine, f"grep TCP: /proc/net/sockstat; {TALK}"):
        assert " inuse 0 " in counts
        assert " tw 0 " in counts
