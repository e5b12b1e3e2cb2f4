"""Networks after a boot: every link, route and rule of the machine is gone, and the records are not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.test_boot import power_loss, status
from tests.engine_process import EngineProcess, send_signal
from tests.network_containers import Containers, ip_in
from tests.private_network import PrivateNetwork, make_private_network
from tests.waiting import until


@pytest.fixture
def machines() -> Iterator[tuple[PrivateNetwork, PrivateNetwork]]:
    """The network of the machine before the boot, and what it is after."""
    before, after = make_private_network(), make_private_network()
    yield before, after
    before.close()
    after.close()


def end_all_in(network: PrivateNetwork) -> None:
    """Whoever still runs in a network namespace, as the server of names does, which outlives its daemon."""
    inode = os.fstat(network.netns_fd).st_ino
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if os.stat(entry / "ns" / "net").st_ino == inode:
                    send_signal(int(entry.name))


def test_networks_and_ports_are_there_again(machines: tuple[PrivateNetwork, PrivateNetwork], tmp_path: Path) -> None:
    before, after = machines
    engine = EngineProcess(tmp_path, netns_fd=before.netns_fd)
    engine.start()
    try:
        containers = Containers(engine)
        engine.json("POST", "/networks/create", {"Name": "shop"}, expect=201)
        always = {"RestartPolicy": {"Name": "always"}}
        containers.run("plain", "0.0.0.0:8080:80/tcp", **always)
        containers.run("web", NetworkMode="shop", **always)
        containers.run("beside", NetworkMode="container:plain", **always)
        power_loss(engine)
        end_all_in(before)
        engine.netns_fd = after.netns_fd
        engine.start()
        for name in ("plain", "web", "beside"):
            until(lambda name=name: status(engine, name) == "running", 30)  # type: ignore[misc]
        assert ip_in(engine, "plain", "bridge")
        assert ip_in(engine, "web", "shop")
        plain, beside = containers.place("plain"), containers.place("beside")
        assert plain.links() == beside.links()
        with plain.serving("0.0.0.0", 80):
            assert after.ask("127.0.0.1", 8080)
        with containers.place("web").serving("0.0.0.0", 81):
            assert after.ask(ip_in(engine, "web", "shop"), 81)
        containers.close()
    finally:
        engine.close()
