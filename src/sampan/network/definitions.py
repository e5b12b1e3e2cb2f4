"""What a network, a place in it and a published port are, as frozen data. What is done with them is elsewhere.

Addresses are text. `owner` is whatever the caller's things are called by; nothing here knows what an owner is.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

ANY4, ANY6 = "0.0.0.0", "::"  # noqa: S104 -- what "published on every address" is called

BRIDGE_NAME = "com.docker.network.bridge.name"
ENABLE_ICC = "com.docker.network.bridge.enable_icc"
ENABLE_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
MTU = "com.docker.network.driver.mtu"
INTERFACE_NAME = "com.docker.network.endpoint.ifname"
GATEWAY_MODE4 = "com.docker.network.bridge.gateway_mode_ipv4"
GATEWAY_MODE6 = "com.docker.network.bridge.gateway_mode_ipv6"
ROUTERS = {4: "DefaultGatewayIPv4", 6: "DefaultGatewayIPv6"}  # auxiliary addresses that default routes go by
GROUP = 7530  # of links, that bridges of ours are in (`ip link show group 7530`); a number that nobody else takes
_FALSE = frozenset({"0", "f", "false", "no"})


def family_of(address: str) -> int:
    """4 or 6."""
    return 6 if ":" in address else 4


def is_same_place(one: str, other: str) -> bool:
    """Whether a port that is published on one of two addresses of the host is published on the other too."""
    every = {ANY4, ANY6}
    return family_of(one) == family_of(other) and (one == other or one in every or other in every)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet of a network; addresses are allotted from `ip_range`, or from all of it."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    auxiliary: dict[str, str] = field(default_factory=dict)
    chosen: bool = False  # by us: no fixed address may be asked for in it

    @property
    def family(self) -> int:
        """4 or 6."""
        return family_of(self.subnet)

    @property
    def prefix(self) -> int:
        """The length of the network's part."""
        return int(self.subnet.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class Network:
    """A network of ours. `link` is its bridge's name; `made_elsewhere` says that the link is somebody else's."""

    id: str
    name: str
    created_at_ns: int
    driver: str = "bridge"
    link: str = ""
    subnets: tuple[Subnet, ...] = ()
    ipv6: bool = False
    unasked6: bool = False  # its IPv6 came with the host's: clients do not see it, and no name leads there
    internal: bool = False
    attachable: bool = False
    is_default: bool = False
    made_elsewhere: bool = False
    used: bool = False  # whether the bridge was ever made, so that there may be something of ours in the kernel
    settings: str = ""  # of the daemon, that the default network was made by
    options: dict[str, str] = field(default_factory=dict)
    ipam_options: dict[str, str] | None = None  # kept as asked for; there is nothing to choose
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def is_bridge(self) -> bool:
        """Whether it has a bridge of ours, with translation and published ports; else it is on a link of the host."""
        return self.driver == "bridge"

    @property
    def follows_bridge(self) -> bool:
        """Whether the daemon was told of the bridge, so that its subnets come from the addresses which that has."""
        return self.is_default and self.made_elsewhere

    def of_family(self, family: int) -> tuple[Subnet, ...]:
        """Its subnets of one family."""
        return tuple(one for one in self.subnets if one.family == family)

    @property
    def asked(self) -> tuple[Subnet, ...]:
        """Its subnets without what came unasked."""
        return self.of_family(4) if self.unasked6 else self.subnets

    def gateway(self, family: int) -> str:
        """The address of the bridge in the first subnet of the family; empty when it has none."""
        return next((one.gateway for one in self.of_family(family)), "")

    def router(self, family: int) -> str:
        """What the default route of the family goes by: the bridge, unless the daemon was told another."""
        subnets = self.of_family(family)
        return (subnets[0].auxiliary.get(ROUTERS[family]) if subnets else "") or self.gateway(family)

    def prefix(self, address: str) -> int:
        """The prefix length of the subnet that an address of this network is in."""
        here = ipaddress.ip_address(address)
        return next((one.prefix for one in self.subnets if here in ipaddress.ip_network(one.subnet)), 0)

    def allows(self, option: str) -> bool:
        """A boolean option that is true unless it says otherwise."""
        return self.options.get(option, "true").lower() not in _FALSE

    @property
    def mtu(self) -> int:
        """The MTU that was asked for, 0 for the uplink's."""
        return int(self.options.get(MTU) or 0)

    def gateway_mode(self, family: int) -> str:
        """How the family goes out: "nat", "routed", "nat-unprotected" or "isolated"."""
        return self.options.get(GATEWAY_MODE6 if family == 6 else GATEWAY_MODE4, "") or "nat"

    def translates(self, family: int) -> bool:
        """Whether packets that go out get the host's address."""
        mode = self.gateway_mode(family)
        return not self.internal and mode.startswith("nat") and self.allows(ENABLE_MASQUERADE)


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A port to publish; `first` to `last` are the host's ports to choose from, 0 for any that is free.

    With `free` there is one, and it was just seen that nobody listens there.
    """

    port: int
    protocol: str = "tcp"
    address: str = ""
    first: int = 0
    last: int = 0
    free: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """A published port: the host's address (ANY4 and ANY6 for all) and port, and the port behind it."""

    address: str
    host_port: int
    port: int
    protocol: str

    @property
    def key(self) -> str:
        """The port behind it in Docker's words: "80/tcp"."""
        return f"{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Rate:
    """Bits per second that may come in and go out; 0 is as many as can be."""

    inward: int = 0
    outward: int = 0


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """How an owner is to join a network; what is empty is allotted."""

    network: str
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    names: tuple[str, ...] = ()
    interface: str = ""
    priority: int = 0  # of its gateway among those of the owner's networks
    rate: Rate = Rate()
    link_local: tuple[str, ...] = ()  # further addresses, of its link alone


@dataclass(frozen=True, slots=True)
class Resolving:
    """How an owner's questions for names are answered: servers to ask further (none: the host's), names of its own."""

    servers: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An owner's place in a network. `link` is the host's end of the veth, derived from the id, which is random."""

    id: str
    owner: str
    network: str
    mac: str
    interface: str
    ipv4: str = ""
    ipv6: str = ""
    names: tuple[str, ...] = ()
    priority: int = 0
    routes: bool = False  # whether the owner's default routes go by it
    publications: tuple[Publication, ...] = ()
    rate: Rate = Rate()
    link_local: tuple[str, ...] = ()

    @property
    def link(self) -> str:
        """The name of the host's end (IFNAMSIZ leaves 15 characters)."""
        return f"sp{self.id[:12]}"

    def address(self, family: int) -> str:
        """Its address of a family."""
        return self.ipv6 if family == 6 else self.ipv4
