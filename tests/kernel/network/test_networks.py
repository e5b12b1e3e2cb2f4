"""What networks hold, and that whatever instant it was cut off at nothing of it stays without a holder."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.kernel.conftest import PrivateHost

from sampan.linux.link import add_veth, delete_link, links
from sampan.linux.netlink import Netlink
from sampan.linux.network_namespace import make_network_namespace
from sampan.network.definitions import Endpoint, EndpointRequest, Network, Subnet
from sampan.network.ledger import Ledger
from sampan.network.networks import Networks, open_networks

RED = Network("e" * 64, "red", 1, link="br-red", subnets=(Subnet("10.77.0.0/24", "10.77.0.1"),), used=True)


def ports() -> set[str]:
    """The host's ends of endpoints."""
    with Netlink() as netlink:
        return {link.name for link in links(netlink) if link.name.startswith("sp")}


@pytest.fixture
def with_networks(host: PrivateHost, tmp_path: Path) -> Callable[[Callable[[Networks], Awaitable[None]]], None]:
    """Does something with networks in a network namespace of their own, of which one is there."""

    def child(work: Callable[[Networks], Awaitable[None]]) -> None:
        async def whole() -> None:
            ledger = Ledger(sqlite3.connect(":memory:", isolation_level=None))
            ledger.save_network(RED)
            networks = open_networks(ledger, str(tmp_path), default_bridge="none")
            try:
                await work(networks)
            finally:
                await networks.close()

        asyncio.run(whole())

    return lambda work: host.run(lambda: child(work), net=True)


def test_a_link_of_one_who_is_gone_goes_also_when_it_was_not_in_its_bridge_yet(
    with_networks: Callable[[Callable[[Networks], Awaitable[None]]], None],
) -> None:
    async def work(networks: Networks) -> None:
        (endpoint,) = networks.plan("gone", [EndpointRequest(RED.id)])
        with Netlink() as netlink:  # its other end is here, so nothing but a name leads to it
            add_veth(netlink, endpoint.link, "other")
        assert ports() == {endpoint.link}
        await networks.recover()
        assert ports() == set()
        assert networks.ledger.endpoints() == []

    with_networks(work)


def test_an_endpoint_is_known_until_its_link_is_gone(
    with_networks: Callable[[Callable[[Networks], Awaitable[None]]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(networks: Networks) -> None:
        netns_fd = make_network_namespace()
        endpoint = await networks.join("one", EndpointRequest(RED.id), netns_fd)
        assert ports() == {endpoint.link}
        seen = []
        remove = networks.ledger.remove

        def removing(gone: Endpoint) -> None:
            seen.append(ports())
            remove(gone)

        monkeypatch.setattr(networks.ledger, "remove", removing)
        await networks.leave(endpoint, netns_fd)
        os.close(netns_fd)
        assert seen == [set()]

    with_networks(work)


@pytest.mark.parametrize("is_swept", [False, True])
def test_a_link_that_outlives_its_release_goes_with_the_sweep_or_with_the_next_daemon(
    with_networks: Callable[[Callable[[Networks], Awaitable[None]]], None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_swept: bool,
) -> None:
    async def work(networks: Networks) -> None:
        netns_fd = make_network_namespace()  # held to the end, as by somebody who joined it
        endpoint = await networks.join("one", EndpointRequest(RED.id), netns_fd)
        await networks.release("one")
        assert (networks.ledger.endpoints(), networks.ledger.departed()) == ([], [endpoint.id])
        with Netlink() as netlink:
            delete_link(netlink, RED.link)  # its network is removed: the link is in no bridge
        assert ports() == {endpoint.link}
        if is_swept:
            networks._departures.sweep()
            await networks._departures.close()
        else:
            await networks.recover()
        assert ports() == set()
        assert networks.ledger.departed() == []
        os.close(netns_fd)

    monkeypatch.setattr("sampan.network.departures.SWEEP_DELAY_S", 3600.0)
    with_networks(work)
