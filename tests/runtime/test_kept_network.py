"""The network namespace of a container that is kept for the next one: when it is, and when it is not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import pytest
from tests.runtime.conftest import CAPABILITIES, MAPS, Boat, output

from sampan.linux import capability, process
from sampan.linux.loopback import wake_loopback
from sampan.linux.namespace import CloneFlag, unshare
from sampan.monitor.oci import OciRuntime
from sampan.runtime.ahead import make_ahead, model_of
from sampan.runtime.kept_network import KeptNetwork, keep_network
from sampan.runtime.launch import launch
from sampan.runtime.launch_plan import CapabilitiesPlan, LaunchPlan, NamespaceJoin
from sampan.runtime.launched import Stdio

SHOW = "readlink /proc/self/ns/net; ip -o link | grep LOWER_UP | cut -d: -f2; ls /sys/class/net"
# one side of a connection that has ended is in TIME_WAIT for a minute
TALK = "nc -l -p 7777 </dev/null & until nc 127.0.0.1 7777 </dev/null; do :; done; wait"


def kept_of(plan: LaunchPlan) -> KeptNetwork | None:
    """What is kept of a namespace of the caller's, as if the plan's container were in it."""
    return keep_network(os.getpid(), plan)


def own_network() -> None:
    unshare(CloneFlag.NEWNET)
    wake_loopback()


def run_in(boat: Boat, plan: LaunchPlan, kept: KeptNetwork | None) -> list[str]:
    """What the container says whose process is made ahead of the plan, in what is kept."""
    model = model_of(plan, plan.id)
    assert model is not None
    with output() as (out, _):
        launched = launch(plan, Stdio(-1, out.fileno(), -1), ahead=make_ahead(model, (), kept))
        launched.go()
        boat.finish(launched)
        out.seek(0)
        return str(out.read().decode()).splitlines()


def test_the_next_container_is_in_it_with_its_loopback_up(boat: Boat) -> None:
    first, second = boat.plan(SHOW), boat.plan(SHOW)

    def act() -> tuple[list[str], list[str], bool]:
        with output() as (out, _):
            launched = launch(first, Stdio(-1, out.fileno(), -1))
            kept = keep_network(launched.pid, first)
            launched.go()
            boat.finish(launched)
            out.seek(0)
            said = out.read().decode().splitlines()
        assert kept is not None
        with closing(kept):
            untouched = kept.is_untouched()
            return said, run_in(boat, second, kept), untouched

    said, again, untouched = boat.call(act)
    assert untouched
    assert said == again
    assert said[1:] == [" lo", "lo"]


def test_it_is_not_untouched_after_a_connection_within_it(boat: Boat) -> None:
    plan = boat.plan(TALK)

    def act() -> bool:
        with output() as (out, _):
            launched = launch(plan, Stdio(-1, out.fileno(), -1))
            kept = keep_network(launched.pid, plan)
            launched.go()
            assert boat.finish(launched) == 0
        assert kept is not None
        with closing(kept):
            return kept.is_untouched()

    assert not boat.call(act)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW])
def test_it_is_not_untouched_while_somebody_has_a_socket_in_it(
    boat: Boat, family: socket.AddressFamily, kind: socket.SocketKind
) -> None:
    plan = boat.plan("true")

    def act() -> tuple[bool, bool]:
        own_network()
        kept = kept_of(plan)
        assert kept is not None
        with closing(kept):
            with socket.socket(family, kind, socket.IPPROTO_ICMP if kind == socket.SOCK_RAW else 0) as one:
                if kind != socket.SOCK_RAW:
                    one.bind(("", 7777))
                if kind == socket.SOCK_STREAM:
                    one.listen()
                during = kept.is_untouched()
            return during, kept.is_untouched()

    assert boat.call(act) == (False, True)


def may_manage_networks(boat: Boat) -> LaunchPlan:
    mask = CAPABILITIES | capability.mask_of(["CAP_NET_ADMIN"])
    return boat.plan(boat.process("true", capabilities=CapabilitiesPlan(mask, mask, mask, 0, 0)))


def may_write_sysctls(boat: Boat) -> LaunchPlan:
    return boat.plan("true", readonly_paths=())


def of_the_hosts_network(boat: Boat) -> LaunchPlan:
    return boat.plan("true", namespaces=boat.namespaces("net"))


def of_a_user_namespace(boat: Boat) -> LaunchPlan:
    names = boat.namespaces(new=boat.namespaces().new | {"user"}, uid_maps=MAPS, gid_maps=MAPS)
    return boat.plan("true", namespaces=names)


def in_anothers_user_namespace(boat: Boat) -> LaunchPlan:
    return boat.plan("true", namespaces=boat.namespaces(join=(NamespaceJoin("user", "/proc/1/ns/user"),)))


@pytest.mark.parametrize(
    "plan_of",
    [
        may_manage_networks,
        may_write_sysctls,
        of_the_hosts_network,
        of_a_user_namespace,
        in_anothers_user_namespace,
    ],
)
def test_one_that_its_container_may_change_is_not_kept(boat: Boat, plan_of: Callable[[Boat], LaunchPlan]) -> None:
    plan = plan_of(boat)
    assert boat.call(lambda: kept_of(plan)) is None


def test_of_a_process_that_is_gone_nothing_is_kept(boat: Boat) -> None:
    plan = boat.plan("true")

    def act() -> KeptNetwork | None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        before = os.listdir("/proc/self/fd")
        kept = keep_network(pid, plan)
        assert os.listdir("/proc/self/fd") == before
        return kept

    assert boat.call(act) is None


def test_whoever_joins_a_container_takes_its_network_from_the_next_one(boat: Boat) -> None:
    """An exec may be privileged, and change what the container itself cannot."""
    plan = boat.plan("exec sleep 1000")

    def act() -> tuple[int, int]:
        runtime = OciRuntime()
        with output() as (out, _):
            ends = (-1, out.fileno(), out.fileno())
            launched = launch(plan, Stdio(*ends))
            runtime.keep(plan, launched)
            before = len(runtime.kept())
            launched.go()
            try:
                joined = runtime.join(launched, plan, boat.process("true"), ends)
                process.wait_pidfd(joined.pidfd)
                os.close(joined.pidfd)
                return before, len(runtime.kept())
            finally:
                boat.end(launched)

    assert boat.call(act) == (3, 0)


@pytest.mark.parametrize(
    "change", [{"sysctl": (("net/ipv4/ip_unprivileged_port_start", "7"),)}, {"readonly_paths": ("/proc/bus",)}]
)
def test_a_plan_that_sets_or_may_set_something_gets_a_namespace_of_its_own(boat: Boat, change: dict[str, Any]) -> None:
    plan = boat.plan("readlink /proc/self/ns/net")

    def act() -> tuple[str, list[str]]:
        with ExitStack() as undo:
            own_network()
            kept = kept_of(plan)
            assert kept is not None
            undo.callback(kept.close)
            return os.readlink("/proc/self/ns/net"), run_in(boat, replace(plan, **change), kept)

    network, inside = boat.call(act)
    assert inside != [network]
