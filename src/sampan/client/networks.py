"""Networks: find, list, make and join them (docker-py's NetworkCollection and Network)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.client.container import Container
from sampan.client.documents import Pruned
from sampan.client.filters import filters_text
from sampan.client.noun import Noun
from sampan.client.session import Session, quote


class Network(Noun):
    """A network as it was when it was looked at."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<network {self.short_id} {self.name}>"

    @property
    def name(self) -> str:
        """The name."""
        return str(self.attrs["Name"])

    def connect(
        self,
        container: Container | str,
        *,
        aliases: list[str] | None = None,
        links: list[str] | None = None,
        ipv4_address: str | None = None,
        ipv6_address: str | None = None,
        link_local_ips: list[str] | None = None,
        driver_opt: dict[str, str] | None = None,
        mac_address: str | None = None,
    ) -> None:
        """Let a container join."""
        addresses = {"IPv4Address": ipv4_address, "IPv6Address": ipv6_address, "LinkLocalIPs": link_local_ips}
        endpoint: dict[str, Any] = {
            "Aliases": aliases,
            "DriverOpts": driver_opt,
            "IPAMConfig": {key: value for key, value in addresses.items() if value} or None,
            "Links": links,
            "MacAddress": mac_address,
        }
        wanted = {key: value for key, value in endpoint.items() if value is not None}
        body = {"Container": _name(container), "EndpointConfig": wanted}
        self.session.call("POST", f"/networks/{self.id}/connect", None, body)

    def disconnect(self, container: Container | str, *, force: bool = False) -> None:
        """Let a container leave."""
        body = {"Container": _name(container), "Force": force}
        self.session.call("POST", f"/networks/{self.id}/disconnect", None, body)

    def remove(self) -> None:
        """Remove it."""
        self.session.call("DELETE", f"/networks/{self.id}")

    def reload(self) -> None:
        """Look again."""
        self.attrs = self.session.call("GET", f"/networks/{self.id}")


def _name(container: Container | str) -> str:
    return container.id if isinstance(container, Container) else container


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of one daemon."""

    session: Session

    def get(self, name: str) -> Network:
        """The network with this name or id. Raises NotFoundError: there is none."""
        return Network(self.session, self.session.call("GET", f"/networks/{quote(name)}"))

    def list(self, *, names: list[str] | None = None, filters: Mapping[str, object] | None = None) -> list[Network]:
        """The networks there are."""
        wanted = {**(filters or {}), **({"name": names} if names else {})}
        found = self.session.call("GET", "/networks", {"filters": filters_text(wanted)})
        return [Network(self.session, document) for document in found]

    def create(
        self,
        name: str,
        *,
        driver: str = "bridge",
        options: dict[str, str] | None = None,
        ipam: dict[str, Any] | None = None,
        internal: bool = False,
        labels: dict[str, str] | None = None,
        enable_ipv6: bool | None = None,
        attachable: bool = False,
    ) -> Network:
        """Make one; unless it is said, it has IPv6 for the way in and out when the host has.

        Raises ConflictError: the name is in use.
        """
        body = {
            "Name": name,
            "Driver": driver,
            "Options": options,
            "IPAM": ipam,
            "Internal": internal,
            "Labels": labels,
            "EnableIPv6": enable_ipv6,
            "Attachable": attachable,
            "CheckDuplicate": True,
        }
        return self.get(self.session.call("POST", "/networks/create", None, body)["Id"])

    def prune(self, filters: Mapping[str, object] | None = None) -> Pruned:
        """Remove those that no container uses."""
        found: Pruned = self.session.call("POST", "/networks/prune", {"filters": filters_text(filters)})
        return found
