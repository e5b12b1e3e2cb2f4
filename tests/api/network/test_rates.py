"""How fast a container's traffic may be, in both directions, while it runs, and what is counted."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, address_of
from tests.packets import capturing
from tests.private_network import OUTSIDE4, Place, PrivateNetwork
from tests.waiting import until

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
