"""Networks and the places in them: what is allotted to whom, written down first, then made by the worker thread.

The event loop's thread owns the ledger; the kernel is the worker's. `plan` says what an owner gets and writes it down,
`make` makes it in a namespace, `release` gives it up, by owner, from whatever state. What a network's definition is
made from is `registry`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from sampan.errors import NotFound, SampanError
from sampan.network import addresses, rules
from sampan.network.definitions import (
    Endpoint,
    EndpointRequest,
    Network,
    PortRequest,
    Publication,
    Rate,
    Resolving,
)
from sampan.network.departures import Departures
from sampan.network.doctor import Finding
from sampan.network.endpoint import namespace_of
from sampan.network.host import HostNetwork
from sampan.network.ledger import Ledger
from sampan.network.ports import Ports, bound, look_ahead
from sampan.network.ranking import published, router
from sampan.network.rates import Traffic
from sampan.network.requests import check_interface, check_rate
from sampan.network.rules import Elements

REFILL_DELAY_S = 0.05
STANDING_BY = 3
HOST_S = Resolving()

type Living = Callable[[], dict[str, tuple[int, Resolving]]]


@dataclass(slots=True)
class Networks:
    """Endpoints of owners in networks.

    `living` tells the owners that are alive: a process in the namespace of each, and how it resolves.
    """

    ledger: Ledger
    host: HostNetwork
    ports: Ports
    living: Living = dict
    _worker: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")
    )
    _last: dict[tuple[str, int], int] = field(default_factory=dict)  # by network and subnet: the address given last
    _departures: Departures = field(init=False)
    _ready: list[int] = field(default_factory=list)
    _refill: asyncio.TimerHandle | None = None
    _refilling: asyncio.Task[None] | None = None
    _watched: int = -1
    _restoring: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._departures = Departures(self.ledger, lambda gone: self.run(self.host.disconnect, gone))

    async def run[T](self, work: Callable[..., T], *arguments: object) -> T:
        """Have the worker do something, behind everything it was given before."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)

    # -- planning

    def plan(
        self, owner: str, requests: Sequence[EndpointRequest], ports: Sequence[PortRequest] = ()
    ) -> tuple[Endpoint, ...]:
        """Allot an endpoint for each request and write them down; all or none. Routes and ports go by `ranking`.

        Raises PortTakenError, Conflict, Forbidden, InvalidArgument.
        """
        made: list[Endpoint] = []
        try:
            first, publisher = self._router(requests), self._router(requests, publishing=True)
            for number, request in enumerate(requests):
                made.append(self._allot(owner, request, number, routes=number == first))
            if ports and publisher >= 0:
                made[publisher] = self._publish(made[publisher], ports)
        except BaseException:
            for endpoint in made:
                self.ledger.remove(endpoint)
            raise
        return tuple(made)

    async def look_ahead(
        self, places: Sequence[EndpointRequest], ports: Sequence[PortRequest]
    ) -> Sequence[PortRequest]:
        """The ports for `plan`, with what is asked before; none where none is published."""
        number = self._router(places, publishing=True) if ports else -1
        return await look_ahead(self.network(places[number].network), ports) if number >= 0 else ()

    def _router(self, places: Sequence[EndpointRequest | Endpoint], *, publishing: bool = False) -> int:
        return router([(place, self.network(place.network)) for place in places], publishing=publishing)

    def _allot(self, owner: str, request: EndpointRequest, number: int, *, routes: bool) -> Endpoint:
        network = self.network(request.network)
        check_rate(network, request.rate)
        endpoint_id = secrets.token_hex(32)
        ipv4 = self._address(network, request.ipv4, 4)
        ipv6 = self._address(network, request.ipv6, 6)
        if not network.used:
            self.ledger.save_network(replace(network, used=True))
        return self.ledger.add(
            Endpoint(
                id=endpoint_id,
                owner=owner,
                network=network.id,
                mac=request.mac or addresses.mac_of(ipv4, endpoint_id),
                interface=self._interface(owner, request.interface, number),
                ipv4=ipv4,
                ipv6=ipv6,
                names=request.names,
                priority=request.priority,
                rate=request.rate,
                link_local=request.link_local,
                routes=routes,
            )
        )

    def _address(self, network: Network, asked: str, family: int) -> str:
        subnets = network.of_family(family)
        used = self.ledger.used(network.id)
        if asked:
            return addresses.check_fixed(asked, subnets, used)
        if not subnets:
            return ""
        key = (network.id, family)
        found = addresses.next_address(subnets[0], used, self._last.get(key, 0))
        self._last[key] = int(ipaddress.ip_address(found))
        return found

    def _interface(self, owner: str, asked: str, number: int) -> str:
        taken = {endpoint.interface for endpoint in self.ledger.of_owner(owner)}
        if asked:
            return check_interface(asked, taken)
        while f"eth{number}" in taken:
            number += 1
        return f"eth{number}"

    def _publish(self, endpoint: Endpoint, ports: Sequence[PortRequest]) -> Endpoint:
        families = [family for family in (4, 6) if endpoint.address(family)]
        publications = self.ports.publish(bound(self.network(endpoint.network), ports), families)
        return self.ledger.add(replace(endpoint, publications=(*endpoint.publications, *publications)))

    # -- acting

    async def make_namespace(self) -> int:
        """A new namespace with its loopback up; a descriptor that the caller closes.

        One that stands by, when there is one: others are made when nobody waits.
        """
        if self._refill is None:
            self._refill = asyncio.get_running_loop().call_later(REFILL_DELAY_S, self._begin_refill)
        if self._ready:
            return self._ready.pop()
        return await self.run(self.host.make_namespace)

    def _begin_refill(self) -> None:
        self._refill = None
        self._refilling = asyncio.get_running_loop().create_task(self._fill())

    async def _fill(self) -> None:
        with contextlib.suppress(SampanError):  # whoever needs one is told
            while len(self._ready) < STANDING_BY:
                self._ready.append(await self.run(self.host.make_namespace))

    async def make(self, netns_fd: int, endpoints: Sequence[Endpoint], resolving: Resolving = HOST_S) -> None:
        """Make an owner's planned endpoints in a namespace, and let it resolve names where its networks have them.

        Raises SystemFailure; `release` undoes whatever was made.
        """
        await self.run(self.host.connect, netns_fd, tuple(endpoints))
        if any(self.has_names(endpoint) for endpoint in endpoints):
            await self._tell_names(netns_fd, endpoints[0].owner, resolving)

    async def _tell_names(self, netns_fd: int, owner: str, resolving: Resolving) -> None:
        await self.run(self.host.tell_names, netns_fd, owner, resolving)
        now = self.host.names.fileno()
        if now >= 0 and now != self._watched:
            self._watched = now
            asyncio.get_running_loop().add_reader(now, self._look_after_names)

    def _look_after_names(self) -> None:
        """The names process has said something, or has gone: then another one gets everything again."""
        if self.host.names.has_gone():
            asyncio.get_running_loop().remove_reader(self._watched)
            self._watched = -1
            self._restoring = asyncio.get_running_loop().create_task(self._restore_names())

    async def _restore_names(self) -> None:
        await self.run(self.host.names.close)
        await self._tell_all(self.living())

    async def _tell_all(self, owners: dict[str, tuple[int, Resolving]]) -> None:
        for owner, (pid, resolving) in owners.items():
            if any(self.has_names(endpoint) for endpoint in self.ledger.of_owner(owner)):
                with contextlib.suppress(OSError, SampanError):  # it is just ending, or nobody can be told now
                    await self._tell_again(owner, pid, resolving)

    def has_names(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint's network has names."""
        network = self.ledger.network(endpoint.network)
        return network is not None and not network.is_default

    async def release(self, owner: str) -> None:
        """Give up all that an owner has; nothing happens when it has nothing."""
        endpoints = self.ledger.of_owner(owner)
        await self._give_up(endpoints)
        if owner in self.host.names.known() or any(self.has_names(endpoint) for endpoint in endpoints):
            await self.run(self.host.forget_names, owner)

    async def join(
        self,
        owner: str,
        request: EndpointRequest,
        netns_fd: int,
        ports: Sequence[PortRequest] = (),
        resolving: Resolving = HOST_S,
    ) -> Endpoint:
        """One more endpoint for an owner that lives in `netns_fd`; routes and ports move to it when it ranks first."""
        has_router = any(endpoint.routes for endpoint in self.ledger.of_owner(owner))
        ports = () if has_router else await self.look_ahead((request,), ports)
        (endpoint,) = self.plan(owner, (request,), ports)
        if has_router:
            endpoint = self.ledger.add(replace(endpoint, routes=False))
        try:
            await self.make(netns_fd, (endpoint,), resolving)
            await self._arrange(owner, netns_fd)
        except BaseException:
            await self._leave(endpoint, netns_fd)
            raise
        return endpoint

    async def leave(self, endpoint: Endpoint, netns_fd: int, resolving: Resolving = HOST_S) -> None:
        """Give up one endpoint of an owner that goes on, after default routes and published ports went to another."""
        await self._arrange(endpoint.owner, netns_fd, leaving=endpoint.id)
        await self._leave(self.ledger.endpoint(endpoint.id) or endpoint, netns_fd)
        if self.has_names(endpoint):
            await self._tell_names(netns_fd, endpoint.owner, resolving)

    async def _arrange(self, owner: str, netns_fd: int, *, leaving: str = "") -> None:
        """Have default routes and published ports where they belong among what an owner has, but for the `leaving`."""
        there = self.ledger.of_owner(owner)
        staying = [one for one in there if one.id != leaving]
        first = staying[number] if (number := self._router(staying)) >= 0 else None
        wanted = published([(one, self.network(one.network)) for one in there], leaving=leaving)
        changes = [(one, set(one.publications), set(now)) for one, now in zip(there, wanted, strict=True)]
        gone = [_publishing(one, before - now) for one, before, now in changes]
        come = [_publishing(one, now - before) for one, before, now in changes]
        for one, before, now in changes:  # written before anything is done, so that a daemon that is killed loses none
            self.ledger.add(_publishing(one, before & now))
        for number, one in enumerate(there):
            self.ledger.add(replace(one, routes=one is first, publications=wanted[number]))
        if first and not first.routes:
            await self.run(self.host.route, netns_fd, first)
        for act, changed in ((self.host.remove_rules, gone), (self.host.add_rules, come)):
            if elements := rules.merged(map(self._elements, changed)):
                await self.run(act, elements)

    async def _leave(self, endpoint: Endpoint, netns_fd: int) -> None:
        try:
            await self.run(self.host.take_away, netns_fd, endpoint)
        finally:
            await self._give_up([endpoint])  # only now: until then its network, and with that the bridge, stays

    async def limit(self, owner: str, rate: Rate, netns_fd: int) -> None:
        """Let an owner's traffic be so fast at each of its endpoints, at once. Raises NotImplementedHere."""
        before = self.ledger.of_owner(owner)
        for endpoint in before:
            check_rate(self.network(endpoint.network), rate)
        for endpoint in before:
            await self.run(self.host.limit, netns_fd, self.ledger.add(replace(endpoint, rate=rate)))

    async def traffic(self, owner: str, netns_fd: int) -> list[Traffic]:
        """The counters of an owner's limited endpoints."""
        limited = [endpoint for endpoint in self.ledger.of_owner(owner) if endpoint.rate != Rate()]
        return await self.run(self.host.traffic, netns_fd, limited)

    async def publish(self, endpoint: Endpoint, ports: Sequence[PortRequest]) -> Endpoint:
        """Publish further ports of an endpoint, at once. Raises PortTakenError."""
        before = set(endpoint.publications)
        changed = self._publish(endpoint, await look_ahead(self.network(endpoint.network), ports))
        added = tuple(one for one in changed.publications if one not in before)
        try:
            await self.run(self.host.add_rules, self._elements(replace(changed, publications=added)))
        except SampanError:
            self.ledger.add(endpoint)
            raise
        return changed

    async def unpublish(self, endpoint: Endpoint, gone: Sequence[Publication]) -> Endpoint:
        """Publish these no more, at once."""
        lost = set(gone)
        kept = tuple(one for one in endpoint.publications if one not in lost)
        changed = self.ledger.add(replace(endpoint, publications=kept))
        await self.run(self.host.remove_rules, self._elements(replace(endpoint, publications=tuple(gone))))
        return changed

    async def restore(self, endpoint: Endpoint, publications: Sequence[Publication]) -> Endpoint:
        """Publish again what `unpublish` has just taken away."""
        changed = self.ledger.add(replace(endpoint, publications=(*endpoint.publications, *publications)))
        await self.run(self.host.add_rules, self._elements(replace(endpoint, publications=tuple(publications))))
        return changed

    async def examine(self) -> list[Finding]:
        """What is not as it should be with our networks on this host."""
        return await self.run(self.host.examine)

    async def repair(self) -> None:
        """Make everything of ours in the kernel what it shall be."""
        used = [network for network in self.ledger.networks() if network.used]
        if used:
            await self.run(self.host.write_rules)
        for network in used:
            work = self.host.repair if self.ledger.endpoints(network.id) else self.host.remove_strays
            await self.run(work, network)

    async def recover(self) -> None:
        """After a start of the daemon: what is not of living owners is given up, the rest is made whole again."""
        owners = self.living()
        gone = [each for owner in self.ledger.owners() if owner not in owners for each in self.ledger.of_owner(owner)]
        departed = self.ledger.departed()
        left = [*gone, *(Endpoint(one, "", "", "", "") for one in departed)]
        await self.run(self.host.disconnect, left)  # outside of a bridge of ours a link is found by its name alone
        for endpoint in gone:
            self.ledger.remove(endpoint)
        self.ledger.forget_departed(departed)
        await self.repair()
        named = {owner for owner in owners if any(map(self.has_names, self.ledger.of_owner(owner)))}
        await self.run(self.host.strange_names, named)
        await self._tell_all(owners)

    async def _tell_again(self, owner: str, pid: int, resolving: Resolving) -> None:
        netns_fd = namespace_of(pid)
        try:
            await self._tell_names(netns_fd, owner, resolving)
        finally:
            os.close(netns_fd)

    async def close(self) -> None:
        """Stop working; everything made stays."""
        if self._refill is not None:
            self._refill.cancel()
        if self._refilling is not None:
            await self._refilling
        await self._departures.close()
        if self._watched >= 0:
            asyncio.get_running_loop().remove_reader(self._watched)
        await self.run(self.host.close)
        while self._ready:
            os.close(self._ready.pop())
        self._worker.shutdown()

    async def _give_up(self, endpoints: Sequence[Endpoint]) -> None:
        self._departures.add(endpoints)
        elements = rules.merged(self._elements(endpoint) for endpoint in endpoints)
        if elements:
            await self.run(self.host.remove_rules, elements)

    def _elements(self, endpoint: Endpoint) -> Elements:
        network = self.ledger.network(endpoint.network)
        return rules.of_endpoint(endpoint, network) if network else {}

    # -- finding

    def network(self, network_id: str) -> Network:
        """A network that must be there, by its full id."""
        found = self.ledger.network(network_id)
        if found is None or network_id in self.ledger.leaving:
            raise NotFound(f"network {network_id} not found", remedy="it was just removed: connect to another")
        return found


def _publishing(endpoint: Endpoint, publications: set[Publication]) -> Endpoint:
    return replace(endpoint, publications=tuple(publications))


def open_networks(ledger: Ledger, directory: str, *, forwards: bool = True, default_bridge: str = "") -> Networks:
    """All of it, over a ledger; `directory` is where what runs is kept. With `forwards` the host is made to forward."""

    def holder(address: str, port: int, protocol: str) -> str:
        endpoint = ledger.port_holder(address, port, protocol)
        return endpoint.id if endpoint else ""

    host = HostNetwork(ledger, directory, forwards=forwards, default_bridge=default_bridge)
    return Networks(ledger, host, Ports(holder, host.rivals.look))
