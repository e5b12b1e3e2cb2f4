"""Networks by name: the default one, those that users make, and how a request becomes a definition."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from sampan.errors import Conflict, Forbidden, InvalidArgument, NotFound, SampanError
from sampan.network import addresses, bridge_options, parent
from sampan.network.definitions import BRIDGE_NAME, ENABLE_ICC, ENABLE_MASQUERADE, HOST_BINDING, MTU, Network, Subnet
from sampan.network.networks import Networks
from sampan.network.settings import NetworkSettings

DEFAULT = "bridge"
PREDEFINED = ("bridge", "host", "none")
_RESERVED = {*PREDEFINED, "default"}  # the last is how a container's mode says "the default one"
DEFAULT_LINK = "sampan0"
_DEFAULT_BRIDGE = "com.docker.network.bridge.default_bridge"


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """A network as a user asks for it."""

    name: str
    driver: str = "bridge"
    subnets: tuple[Subnet, ...] = ()
    ipv4: bool = True
    ipv6: bool | None = None  # None for what the host has
    internal: bool = False
    attachable: bool = False
    options: dict[str, str] | None = None
    ipam_options: dict[str, str] | None = None
    labels: dict[str, str] | None = None


@dataclass(slots=True)
class Registry:
    """The networks that there are."""

    networks: Networks
    settings: NetworkSettings = field(default_factory=NetworkSettings)
    _allotting: asyncio.Lock = field(default_factory=asyncio.Lock)  # names and subnets, each to one network
    _looked: bool = False  # whether it was seen once in this daemon's life what the host's IPv6 is like

    @property
    def has_default(self) -> bool:
        """Whether there is a default bridge network."""
        return self.settings.bridge != "none"

    def predefine(self) -> None:
        """Have `bridge`, `host` and `none`, each with an id that lasts."""
        known = {network.name for network in self.all()}
        for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null")):
            if name not in known:
                self.networks.ledger.save_network(
                    Network(secrets.token_hex(32), name, time.time_ns(), driver, is_default=name == DEFAULT)
                )

    async def default(self) -> Network:
        """The default network, completed when it is first used: its subnets are free then, or the settings'."""
        known = self.find(DEFAULT)
        if self._is_complete(known):
            return known
        async with self._allotting:
            return await self._complete(self.find(DEFAULT))

    async def host_gateway(self) -> str:
        """The address that containers on the default bridge reach this machine by; "" without one."""
        return (await self.default()).gateway(4) if self.has_default else ""

    def _is_complete(self, known: Network) -> bool:
        return (
            bool(known.subnets)
            and known.settings == self.settings.fingerprint
            and not self.settings.bridge
            and self._looked
        )

    async def _complete(self, known: Network) -> Network:
        settings = self.settings
        if self._is_complete(known):
            return known
        subnets = settings.completed(await self._default_subnets(known))
        self._looked = True
        mtu = str(settings.mtu) if settings.mtu else ""
        options = {
            _DEFAULT_BRIDGE: "true",
            ENABLE_ICC: str(settings.icc).lower(),
            ENABLE_MASQUERADE: str(settings.ip_masq).lower(),
            HOST_BINDING: settings.ip,
            BRIDGE_NAME: settings.bridge or DEFAULT_LINK,
        }
        completed = replace(
            known,
            link=settings.bridge or DEFAULT_LINK,
            subnets=subnets,
            ipv6=any(subnet.family == 6 for subnet in subnets),
            unasked6=not (settings.bridge or settings.fixed_cidr_v6 or settings.ipv6)
            and any(subnet.family == 6 for subnet in subnets),
            options=options | ({MTU: mtu} if mtu else {}),
            settings=settings.fingerprint,
            made_elsewhere=bool(settings.bridge),
        )
        if completed != known:
            self.networks.ledger.save_network(completed)
            if known.used:
                await self.networks.run(self.networks.host.redefine, known, completed)
        return completed

    async def _default_subnets(self, known: Network) -> tuple[Subnet, ...]:
        run, host = self.networks.run, self.networks.host
        if self.settings.bridge:
            found = await run(host.addresses_of, self.settings.bridge)
            subnets = [addresses.of_interface(f"{address}/{prefix}") for address, prefix in found]
            if not any(subnet.family == 4 for subnet in subnets):
                raise Conflict(
                    f"the bridge {self.settings.bridge} has no IPv4 address", remedy="give it one, or drop --bridge"
                )
            return tuple(subnets)
        given = self.settings.given()
        found4 = [subnet for subnet in given if subnet.family == 4] or [await self._own_subnet(known)]
        found6 = [subnet for subnet in given if subnet.family == 6]
        if not found6 and (self.settings.ipv6 or (self.settings.ip_masq and await self._has_ipv6(known))):
            found6 = [addresses.free_subnet((), addresses.unique_local_subnets(known.id))]
        return (*found4, *found6)

    async def _has_ipv6(self, known: Network | None = None) -> bool:
        """Whether a network has IPv6 when nobody has said anything about it; one that has it keeps it."""
        if self.settings.ipv6 is not None:
            return self.settings.ipv6
        return bool(known and known.ipv6) or await self.networks.run(self.networks.host.has_ipv6)

    async def _own_subnet(self, known: Network) -> Subnet:
        """What the default network has already, where that is in the pools there are now; or a new one."""
        mine = [Subnet(one.subnet, one.gateway) for one in known.of_family(4) if not known.made_elsewhere]
        pools = self.settings.candidates(4)
        if mine and (pools is None or any(addresses.overlap(mine[0].subnet, [str(pool)]) for pool in pools)):
            return mine[0]
        taken = await self.networks.run(self.networks.host.taken_subnets)
        return addresses.free_subnet([*taken, *self._subnets()], self.settings.candidates(4))

    # -- users' networks

    async def create(self, asked: NetworkRequest) -> Network:
        """Make a network's definition; the bridge comes with its first endpoint.

        Raises Forbidden for a predefined name, Conflict for one that is taken or a subnet that overlaps.
        """
        async with self._allotting:
            network = self.networks.ledger.save_network(replace(await self._define(asked), used=True))
        try:
            await self.networks.run(
                self.networks.host.repair if network.is_bridge else self.networks.host.probe, network
            )
        except BaseException:
            with contextlib.suppress(SampanError):  # why there is no network is to be told, not why it stays
                await self.remove(network.id)
            raise
        return network

    async def _define(self, asked: NetworkRequest) -> Network:
        self._check(asked)
        if self.has_default:
            await self._complete(self.find(DEFAULT))  # the first pool is its
        network_id = secrets.token_hex(32)
        options = dict(asked.options or {})
        subnets = await self._subnets_for(asked)
        link = options.get(BRIDGE_NAME) or f"br-{network_id[:12]}"
        if asked.driver not in parent.DRIVERS:
            made_elsewhere = await self.networks.run(self.networks.host.has_bridge, link)
        else:
            link = parent.link_of(network_id, options)
            made_elsewhere = await self._is_the_host_s(link)
        network = Network(
            id=network_id,
            name=asked.name,
            created_at_ns=time.time_ns(),
            driver=asked.driver,
            link=link,
            subnets=subnets,
            ipv6=any(subnet.family == 6 for subnet in subnets),
            internal=asked.internal or (asked.driver in parent.DRIVERS and parent.PARENT not in options),
            made_elsewhere=made_elsewhere,
            attachable=asked.attachable,
            options=options,
            ipam_options=asked.ipam_options,
            labels=dict(asked.labels or {}),
        )
        takes_ipv6 = bridge_options.takes_ipv6(network.mtu)
        if network.ipv6 and not takes_ipv6:
            raise InvalidArgument(
                f"IPv6 needs an MTU of {bridge_options.LEAST_MTU6} or more, not {network.mtu}",
                remedy="leave out --ipv6 and IPv6 subnets, or give a larger MTU",
            )
        if asked.ipv6 is None and not network.ipv6 and network.is_bridge and network.translates(6) and takes_ipv6:
            return await self._with_unasked_ipv6(network)
        return network

    def _check(self, asked: NetworkRequest) -> None:
        if not asked.name.strip():
            raise InvalidArgument("network name cannot be empty", remedy="say a name")
        if asked.name in _RESERVED:
            raise Forbidden(
                f"operation is not permitted on predefined {asked.name} network ", remedy="choose another name"
            )
        if any(network.name == asked.name for network in self.all()):
            raise Conflict(
                f"network with name {asked.name} already exists", remedy=f"sampan network rm {shlex.quote(asked.name)}"
            )
        if asked.driver in parent.DRIVERS:
            self._check_parent(asked.driver, asked.options or {})
        elif asked.driver in {"host", "null"}:
            raise Forbidden(
                f'only one instance of "{asked.driver}" network is allowed', remedy="there is one already: use that"
            )
        elif asked.driver != "bridge":
            raise NotFound(
                f'plugin "{asked.driver}" not found',
                remedy="use the driver bridge, macvlan or ipvlan",
            )
        link = (asked.options or {}).get(BRIDGE_NAME, "")
        own = [self.settings.bridge or DEFAULT_LINK] if self.has_default else []  # before it is made too
        if link and link in {*own, *(network.link for network in self.all())}:
            raise Conflict(
                f"network {link} conflicts with another: networks have same bridge name",
                remedy="choose another name for the bridge",
            )
        bridge_options.check(asked.options or {}, is_bridge=asked.driver == "bridge")

    def _check_parent(self, driver: str, options: dict[str, str]) -> None:
        """One link is the parent of networks of one driver, and of one network alone where a mode takes all of it."""
        mode = parent.mode_of(driver, options)
        link = options.get(parent.PARENT, "")
        for network in self.all():
            if network.link != link or network.driver not in parent.DRIVERS:
                continue
            other = parent.mode_of(network.driver, network.options)
            if network.driver != driver or "passthru" in {mode, other}:
                raise Forbidden(
                    f"network {network.name} is already using parent interface {link}",
                    remedy="choose another parent, or a VLAN of it as in eth0.10",
                )

    async def _is_the_host_s(self, link: str) -> bool:
        """Whether a parent is to be left alone: it is there, and no network of ours made it."""
        if any(network.link == link and not network.made_elsewhere for network in self.all()):
            return True  # the one that made it removes it
        return await self.networks.run(self.networks.host.has_link, link)

    async def _subnets_for(self, asked: NetworkRequest) -> tuple[Subnet, ...]:
        given = [addresses.complete(subnet) for subnet in asked.subnets if subnet.subnet]
        holders = [(one.subnet, f"that of network {network.name}") for network in self.all() for one in network.subnets]
        for subnet in given:
            for other, whose in holders:
                if addresses.overlap(subnet.subnet, [other]):
                    what = f"{subnet.subnet} overlaps {other}, {whose}"
                    raise Forbidden(
                        "Pool overlaps with other one on this address space",
                        remedy=f"{what}: give another subnet, or none to get a free one",
                    )
            holders.append((subnet.subnet, "which was given too"))
        if not any(subnet.family == 4 for subnet in given):
            taken = await self.networks.run(self.networks.host.taken_subnets)
            free = addresses.free_subnet([*taken, *self._subnets()], self.settings.candidates(4))
            if asked.subnets and not asked.subnets[0].subnet and asked.subnets[0].gateway:
                raise InvalidArgument(
                    "user configured gateway needs a subnet to be in", remedy="give --subnet with --gateway"
                )
            given.insert(0, free)
        if asked.ipv6 and not any(subnet.family == 6 for subnet in given):
            given.append(await self._free6())
        return tuple(given)

    async def _free6(self) -> Subnet:
        """The next free of the IPv6 pools; without pools, of the engine's own /48, whose first is the default's."""
        taken = [*await self.networks.run(self.networks.host.taken_subnets), *self._subnets()]
        own = islice(addresses.unique_local_subnets(self.find(DEFAULT).id), 1, None)
        return addresses.free_subnet(taken, self.settings.candidates(6) or own)

    async def _with_unasked_ipv6(self, network: Network) -> Network:
        """The network with IPv6 when the host has it: for the way in and out, not for clients to see or names to say.

        docs/decisions/ipv6-unasked.md says why.
        """
        if not await self._has_ipv6():
            return network
        with contextlib.suppress(Conflict):  # the pools are used up
            subnets = (*network.subnets, await self._free6())
            return replace(network, subnets=subnets, ipv6=True, unasked6=True)
        return network

    async def remove(self, reference: str) -> Network:
        """Remove a network that nobody is in. Raises Forbidden for a predefined one or one in use."""
        network = self.find(reference)
        if network.name in PREDEFINED:
            raise Forbidden(
                f"{network.name} is a pre-defined network and cannot be removed", remedy="leave it, it costs nothing"
            )
        if self.networks.ledger.endpoints(network.id):
            raise Forbidden(
                f"error while removing network: network {network.name} id {network.id} has active endpoints",
                remedy="disconnect or stop the containers that use it",
            )
        if network.id in self.networks.ledger.leaving:
            raise NotFound(f"network {reference} not found", remedy="it is being removed already")
        self.networks.ledger.leaving.add(network.id)
        try:
            network = self._bequeathed(network)
            if network.used:
                await self.networks.run(self.networks.host.remove, network)
            self.networks.ledger.remove_network(network.id)
        finally:
            self.networks.ledger.leaving.discard(network.id)
        return network

    def _bequeathed(self, network: Network) -> Network:
        """Leave a parent that was made for this network to the next one that uses it."""
        heirs = [
            one for one in self.all() if (one.link, one.driver) == (network.link, network.driver) and one != network
        ]
        if network.is_bridge or network.made_elsewhere or not heirs:
            return network
        self.networks.ledger.save_network(replace(heirs[0], made_elsewhere=False))
        return replace(network, made_elsewhere=True)

    # -- finding

    def all(self) -> list[Network]:
        """Every network, newest first."""
        return self.networks.ledger.networks()

    def find(self, reference: str) -> Network:
        """The network that a user means by a name, an id, or a unique start of an id.

        Raises NotFound, or Conflict when several ids start so.
        """
        every = self.all()
        for network in every:
            if reference in {network.id, network.name}:
                return network
        matches = [network for network in every if reference and network.id.startswith(reference)]
        if len(matches) > 1:
            raise InvalidArgument(
                f"network {reference} is ambiguous ({len(matches)} matches found on ID prefix)",
                remedy="give more of the id, or the name",
            )
        if not matches:
            raise NotFound(f"network {reference} not found", remedy="`sampan network ls` lists the networks")
        return matches[0]

    def _subnets(self) -> Iterable[str]:
        return [subnet.subnet for network in self.all() for subnet in network.subnets]
