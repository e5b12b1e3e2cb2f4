"""What is allotted, on disk and in memory: networks, endpoints and with them addresses and published ports.

Tables in the engine's SQLite file. A row is written before what it names is made in the kernel, and removed after
that is gone; of an endpoint that is given up the id stays until its link is known to be gone. Calls are synchronous
and made from the one thread that the connection belongs to.
"""

from __future__ import annotations

import ipaddress
import sqlite3
from collections.abc import Iterable, Iterator

import msgspec

from sampan.network.definitions import Endpoint, Network, Publication

_NETWORK = msgspec.json.Decoder(Network)
_ENDPOINT = msgspec.json.Decoder(Endpoint)


class Ledger:
    """Networks by id, endpoints by id; indexes over both for what a start asks."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        for table in ("networks", "network_endpoints"):
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {table} (id TEXT PRIMARY KEY, definition BLOB NOT NULL) WITHOUT ROWID"
            )
        connection.execute("CREATE TABLE IF NOT EXISTS network_departed (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self.leaving: set[str] = set()  # networks that are being removed, which nobody may join any more
        self._networks: dict[str, Network] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._of_owner: dict[str, list[str]] = {}
        self._of_network: dict[str, set[str]] = {}
        self._used: dict[str, dict[int, str]] = {}  # by network: address -> endpoint
        self._ports: dict[tuple[str, int], dict[str, str]] = {}  # (protocol, host port): address -> endpoint
        for (content,) in connection.execute("SELECT definition FROM networks"):
            self._remember_network(_NETWORK.decode(content))
        for (content,) in connection.execute("SELECT definition FROM network_endpoints"):
            self._remember(_ENDPOINT.decode(content))

    # -- networks

    def networks(self) -> list[Network]:
        """All of them, newest first."""
        return sorted(self._networks.values(), key=lambda one: one.created_at_ns, reverse=True)

    def network(self, network_id: str) -> Network | None:
        """The network of this full id."""
        return self._networks.get(network_id)

    def save_network(self, network: Network) -> Network:
        """Write a network, new or changed."""
        self._connection.execute(
            "INSERT INTO networks (id, definition) VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET definition = excluded.definition",
            (network.id, msgspec.json.encode(network)),
        )
        self._remember_network(network)
        return network

    def remove_network(self, network_id: str) -> None:
        """Forget a network that has no endpoints."""
        self._connection.execute("DELETE FROM networks WHERE id = ?", (network_id,))
        self._networks.pop(network_id, None)
        self._of_network.pop(network_id, None)
        self._used.pop(network_id, None)

    # -- endpoints

    def add(self, endpoint: Endpoint) -> Endpoint:
        """Write an endpoint, new or changed."""
        self._connection.execute(
            "INSERT INTO network_endpoints (id, definition) VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET definition = excluded.definition",
            (endpoint.id, msgspec.json.encode(endpoint)),
        )
        before = self._endpoints.get(endpoint.id)
        if before is not None:
            self._forget(before)
        self._remember(endpoint)
        return endpoint

    def remove(self, endpoint: Endpoint) -> None:
        """Forget an endpoint; nothing happens when it is not known."""
        self._connection.execute("DELETE FROM network_endpoints WHERE id = ?", (endpoint.id,))
        known = self._endpoints.get(endpoint.id)
        if known is not None:
            self._forget(known)

    def depart(self, endpoint: Endpoint) -> None:
        """Forget an endpoint but for its id: its link may be there for a while (`departed`)."""
        self._connection.execute("INSERT OR IGNORE INTO network_departed (id) VALUES (?)", (endpoint.id,))
        self.remove(endpoint)

    def departed(self) -> list[str]:
        """The ids of endpoints that were given up and whose links are not known to be gone."""
        ids = [found for (found,) in self._connection.execute("SELECT id FROM network_departed")]
        return [one for one in ids if one not in self._endpoints]

    def forget_departed(self, ids: Iterable[str]) -> None:
        """Their links are gone."""
        self._connection.executemany("DELETE FROM network_departed WHERE id = ?", [(one,) for one in ids])

    def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """The endpoint of this full id."""
        return self._endpoints.get(endpoint_id)

    def endpoints(self, network_id: str = "") -> list[Endpoint]:
        """All endpoints, or those of a network."""
        if not network_id:
            return list(self._endpoints.values())
        return [self._endpoints[one] for one in list(self._of_network.get(network_id, ()))]

    def of_owner(self, owner: str) -> list[Endpoint]:
        """An owner's endpoints, in the order they were made."""
        return [self._endpoints[one] for one in self._of_owner.get(owner, ())]

    def owners(self) -> Iterator[str]:
        """Everyone who has an endpoint."""
        return iter(list(self._of_owner))

    def used(self, network_id: str) -> dict[int, str]:
        """The addresses in use in a network, as numbers of either family, with the endpoint that has it."""
        return self._used.get(network_id, {})

    def port_holder(self, address: str, port: int, protocol: str) -> Endpoint | None:
        """The endpoint whose publication takes this host port on this address."""
        places = self._ports.get((protocol, port))
        if not places:
            return None
        every = "::" if ":" in address else "0.0.0.0"  # noqa: S104
        for there, endpoint_id in places.items():
            if (":" in there) == (":" in address) and (there in {address, every} or address == every):
                return self._endpoints[endpoint_id]
        return None

    # -- memory

    def _remember_network(self, network: Network) -> None:
        self._networks[network.id] = network

    def _remember(self, endpoint: Endpoint) -> None:
        self._endpoints[endpoint.id] = endpoint
        self._of_owner.setdefault(endpoint.owner, []).append(endpoint.id)
        self._of_network.setdefault(endpoint.network, set()).add(endpoint.id)
        used = self._used.setdefault(endpoint.network, {})
        for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            used[int(ipaddress.ip_address(address))] = endpoint.id
        for publication in endpoint.publications:
            self._ports.setdefault(_port(publication), {})[publication.address] = endpoint.id

    def _forget(self, endpoint: Endpoint) -> None:
        del self._endpoints[endpoint.id]
        of_owner = self._of_owner[endpoint.owner]
        of_owner.remove(endpoint.id)
        if not of_owner:
            del self._of_owner[endpoint.owner]
        self._of_network.get(endpoint.network, set()).discard(endpoint.id)
        used = self._used.get(endpoint.network, {})
        for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            used.pop(int(ipaddress.ip_address(address)), None)
        for publication in endpoint.publications:
            places = self._ports.get(_port(publication), {})
            places.pop(publication.address, None)
            if not places:
                self._ports.pop(_port(publication), None)


def _port(publication: Publication) -> tuple[str, int]:
    return publication.protocol, publication.host_port
