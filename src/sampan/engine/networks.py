"""Where a container is in the network: its mode turned into a namespace to join and endpoints to have.

The modes that need no network of ours are decided here: `host`, `none` and `container:X`. The others become requests
to the network package, which knows no containers; what it allots goes into the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sampan.engine import config, links
from sampan.engine.container import ContainerRecord, Endpoint, Linked
from sampan.engine.endpoint_checks import refuse_endpoint, refuse_mac
from sampan.engine.parts import Place
from sampan.engine.store import ContainerStore
from sampan.errors import Conflict, InvalidArgument, NotFound, NotImplementedHere, SampanError
from sampan.network import definitions, ports
from sampan.network.addresses import parse_mac
from sampan.network.definitions import INTERFACE_NAME, EndpointRequest, Network, PortRequest, Resolving
from sampan.network.endpoint import namespace_of
from sampan.network.names import ADDRESS
from sampan.network.networks import Networks
from sampan.network.ports import PortTakenError
from sampan.network.ranking import ranked
from sampan.network.registry import DEFAULT, Registry

NOWHERE = frozenset({"none", "host"})


@dataclass(slots=True)
class Making:
    """A place that is being made: its namespace, held until the container holds it itself."""

    netns_fd: int
    task: asyncio.Task[None]


@dataclass(slots=True)
class ContainerNetworks:
    """Places for containers."""

    store: ContainerStore
    networks: Networks
    registry: Registry
    _making: dict[str, Making] = field(default_factory=dict)

    @property
    def default_mode(self) -> str:
        """The mode of a container that asks for none."""
        return DEFAULT if self.registry.has_default else "none"

    def mode(self, record: ContainerRecord) -> str:
        """The network mode in force: "none", "host", "container:X" or the name or id of a network."""
        asked = record.config.host.network_mode
        if record.config.process.network_disabled:
            return "none"
        return self.default_mode if asked in {"", "default"} else asked

    def check(self, record: ContainerRecord) -> None:
        """Refuse what contradicts the mode, and ports that are none. Raises InvalidArgument."""
        mode = self.mode(record)
        host = record.config.host
        if host.network_rate != config.NetworkRate():
            refuse_rate(mode)
        if mode.startswith("container:"):
            if not mode.removeprefix("container:"):
                raise InvalidArgument("Invalid network mode: container:", remedy="name the container to join")
            self._refuse_own(record, mode)
            return
        if mode == "host" and host.links:
            raise InvalidArgument(
                "conflicting options: host type networking can't be used with links. "
                "This would result in undefined behavior",
                remedy="leave the links out: the host's names hold there",
            )
        if self.name(mode) == DEFAULT:
            links.check(record, self.store)
        refuse_mac(record.config.process.mac_address, f"invalid config for network {self.name(self.mode(record))}: ")
        for key, asked in record.config.networks.items():
            name = self.name(key)
            known = next((network for network in self.registry.all() if name in {network.name, network.id}), None)
            refuse_endpoint(asked, known, user_defined=name not in {DEFAULT, *NOWHERE}, of=name)
        list(port_requests(record))

    def warnings(self, record: ContainerRecord) -> list[str]:
        """What a user ought to know of a container that is made all the same."""
        host = record.config.host
        mode = self.mode(record)
        if mode == "host" and (host.port_bindings or host.publish_all_ports):
            return ["Published ports are discarded when using host network mode"]
        names = {self.name(key) for key in (mode, *record.config.networks)}
        known = [network for network in self.registry.all() if not names.isdisjoint({network.name, network.id})]
        no_ipv6 = any(network.subnets for network in known) and not any(network.of_family(6) for network in known)
        lost = [f"[{one.address}]:{one.first or ''}" for one in port_requests(record) if no_ipv6 and ":" in one.address]
        return [f"Published port {place} is discarded, as network {known[0].name} has no IPv6" for place in lost]

    def _refuse_own(self, record: ContainerRecord, mode: str) -> None:
        """What cannot be together with another's network (moby, runconfig)."""
        host, process = record.config.host, record.config.process
        conflicts = {
            "hostname and the network mode": process.hostname != record.id[:12],
            "port publishing and the container type network mode": bool(host.port_bindings or host.publish_all_ports),
            "container type network can't be used with links. This would result in undefined behavior": bool(
                host.links
            ),
            "dns and the network mode": bool(host.dns),
            "custom host-to-IP mapping and the network mode": bool(host.extra_hosts),
            "mac-address and the network mode": bool(process.mac_address),
        }
        for what, is_so in conflicts.items():
            if is_so:
                raise InvalidArgument(f"conflicting options: {what}", remedy=f"leave it away with --network {mode}")

    # -- places

    def places(self, record: ContainerRecord) -> dict[str, Endpoint]:
        """The networks of a new container, by name, with nothing allotted yet."""
        mode = self.mode(record)
        if mode.startswith("container:"):
            return {}
        names = [self.name(mode)]
        if mode not in NOWHERE:
            names += [self.name(key) for key in record.config.networks]
        return {name: Endpoint(network_id="") for name in dict.fromkeys(names)}

    def drivers(self, record: ContainerRecord) -> dict[str, str]:
        """The drivers of the networks that the container is in, by the networks' names."""
        found = {}
        for name in record.endpoints:
            with contextlib.suppress(NotFound):
                found[name] = self.registry.find(name).driver
        return found

    def name(self, reference: str) -> str:
        """The name of the network that a reference means; itself when there is none."""
        if reference in {"", "default"}:
            return self.default_mode
        known = self.networks.ledger.network(reference)
        return known.name if known else reference

    def asked(self, record: ContainerRecord, name: str) -> config.EndpointRequest:
        """What a container was asked to be in a network."""
        for key, request in record.config.networks.items():
            if self.name(key) == name:
                return request
        return config.EndpointRequest()

    async def attach(self, record: ContainerRecord) -> Place:
        """The place of a container that is about to start; `complete` waits until all of it is made.

        Raises Conflict when the one to join does not run or a port is taken, NotFound for a network.
        """
        mode = self.mode(record)
        if mode in NOWHERE:
            endpoint = Endpoint(network_id=self.registry.find(mode).id, endpoint_id=secrets.token_hex(32))
            return Place(None if mode == "host" else "", {mode: endpoint})
        if mode.startswith("container:"):
            other = self._joined(mode)
            return Place(f"/proc/{other.pid}/ns/net", identity_of=self._identity(other).id)
        return await self._place(record)

    def _joined(self, mode: str) -> ContainerRecord:
        reference = mode.removeprefix("container:")
        other = self.store.find(reference)
        if not other.pid:
            raise Conflict(
                f"cannot join network of a non running container: {other.id}",
                remedy=f"start it first with `sampan start {other.name}`",
            )
        return other

    def _identity(self, record: ContainerRecord) -> ContainerRecord:
        """The container at the end of the chain of joined ones."""
        mode = self.mode(record)
        return self._identity(self._joined(mode)) if mode.startswith("container:") else record

    async def _place(self, record: ContainerRecord) -> Place:
        linked = self._linked(record)
        names = list(record.endpoints) or list(self.places(record))
        asked = [(self.request(record, network), network) for network in [await self._network(name) for name in names]]
        requests, found = zip(*(asked[number] for number in ranked(asked)), strict=True)
        wanted = await self.networks.look_ahead(requests, list(port_requests(record)))
        try:
            endpoints = self.networks.plan(record.id, requests, wanted)
        except PortTakenError as error:
            raise self.port_conflict(record, error) from error
        netns_fd = await self.networks.make_namespace()
        task = asyncio.get_running_loop().create_task(self.networks.make(netns_fd, endpoints, resolving(record)))
        self._making[record.id] = Making(netns_fd, task)
        if any(name.startswith("net.") for name in record.config.host.sysctls or ()):
            await asyncio.wait([task])  # they may be about a link that is still to come
        default = await self._network(DEFAULT) if self.registry.has_default else found[0]
        return Place(
            f"/proc/{os.getpid()}/fd/{netns_fd}",
            {network.name: shown(endpoint, network) for network, endpoint in zip(found, endpoints, strict=True)},
            shown_ports(endpoints),
            name_server=ADDRESS if any(self.networks.has_names(endpoint) for endpoint in endpoints) else "",
            host_gateway=default.gateway(4),
            linked=linked,
        )

    def _linked(self, record: ContainerRecord) -> Linked:
        if not record.config.host.links or self.name(self.mode(record)) != DEFAULT:
            return Linked()
        if not self.registry.find(DEFAULT).allows(definitions.ENABLE_ICC):
            raise NotImplementedHere(
                "a link opens no ports here when containers of the default network may not talk (--icc=false)",
                remedy="put both containers into a network of their own",
            )
        return links.resolve(record, self.store)

    async def _network(self, name: str) -> Network:
        return await self.registry.default() if name == DEFAULT else self.registry.find(name)

    def request(self, record: ContainerRecord, network: Network) -> EndpointRequest:
        """What a container asks of a network package's network."""
        asked = self.asked(record, network.name)
        is_main = self.name(self.mode(record)) == network.name
        names = () if network.is_default else dns_names(record, asked)
        mac = asked.mac_address or (record.config.process.mac_address if is_main else "")
        return EndpointRequest(
            network=network.id,
            ipv4=asked.ipv4_address,
            ipv6=asked.ipv6_address,
            interface=(asked.driver_options or {}).get(INTERFACE_NAME, ""),
            mac=parse_mac(mac) if mac else "",
            names=names,
            priority=asked.gateway_priority,
            link_local=asked.link_local_addresses or (),
            rate=definitions.Rate(record.config.host.network_rate.inward, record.config.host.network_rate.outward),
        )

    def port_conflict(self, record: ContainerRecord, error: PortTakenError) -> Conflict:
        """The refusal of a port, with who holds it."""
        taken = error.taken
        address = f"[{taken.address}]" if ":" in taken.address else taken.address
        sentence = (
            f"driver failed programming external connectivity on endpoint {record.name} ({record.id}): "
            f"Bind for {address}:{taken.port} failed: port is already allocated"
        )
        holder = self.networks.ledger.endpoint(taken.holder)
        other = self.store.get(holder.owner) if holder else None
        if other is not None:
            return Conflict(sentence, remedy=f"container {other.name} has it: stop that, or publish another port")
        return Conflict(sentence, remedy=ports.remedy(taken))

    async def complete(self, container_id: str) -> None:
        """Wait until the place is whole, then let its namespace go: the container has it now."""
        making = self._making.get(container_id)
        if making is None:
            return
        try:
            await making.task
        finally:
            self._let_go(container_id)

    def _let_go(self, container_id: str) -> None:
        making = self._making.pop(container_id, None)
        if making is not None:
            os.close(making.netns_fd)

    async def release(self, container_id: str) -> None:
        """Give up the place; nothing happens when there is none."""
        making = self._making.get(container_id)
        if making is not None:
            with contextlib.suppress(Exception):  # `complete` has told it, or nobody wants to know any more
                await making.task
            self._let_go(container_id)
        await self._take_from_joined(container_id)
        await self.networks.release(container_id)

    async def _take_from_joined(self, container_id: str) -> None:
        """Take links without an end on the host away from those who joined the container and live on in its namespace.

        They would keep the addresses that the next run of the container shall have.
        """
        ledger = self.networks.ledger
        found = [(one, ledger.network(one.network)) for one in ledger.of_owner(container_id)]
        held = [one for one, network in found if network is not None and not network.is_bridge]
        for record in self.store.all() if held else ():
            mode = self.mode(record)
            if record.running is None or not mode.startswith("container:"):
                continue
            with contextlib.suppress(OSError, SampanError):  # it is just ending too
                joined = self.store.find(mode.removeprefix("container:"))
                if joined.id == container_id or self._identity(record).id == container_id:
                    await self._take_away(record.pid, held)

    async def _take_away(self, pid: int, held: list[definitions.Endpoint]) -> None:
        netns_fd = namespace_of(pid)
        try:
            for endpoint in held:
                await self.networks.run(self.networks.host.take_away, netns_fd, endpoint)
        finally:
            os.close(netns_fd)

    async def close(self) -> None:
        """Stop working; everything made stays."""
        await self.networks.close()

    async def recover(self) -> None:
        """After a start of the daemon: have what running containers have, and nothing else."""
        self.networks.living = self._living
        await self.networks.recover()
        for record in self.store.all():
            if record.running is not None and self.networks.ledger.of_owner(record.id):
                with contextlib.suppress(OSError, SampanError):  # it is just ending
                    await self._agree(record)

    async def _agree(self, record: ContainerRecord) -> None:
        """Finish a connect, a disconnect or a change of ports that was cut off: as the record says, but for ports."""
        known = {endpoint.endpoint_id for endpoint in record.endpoints.values()}
        for endpoint in self.networks.ledger.of_owner(record.id):
            if endpoint.id not in known:
                netns_fd = namespace_of(record.pid)
                try:
                    await self.networks.leave(endpoint, netns_fd, resolving(record))
                finally:
                    os.close(netns_fd)
        found = shown_ports(tuple(self.networks.ledger.of_owner(record.id)))
        if found != record.ports:
            self.store.save(replace(record, ports=found))

    def _living(self) -> dict[str, tuple[int, Resolving]]:
        return {record.id: (record.pid, resolving(record)) for record in self.store.all() if record.running is not None}


