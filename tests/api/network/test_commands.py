"""What the command line says of networks, against a real engine in a network of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.engine_process import SOURCE, EngineProcess
from tests.network_containers import Containers, Networks, address_of, ip_in
from tests.private_network import HOST4, OUTSIDE4, PrivateNetwork

PROGRAM = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from sampan.cli.__main__ import main; main()"


def sampan(engine: EngineProcess, *words: str, code: int = 0) -> str:
    """Its output, or what it complains about."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "SAMPAN_HOST": f"unix://{engine.socket}"},
    )
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stderr if code else done.stdout


def test_a_rate_is_said_and_changed(engine: EngineProcess, containers: Containers) -> None:
    containers.names.append("slow")
    sampan(engine, "run", "-d", "--name", "slow", "--network-rate", "in=10mbit,out=1mbit", "host", "sleep", "300")
    assert engine.inspect("slow")["HostConfig"]["NetworkRate"] == {"In": 10_000_000, "Out": 1_000_000}
    place = containers.place("slow")
    assert "rate 1Mbit" in place.run("tc", "qdisc", "show", "dev", "eth0")
    assert sampan(engine, "update", "--network-rate", "2mbit", "slow") == "slow\n"
    assert "rate 2Mbit" in place.run("tc", "qdisc", "show", "dev", "eth0")
    sampan(engine, "update", "--network-rate", "0", "slow")
    assert "tbf" not in place.run("tc", "qdisc", "show", "dev", "eth0")
    assert "is no rate" in sampan(engine, "update", "--network-rate", "fast", "slow", code=125)


def test_the_doctor_tells_what_is_reachable_from_where(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("app", EnableIPv6=False)
    containers.run("web", ":8080:80/tcp", NetworkMode="app")
    containers.run("alone", NetworkMode="none")
    told = sampan(engine, "doctor", "--reach", "web", "alone").splitlines()
    assert told == [
        "web",
        f"  in app, as {ip_in(engine, 'web', 'app')}",
        "    from this host: every port",
        "    from containers of app: every port",
        "    from containers of other networks: 80/tcp by port 8080 of every IPv4 address of this host",
        "    from other hosts: 80/tcp by port 8080 of every IPv4 address of this host",
        "    to other hosts, with this host's address",
        "alone",
        "  reaches nobody and is reached by nobody",
    ]
    assert "web" in sampan(engine, "doctor", "--reach")
    assert "No such container: nobody" in sampan(engine, "doctor", "--reach", "nobody", code=1)
    assert "--reach" in sampan(engine, "doctor", "web", code=125)


def test_a_gateway_outside_of_the_subnets_that_were_given_is_told_of_them(engine: EngineProcess) -> None:
    words = ("network", "create", "--gateway", "10.8.0.1", "lost")
    assert "try: name the subnet with --subnet" in sampan(engine, *words, code=1)
    assert "try: give one inside 10.9.0.0/24" in sampan(engine, *words, "--subnet", "10.9.0.0/24", code=1)


def test_the_name_of_a_network_may_have_a_slash(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("a/b")
    containers.run("one")
    assert '"Name": "a/b"' in sampan(engine, "network", "inspect", "a/b")
    sampan(engine, "network", "connect", "a/b", "one")
    assert ip_in(engine, "one", "a/b")
    sampan(engine, "network", "disconnect", "a/b", "one")
    assert sampan(engine, "network", "rm", "a/b") == "a/b\n"
    assert "network a/b/c not found" in sampan(engine, "network", "rm", "a/b/c", code=1)


def test_networks_are_joined_by_words_of_docker_s(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.names += ["app", "back"]
    sampan(engine, "network", "create", "--subnet", "10.9.0.0/24", "app")
    sampan(engine, "network", "create", "-d", "bridge", "back")
    containers.names += ["db", "both", "linked"]
    ifname = "driver-opt=com.docker.network.endpoint.ifname=front0"
    words = ("--network", f"name=app,ip=10.9.0.7,alias=cache,{ifname}", "--network", "name=back,gw-priority=1")
    sampan(engine, "run", "-d", "--name", "both", *words, "host", "sleep", "300")
    place = containers.place("both")
    assert "10.9.0.7/24" in place.run("ip", "address", "show", "front0")
    assert "dev eth0" in place.run("ip", "route", "show", "default")
    sampan(engine, "run", "-d", "--name", "db", "host", "sleep", "300")
    hosts = sampan(engine, "run", "--name", "linked", "--link", "db:database", "host", "cat", "/etc/hosts")
    assert any(line.split()[:2] == [address_of(engine, "db"), "database"] for line in hosts.splitlines())
    with network.outside.serving(OUTSIDE4, 7500):
        script = f"exec 3<>/dev/tcp/{OUTSIDE4}/7500; echo >&3; cat <&3"
        assert sampan(engine, "run", "--rm", "--network", "app", "host", "bash", "-c", script) == HOST4
