"""Networks in the API's JSON: what create, connect and disconnect take. Nothing is checked here beyond its type."""

from __future__ import annotations

from msgspec import field

from sampan.wire.container import Document, EndpointSettings, Map


class AddressPool(Document, frozen=True, kw_only=True):
    """One subnet of IPAM.Config."""

    subnet: str | None = ""
    ip_range: str | None = field(name="IPRange", default="")
    gateway: str | None = ""
    auxiliary_addresses: Map = None
    aux_address: Map = None  # as old clients call it


class AddressManagement(Document, frozen=True, kw_only=True):
    """IPAM."""

    driver: str | None = "default"
    options: Map = None
    config: tuple[AddressPool, ...] | None = None


class ConfigSource(Document, frozen=True, kw_only=True):
    """Whose settings a network is to have."""

    network: str | None = ""


class NetworkCreate(Document, frozen=True, kw_only=True):
    """The body of POST /networks/create."""

    name: str | None = ""
    driver: str | None = "bridge"
    scope: str | None = ""
    enable_ipv4: bool | None = field(name="EnableIPv4", default=None)
    enable_ipv6: bool | None = field(name="EnableIPv6", default=None)
    internal: bool | None = False
    attachable: bool | None = False
    ingress: bool | None = False
    config_only: bool | None = False
    config_from: ConfigSource | None = None
    ipam: AddressManagement | None = field(name="IPAM", default=None)
    options: Map = None
    labels: Map = None


class NetworkConnect(Document, frozen=True, kw_only=True):
    """The body of POST /networks/{id}/connect."""

    container: str | None = ""
    endpoint_config: EndpointSettings | None = None


class NetworkDisconnect(Document, frozen=True, kw_only=True):
    """The body of POST /networks/{id}/disconnect."""

    container: str | None = ""
    force: bool | None = False
