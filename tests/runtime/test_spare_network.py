"""A network namespace that was made before there was a plan for it."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.launcher.spawn import spawn_launcher
from sampan.monitor import handle, protocol
from sampan.monitor.log_plan import LogPlan
from sampan.monitor.protocol import Exited, Go, MonitorPlan, Ready
from sampan.runtime.handshake import StepFailed
from sampan.runtime.launch_plan import LaunchPlan, RootPlan
from sampan.runtime.spawn import make_spare_network

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat

PATIENCE_S = 60.0
SHOW = "readlink /proc/self/ns/net; ip -o link | wc -l; ping -c1 -w20 127.0.0.1 >/dev/null && echo lo is up"


def start_with_spare(boat: Boat, plan: LaunchPlan) -> tuple[str, list[str]]:
    """The name of the namespace that was given, and what the container prints; nothing of it may stay open."""

    def act() -> tuple[str, list[str]]:
        own, before = os.readlink("/proc/self/ns/net"), len(os.listdir("/proc/self/fd"))
        spare = make_spare_network()
        name = os.readlink(f"/proc/self/fd/{spare}")
        try:
            lines = boat.run_here(plan, spare_network=spare).lines
        except StepFailed as error:
            lines = [error.step]
        assert os.readlink("/proc/self/ns/net") == own
        assert len(os.listdir("/proc/self/fd")) == before
        return name, lines

    return boat.call(act)


def test_it_is_the_containers_new_one_with_its_loopback_up(boat: Boat) -> None:
    name, lines = start_with_spare(boat, boat.plan(SHOW))
    assert lines == [name, "1", "lo is up"]
    assert name != os.readlink("/proc/self/ns/net")


def test_a_container_in_a_user_namespace_gets_one_that_is_owned_by_that(boat: Boat) -> None:
    name, lines = start_with_spare(boat, boat.mapped(SHOW))
    assert lines[0].startswith("net:")
    assert lines[0] not in {name, os.readlink("/proc/self/ns/net")}
    assert lines[1:] == ["1", "lo is up"]


def test_a_container_without_a_new_one_does_not_get_it(boat: Boat) -> None:
    _, lines = start_with_spare(boat, boat.plan("readlink /proc/self/ns/net", namespaces=boat.namespaces("net")))
    assert lines == [os.readlink("/proc/self/ns/net")]


def test_a_start_that_fails_lets_go_of_it(boat: Boat) -> None:
    _, lines = start_with_spare(boat, boat.plan("true", root=RootPlan(str(boat.root / "none"))))
    assert lines == ["make_sources"]


@pytest.mark.parametrize("wanted", [True, False], ids=["used", "dropped"])
def test_a_prepared_monitor_has_one_ready_when_it_was_asked_for(boat: Boat, tmp_path: Path, *, wanted: bool) -> None:
    pid, connection = spawn_launcher()
    monitor = handle.prepare(connection, network=True)
    try:
        waiting, name = found_holding_a_network(pid)
        plan = boat.plan("readlink /proc/self/ns/net")
        if not wanted:
            plan = replace(plan, namespaces=boat.namespaces("net"))
        (tmp_path / "state").mkdir()
        log = LogPlan("json-file", str(tmp_path / "state" / "log"))
        handle.launch_prepared(monitor, MonitorPlan(plan, str(tmp_path / "state"), str(tmp_path / "state"), log))
        monitor.settimeout(PATIENCE_S)
        assert hear(monitor, Ready).monitor_pid == waiting
        assert networks_held(waiting) == []
        protocol.send(monitor, Go())
        assert hear(monitor, Exited).code == 0
        expected = name if wanted else os.readlink("/proc/self/ns/net")
        assert expected in (tmp_path / "state" / "log").read_text()
    finally:
        monitor.close()
        connection.close()
        os.waitpid(pid, 0)


def hear[T](connection: socket.socket, kind: type[T]) -> T:
    while (packet := protocol.receive(connection)) is not None:
        if isinstance(packet[0], kind):
            return packet[0]
    raise AssertionError(f"no {kind.__name__}")


def found_holding_a_network(launcher: int) -> tuple[int, str]:
    """The launcher's monitor, once it holds a network namespace, and that."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for word in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
            if held := networks_held(int(word)):
                return int(word), held[0]
        time.sleep(0.01)
    raise AssertionError("no monitor holds a network namespace")


def networks_held(pid: int) -> list[str]:
    """The network namespaces but the host's that a process has descriptors of, once those are its lasting ones."""
    own = os.readlink("/proc/self/ns/net")
    try:
        found = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return []
    return [link for link in found if link.startswith("net:") and link != own]
