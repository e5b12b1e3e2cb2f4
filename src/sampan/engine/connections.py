"""Networks as users handle them: made, removed, pruned, and containers that join and leave them while they live."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from sampan.engine import config, identity
from sampan.engine.container import ContainerRecord, Endpoint
from sampan.engine.endpoint_checks import refuse_endpoint
from sampan.engine.events import Events
from sampan.engine.layout import Layout
from sampan.engine.networks import ContainerNetworks, port_requests, refuse_rate, resolving, shown, shown_ports
from sampan.engine.pruning import PruneFilter
from sampan.engine.store import ContainerStore
from sampan.engine.waiting import Locks
from sampan.errors import Forbidden, InvalidArgument, NotFound, SampanError
from sampan.network import definitions
from sampan.network.definitions import Network
from sampan.network.endpoint import namespace_of
from sampan.network.names import ADDRESS
from sampan.network.ports import PortTakenError
from sampan.network.rates import Classed, Traffic
from sampan.network.reach import Reach, reach
from sampan.network.registry import DEFAULT, PREDEFINED, NetworkRequest


@dataclass(frozen=True, slots=True)
class Connections:
    """Docker's network verbs."""

    store: ContainerStore
    layout: Layout
    places: ContainerNetworks
    events: Events
    locks: Locks

    # -- networks

    async def create(self, asked: NetworkRequest) -> Network:
        """Make a network. Raises Forbidden, Conflict, InvalidArgument."""
        network = await self.places.registry.create(asked)
        self._publish(network, "create")
        return network

    async def remove(self, reference: str) -> None:
        """Remove a network that no container runs in. Raises Forbidden otherwise."""
        network = await self.places.registry.remove(reference)
        self._publish(network, "destroy")

    async def prune(self, wanted: PruneFilter) -> list[str]:
        """Remove every network of users' that no container is in, running or not; their names."""
        used = {name for record in self.store.all() for name in record.endpoints}
        removed = []
        for network in self.places.registry.all():
            if network.name in used or network.name in PREDEFINED or not _is_meant(network, wanted):
                continue
            with contextlib.suppress(SampanError):
                await self.remove(network.id)
                removed.append(network.name)
        self.events.publish("network", "prune", "", {"reclaimed": "0"})
        return removed

    def members(self, network: Network) -> Iterator[tuple[ContainerRecord, Endpoint]]:
        """The running containers of a network."""
        for record in self.store.all():
            endpoint = record.endpoints.get(network.name)
            if endpoint is not None and record.running is not None and endpoint.network_id == network.id:
                yield record, endpoint

    # -- joining and leaving

    async def connect(self, reference: str, container: str, asked: config.EndpointRequest) -> None:
        """Let a container join a network, at once when it runs. Raises Forbidden when it is in it."""
        network = self.places.registry.find(reference)
        container_id = self.store.find(container).id
        async with self.locks.of(container_id):
            record = self.store.find(container_id)
            self._refuse(record, network)
            refuse_endpoint(asked, network, user_defined=network.name not in PREDEFINED)
            if network.name in record.endpoints:
                raise Forbidden(
                    f"endpoint with name {record.name} already exists in network {network.name}",
                    remedy=f"disconnect it first: sampan network disconnect {shlex.quote(network.name)} {record.name}",
                )
            networks = {**record.config.networks, network.name: asked}
            record = dataclasses.replace(record, config=dataclasses.replace(record.config, networks=networks))
            endpoint = Endpoint(network_id="")
            if record.running is not None:
                if network.name == DEFAULT:
                    network = await self.places.registry.default()
                endpoint = await self._join(record, network)
            endpoints = {name: one for name, one in record.endpoints.items() if name != "none"}
            record = dataclasses.replace(record, endpoints={**endpoints, network.name: endpoint})
            self._settle(record)
        self._publish(network, "connect", container_id)

    async def _join(self, record: ContainerRecord, network: Network) -> Endpoint:
        request = self.places.request(record, network)
        ports = list(port_requests(record))
        with _namespace(record) as netns_fd:
            if netns_fd < 0:
                return Endpoint(network_id="")
            try:
                made = await self.places.networks.join(record.id, request, netns_fd, ports, resolving(record))
            except PortTakenError as error:
                raise self.places.port_conflict(record, error) from error
        return shown(made, network)

    async def limit(self, reference: str, rate: config.NetworkRate) -> None:
        """Let a container's traffic be so fast, at once when it runs. Raises InvalidArgument, NotImplementedHere."""
        container_id = self.store.find(reference).id
        async with self.locks.of(container_id):
            record = self.store.find(container_id)
            refuse_rate(self.places.mode(record))
            if record.running is not None:
                with _namespace(record) as netns_fd:
                    if netns_fd >= 0:
                        wanted = definitions.Rate(rate.inward, rate.outward)
                        await self.places.networks.limit(record.id, wanted, netns_fd)
            host = dataclasses.replace(record.config.host, network_rate=rate)
            self.store.save(dataclasses.replace(record, config=dataclasses.replace(record.config, host=host)))

    async def traffic(self, record: ContainerRecord) -> list[Traffic]:
        """The counters of a container's limited interfaces; none when it does not run."""
        if record.running is None or record.config.host.network_rate == config.NetworkRate():
            return []
        with _namespace(record) as netns_fd, contextlib.suppress(SampanError):
            return await self.places.networks.traffic(record.id, netns_fd) if netns_fd >= 0 else []
        return []

    async def classes(self, record: ContainerRecord) -> list[Classed]:
        """The counters of a container's class of packets; none when it has no class or does not run."""
        class_id = record.config.host.network_class
        if record.running is None or not class_id:
            return []
        networks = self.places.networks
        with _namespace(record) as netns_fd, contextlib.suppress(SampanError):
            return await networks.run(networks.host.classes, netns_fd, class_id) if netns_fd >= 0 else []
        return []

    def reach(self, record: ContainerRecord) -> list[Reach]:
        """What is reachable from where, of a container in networks of ours."""
        ledger = self.places.networks.ledger
        found = [(ledger.network(each.network), each) for each in ledger.of_owner(record.id)]
        return [reach(network, each) for network, each in found if network is not None]

    def _refuse(self, record: ContainerRecord, network: Network) -> None:
        mode = self.places.mode(record)
        if mode == "host" or mode.startswith("container:"):
            raise InvalidArgument(
                "container sharing network namespace with another container or host cannot be connected to any other "
                "network",
                remedy="a container that shares a network keeps to that: remove it, and make it anew with "
                f"--network {shlex.quote(network.name)}",
            )
        if network.name == "host":
            raise InvalidArgument(
                "container cannot be disconnected from host network or connected to host network",
                remedy="run it with --network host",
            )
        if network.name == "none" or (mode == "none" and "none" in record.endpoints and record.running is not None):
            left = record.endpoints if network.name == "none" else ["none"]
            commands = [f"`sampan network disconnect {shlex.quote(name)} {record.name}`" for name in left]
            raise InvalidArgument(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
                remedy=f"let it leave first what it is in: {', '.join(commands)}" if left else "it is in no network",
            )

    async def disconnect(self, reference: str, container: str, *, force: bool = False) -> None:
        """Let a container leave a network, at once when it runs. Raises Forbidden when it is not in it.

        With `force` and without the container, it is the endpoint that is not found, as in Docker.
        """
        network = self.places.registry.find(reference)
        try:
            container_id = self.store.find(container).id
        except NotFound as error:
            if force:
                error.say(f"endpoint {container} not found")
            raise
        async with self.locks.of(container_id):
            record = self.store.find(container_id)
            if self.places.mode(record) == "host" and network.name == "host":
                raise Forbidden("container cannot be disconnected from host network or connected to host network")
            if network.name not in record.endpoints:
                raise Forbidden(
                    f"container {record.id} is not connected to network {network.name}",
                    remedy=f"`sampan inspect {record.name}` shows its networks",
                )
            endpoints = {name: one for name, one in record.endpoints.items() if name != network.name}
            networks = {
                key: asked for key, asked in record.config.networks.items() if self.places.name(key) != network.name
            }
            changed = dataclasses.replace(record.config, networks=networks)
            # written first: a daemon that is killed in between finishes it when it is back
            record = self.store.save(dataclasses.replace(record, endpoints=endpoints, config=changed))
            if record.running is not None:
                await self._leave(record, network)
            self._settle(record)
        self._publish(network, "disconnect", container_id)

    async def _leave(self, record: ContainerRecord, network: Network) -> None:
        with _namespace(record) as netns_fd:
            for endpoint in self.places.networks.ledger.of_owner(record.id) if netns_fd >= 0 else ():
                if endpoint.network == network.id:
                    await self.places.networks.leave(endpoint, netns_fd, resolving(record))

    def _settle(self, record: ContainerRecord) -> None:
        """Save what has changed, and let a running container's files and names say it."""
        if record.running is not None:
            ports = shown_ports(tuple(self.places.networks.ledger.of_owner(record.id)))
            record = dataclasses.replace(record, ports=ports)
            gateway = self.places.registry.find(DEFAULT).gateway(4)
            endpoints = self.places.networks.ledger.of_owner(record.id)
            has_names = any(self.places.networks.has_names(endpoint) for endpoint in endpoints)
            resolver = identity.resolver_of(record.config.host, own_network=True, embedded=ADDRESS if has_names else "")
            texts = {"hosts": identity.hosts(record, gateway=gateway), "resolv.conf": identity.resolv_conf(resolver)}
            identity.write(self.layout.container(record.id), texts)
        self.store.save(record)

    def _publish(self, network: Network, action: str, container_id: str = "") -> None:
        attributes = {"name": network.name, "type": network.driver}
        if container_id:
            attributes["container"] = container_id
        self.events.publish("network", action, network.id, attributes)


@contextlib.contextmanager
def _namespace(record: ContainerRecord) -> Iterator[int]:
    """The network namespace of a container that runs; -1 when it has just ended, which releases all that it has."""
    try:
        netns_fd = namespace_of(record.pid)
    except (FileNotFoundError, ProcessLookupError):
        yield -1
        return
    try:
        yield netns_fd
    finally:
        os.close(netns_fd)


def _is_meant(network: Network, wanted: PruneFilter) -> bool:
    def has(text: str) -> bool:
        name, separator, value = text.partition("=")
        return name in network.labels and (not separator or network.labels[name] == value)

    return (
        (wanted.until_ns is None or network.created_at_ns < wanted.until_ns)
        and all(has(text) for text in wanted.labels)
        and not any(has(text) for text in wanted.not_labels)
    )
