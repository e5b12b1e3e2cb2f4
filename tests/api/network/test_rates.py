"""How fast a container's traffic may be, in both directions, while it runs, and what is counted."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, address_of
from tests.packets import capturing
from tests.private_network import OUTSIDE4, Place, PrivateNetwork
from tests.waiting import until

from sampan.cgroup import Mode, hierarchies

SLOW = {"In": 8000, "Out": 16000}  # a hundred seconds for what `flood` sends at once
PACKETS = 400
_SNDBUFFORCE = 32


def flood(place: Place, address: str, port: int) -> None:
    """Send much more than a bucket and its queue hold."""
    with place.open_socket(kind=socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, 16 << 20)
        for _ in range(PACKETS):
            client.sendto(bytes(1000), (address, port))


def stats(engine: EngineProcess, name: str) -> Any:
    shown = engine.json("GET", f"/containers/{name}/stats?stream=false&one-shot=true")
    return shown.get("network_rate_stats", {})


def test_what_is_too_much_waits_and_is_dropped_in_both_directions(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    place = containers.run("slow", NetworkRate=SLOW)
    assert engine.inspect("slow")["HostConfig"]["NetworkRate"] == SLOW
    with capturing(network.outside) as wire, capturing(place) as within:
        flood(place, OUTSIDE4, 7400)
        flood(network, address_of(engine, "slow"), 7401)
        until(lambda: bool(wire.packets(7400)) and bool(within.packets(7401)))
        assert len(wire.packets(7400)) < PACKETS
        assert len(within.packets(7401)) < PACKETS
    counted = stats(engine, "slow")["eth0"]
    assert (counted["in"]["rate"], counted["out"]["rate"]) == (SLOW["In"], SLOW["Out"])
    for direction in ("in", "out"):
        assert counted[direction]["dropped"] > 0
        assert counted[direction]["delayed"] > 0
        assert counted[direction]["bytes"] > 0


def test_a_rate_is_changed_and_lifted_while_the_container_runs(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    place = containers.run("changing")
    update = "/containers/changing/update"
    with network.outside.serving(OUTSIDE4, 7402):
        engine.json("POST", update, {"NetworkRate": {"Out": 1_000_000}})
        assert "tbf 5350: root" in place.run("tc", "qdisc", "show", "dev", "eth0")
        assert set(stats(engine, "changing")["eth0"]) == {"out"}
        assert place.ask(OUTSIDE4, 7402)
        networks.create("more")
        networks.connect("more", "changing")
        assert "rate 1Mbit" in place.run("tc", "qdisc", "show", "dev", "eth1")
        engine.kill()
        engine.start()
        assert stats(engine, "changing")["eth1"]["out"]["rate"] == 1_000_000
        engine.json("POST", update, {"Memory": 64 << 20})  # another change leaves it alone
        assert engine.inspect("changing")["HostConfig"]["NetworkRate"] == {"In": 0, "Out": 1_000_000}
        engine.json("POST", update, {"NetworkRate": {}})
        assert "tbf" not in place.run("tc", "qdisc", "show")
        assert stats(engine, "changing") == {}
    assert "NetworkRate" not in engine.inspect("changing")["HostConfig"]
    engine.json("POST", update, {"NetworkRate": {"In": 2_000_000}})
    engine.json("POST", "/containers/changing/restart?t=0", expect=204)
    assert stats(engine, "changing")["eth0"]["in"]["rate"] == 2_000_000


def test_what_cannot_be_limited_is_refused(engine: EngineProcess, containers: Containers) -> None:
    containers.run("pod")
    rate = {"NetworkRate": SLOW}
    for mode in ("none", "host", "container:pod"):
        body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": mode, **rate}}
        refused = engine.json("POST", "/containers/create", body, expect=400)["message"]
        assert "network rate and the network mode" in refused
    containers.run("alone", NetworkMode="none")
    engine.json("POST", "/containers/alone/update", rate, expect=400)
    for wrong in ({"In": 5}, {"Out": -1}):
        engine.json("POST", "/containers/pod/update", {"NetworkRate": wrong}, expect=400)
    assert "NetworkRate" not in engine.inspect("pod")["HostConfig"]


def test_a_class_for_packets_is_set_or_refused_by_name(engine: EngineProcess, containers: Containers) -> None:
    engine.create("classed", "sleep", "300", host={"NetworkMode": "default", "NetworkClass": 0x100001})
    containers.names.append("classed")
    if not Path("/sys/fs/cgroup/net_cls").is_mount():
        status, refused = engine.request("POST", "/containers/classed/start")
        assert status >= 400
        assert b"net_cls" in refused
        return
    engine.json("POST", "/containers/classed/start", expect=204)
    (found,) = Path("/sys/fs/cgroup/net_cls/sampan").glob(f"{engine.inspect('classed')['Id']}/net_cls.classid")
    assert found.read_text().strip() == str(0x100001)


@pytest.fixture
def with_net_cls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProcess]:
    """An engine that has net_cls in mounts of its own, as few machines have it mounted.

    With net_prio, as another test does: so both have the one hierarchy that there can be, should they meet.
    """
    numbers = net_cls_hierarchies()
    if "net_cls" not in numbers or set(numbers.values()) != {"0"} or hierarchies().mode is Mode.V2:
        pytest.skip("needs v1, and net_cls and net_prio in no hierarchy")
    place, python = tmp_path / "net_cls", tmp_path / "python"
    place.mkdir()
    mount = f"mount -t cgroup -o {','.join(sorted(numbers))} none {place}"
    start = f'{mount} && exec {sys.executable} "$@"'
    python.write_text(f"#!/bin/sh\nexec unshare --mount --propagation private sh -c '{start}' sh \"$@\"\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with EngineProcess(tmp_path) as engine:
        yield engine
        for container in engine.json("GET", "/containers/json?all=1"):
            engine.request("DELETE", f"/containers/{container['Id']}?force=1")
        ours = Path(f"/proc/{engine.pid}/root{place}/sampan")
        until(lambda: all(_is_gone(one) for one in (*sorted(ours.rglob("*/"), reverse=True), ours)))

    def is_no_more() -> bool:
        """Groups linger when they are removed, and keep the hierarchy until its next unmount."""
        if set(net_cls_hierarchies().values()) == {"0"}:
            return True
        subprocess.run(["unshare", "--mount", "sh", "-c", f"{mount} && umount {place}"], check=False)
        return False

    until(is_no_more)


def net_cls_hierarchies() -> dict[str, str]:
    """The numbers of the hierarchies that net_cls and net_prio are in, where this kernel has them; "0" is none."""
    lines = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()]
    return {line[0]: line[1] for line in lines if line[0] in {"net_cls", "net_prio"} and line[3] == "1"}


def _is_gone(directory: Path) -> bool:
    with contextlib.suppress(OSError):
        directory.rmdir()
    return not directory.exists()


def test_what_a_container_s_class_has_sent_is_told(with_net_cls: EngineProcess) -> None:
    """net_cls marks, a rule of nft's turns the mark into a class of tc's, and tc counts."""
    engine, class_id = with_net_cls, 0x100001
    send = ["bash", "-c", "until test -e /tmp/go; do sleep 0.1; done; echo x > /dev/udp/127.0.0.1/9; sleep 300"]
    engine.run("classed", *send, host={"NetworkClass": class_id})
    stats_of = "/containers/classed/stats?stream=false&one-shot=true"
    assert "network_class_stats" not in engine.json("GET", stats_of)
    place = Place(os.open(f"/proc/{engine.inspect('classed')['State']['Pid']}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
    try:
        place.run("tc", "qdisc", "add", "dev", "lo", "root", "handle", "10:", "htb")
        place.run("tc", *"class add dev lo parent 10: classid 10:1 htb rate 10mbit".split())
        place.run("nft", "add table ip marks; add chain ip marks out { type filter hook output priority 0; }")
        place.run("nft", f"add rule ip marks out meta cgroup {class_id} meta priority set 10:1")
        (before,) = engine.json("GET", stats_of)["network_class_stats"]
        nothing = {"bytes": 0, "packets": 0, "dropped": 0, "delayed": 0, "waiting_bytes": 0}
        assert before == {"link": "lo", "host": False, **nothing}
        place.run("ping", "-c1", "127.0.0.1")  # by another program than the container's
        assert engine.json("GET", stats_of)["network_class_stats"] == [before]
        Path(f"/proc/{engine.inspect('classed')['State']['Pid']}/root/tmp/go").touch()
        until(lambda: engine.json("GET", stats_of)["network_class_stats"][0]["packets"] == 1)
    finally:
        os.close(place.netns_fd)
