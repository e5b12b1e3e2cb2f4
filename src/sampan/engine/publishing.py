"""Publishing ports of a container anew, also while it runs: beyond Docker, which wants a new container for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sampan.engine.announcer import Announcer
from sampan.engine.config import PortBinding
from sampan.engine.container import ContainerRecord
from sampan.engine.networks import ContainerNetworks, shown_ports
from sampan.engine.store import ContainerStore
from sampan.engine.waiting import Locks
from sampan.errors import Conflict, NotFound
from sampan.network import ports
from sampan.network.definitions import Endpoint, Publication
from sampan.network.ports import PortTakenError

type Bindings = dict[str, tuple[PortBinding, ...]]


@dataclass(frozen=True, slots=True)
class Publishing:
    """`update --publish` and `--unpublish`."""

    store: ContainerStore
    places: ContainerNetworks
    announcer: Announcer
    locks: Locks

    async def update(self, reference: str, publish: Bindings, unpublish: Bindings) -> ContainerRecord:
        """Take ports away, then publish others; what runs sees it at once, and a later start does it again.

        A binding to take away fits by port, and by host address and host port where it says them. Raises NotFound for
        one that is not there, Conflict for a port that is taken or a container without a bridge; nothing is changed.
        """
        container_id = self.store.find(reference).id
        async with self.locks.of(container_id):
            record = self.store.find(container_id)
            self._refuse(record)
            bindings = _without(_normal(record), unpublish)
            for key, places in publish.items():
                for place in places:
                    ports.expand(key, place.host_ip, place.host_port)
                bindings[key] = (
                    *bindings.get(key, ()),
                    *(place for place in places if place not in bindings.get(key, ())),
                )
            if record.running is not None:
                record = await self._apply(record, publish, unpublish)
            changed = dataclasses.replace(record.config.host, port_bindings=dict(bindings))
            config = dataclasses.replace(record.config, host=changed)
            record = self.store.save(dataclasses.replace(record, config=config))
        self.announcer.container(record, "update")
        return record

    def _refuse(self, record: ContainerRecord) -> None:
        mode = self.places.mode(record)
        if mode in {"none", "host"} or mode.startswith("container:"):
            raise Conflict(
                f"container {record.name} has no ports of its own to publish: its network mode is {mode}",
                remedy="connect it to a network" if mode == "none" else "run it on a network",
            )

    async def _apply(self, record: ContainerRecord, publish: Bindings, unpublish: Bindings) -> ContainerRecord:
        endpoint = self._publisher(record)
        gone = [one for one in endpoint.publications if _is_meant(one, unpublish)]
        if unpublish and not gone:
            raise NotFound(
                f"container {record.name} publishes no such port", remedy=f"`sampan port {record.name}` lists them"
            )
        requests = [
            ports.expand(key, place.host_ip, place.host_port) for key, places in publish.items() for place in places
        ]
        networks = self.places.networks
        if gone:
            endpoint = await networks.unpublish(endpoint, gone)
        try:
            if requests:
                await networks.publish(endpoint, requests)
        except PortTakenError as error:
            if gone:
                await networks.restore(endpoint, gone)
            raise self.places.port_conflict(record, error) from error
        shown = shown_ports(tuple(networks.ledger.of_owner(record.id)))
        return dataclasses.replace(record, ports=shown)

    def _publisher(self, record: ContainerRecord) -> Endpoint:
        for endpoint in self.places.networks.ledger.of_owner(record.id):
            if endpoint.routes:
                return endpoint
        raise Conflict(
            f"container {record.name} is in internal networks alone", remedy="connect it to a network that leads out"
        )


def _normal(record: ContainerRecord) -> Bindings:
    """The bindings in force, each port with its protocol."""
    return {
        key if "/" in key else f"{key}/tcp": places or ()
        for key, places in (record.config.host.port_bindings or {}).items()
    }


def _without(bindings: Bindings, gone: Bindings) -> Bindings:
    kept = {
        key: tuple(place for place in places if not any(_fits(place, wanted) for wanted in gone.get(key, ())))
        for key, places in bindings.items()
    }
    return {key: places for key, places in kept.items() if places}


def _fits(place: PortBinding, wanted: PortBinding) -> bool:
    return wanted.host_port in {"", place.host_port} and wanted.host_ip in {"", place.host_ip}


def _is_meant(one: Publication, unpublish: Bindings) -> bool:
    wanted: Sequence[PortBinding] = unpublish.get(one.key, ())
    return any(
        binding.host_port in {"", str(one.host_port)} and binding.host_ip in {"", one.address} for binding in wanted
    )


def bindings_of(given: dict[str, tuple[PortBinding, ...] | None] | None) -> Bindings:
    """What a client sent, each port with its protocol, an empty list being one binding that says nothing."""

    def each() -> Iterator[tuple[str, tuple[PortBinding, ...]]]:
        for key, places in (given or {}).items():
            yield key if "/" in key else f"{key}/tcp", places or (PortBinding(),)

    return dict(each())