def refuse_rate(mode: str) -> None:
    """A rate is of a container's own links. Raises InvalidArgument for a mode that has none."""
    if mode in NOWHERE or mode.startswith("container:"):
        raise InvalidArgument(
            f"conflicting options: a network rate and the network mode {mode}", remedy="run it on a network instead"
        )


def port_requests(record: ContainerRecord) -> Iterator[PortRequest]:
    """The ports that a container publishes. Raises InvalidArgument for what is none."""
    host = record.config.host
    bindings = host.port_bindings or {}
    for key, places in bindings.items():
        ports.expand(key, "", "")  # it may be refused, also where nothing is published
        for place in places or ():
            yield ports.expand(key, place.host_ip, place.host_port)
    if host.publish_all_ports:
        for key in record.config.process.exposed_ports or ():
            if not bindings.get(key):
                yield ports.expand(key, "", "")


def dns_names(record: ContainerRecord, asked: config.EndpointRequest) -> tuple[str, ...]:
    """The names a container has in a user-defined network: its own, its aliases, its short id, its hostname."""
    names = (record.name, *(asked.aliases or ()), record.id[:12], record.config.process.hostname)
    return tuple(dict.fromkeys(filter(None, names)))


def resolving(record: ContainerRecord) -> Resolving:
    """How a container resolves names: the servers it was given, and its links."""
    asked = [record.config.host.links, *(each.links for each in record.config.networks.values())]
    named = {alias.lower(): name for texts in asked for name, alias in map(links.parse, texts or ())}
    return Resolving(record.config.host.dns or (), named)


def shown(endpoint: definitions.Endpoint, network: Network) -> Endpoint:
    """An endpoint as a record keeps it."""
    result = Endpoint(
        network_id=network.id,
        endpoint_id=endpoint.id,
        mac_address=endpoint.mac,
        dns_names=endpoint.names,
    )
    if endpoint.ipv4:
        result = replace(
            result,
            gateway="" if network.internal else network.router(4),
            ip_address=endpoint.ipv4,
            ip_prefix_length=network.prefix(endpoint.ipv4),
        )
    if endpoint.ipv6:
        result = replace(
            result,
            ipv6_gateway="" if network.internal else network.router(6),
            global_ipv6_address=endpoint.ipv6,
            global_ipv6_prefix_length=network.prefix(endpoint.ipv6),
            nameless6=network.unasked6,
        )
    return result


def shown_ports(endpoints: tuple[definitions.Endpoint, ...]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Published ports as a record keeps them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for endpoint in endpoints:
        for one in endpoint.publications:
            found.setdefault(one.key, []).append((one.address, str(one.host_port)))
    return {key: tuple(places) for key, places in found.items()}
