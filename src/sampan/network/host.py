"""The kernel's side of all networks: one worker thread with one netlink socket and one nftables context.

What is allotted comes from the ledger, which is read here and never written. Each public method is synchronous and
meant for the one worker thread; `Networks` sends them there, in order.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from typing import Protocol

from sampan.errors import Conflict, SampanError, SystemFailure
from sampan.linux.link import discard_link
from sampan.linux.netlink import Netlink
from sampan.linux.network_namespace import make_network_namespace
from sampan.network import bridge, endpoint, parent, rates, rules
from sampan.network.definitions import Endpoint, Network, Rate, Resolving
from sampan.network.doctor import Finding, examine
from sampan.network.firewall import Firewall
from sampan.network.ledger import Ledger
from sampan.network.names.client import Names
from sampan.network.rivals import Rivals
from sampan.network.rules import Elements


class Kind(Protocol):
    """What the modules `bridge` and `parent` do alike."""

    def is_ready(self, netlink: Netlink, network: Network) -> int:
        """The index of the network's link when it is there and up, else 0."""


class HostNetwork:
    """Bridges, endpoints and rules of the network namespace that the daemon lives in."""

    def __init__(self, ledger: Ledger, directory: str, *, forwards: bool = True, default_bridge: str = "") -> None:
        """With `forwards` the host is made to forward packets; `default_bridge` is the settings' own."""
        self._forwards = forwards
        self._ledger = ledger
        self.names = Names(directory)
        self._netlink: Netlink | None = None
        self.firewall = Firewall(rules.table_of(default_bridge, directory), self._whole)
        self.rivals = Rivals(self.firewall.table)  # the only part that is for the event loop's thread

    @property
    def netlink(self) -> Netlink:
        """The conversation with the kernel, begun when it is first needed."""
        if self._netlink is None:
            self._netlink = Netlink()
        return self._netlink

    def close(self) -> None:
        """Let go of the kernel; everything made stays, but for a table that has nothing in it."""
        with contextlib.suppress(OSError):  # what is left there is harmless
            self.firewall.retire()
        self.firewall.close()
        self.rivals.close()
        self.names.close()
        if self._netlink is not None:
            self._netlink.close()

    def make_namespace(self) -> int:
        """A new namespace with its loopback up; a descriptor that the caller closes."""
        with _told("make a network namespace"):
            netns_fd = make_network_namespace()
            try:
                endpoint.prepare(netns_fd)
            except OSError:
                os.close(netns_fd)
                raise
            return netns_fd

    def connect(self, netns_fd: int, endpoints: Iterable[Endpoint]) -> None:
        """Make endpoints in a namespace, with the bridges they need and the ports they publish.

        Raises SystemFailure; then `disconnect` takes away what was made.
        """
        elements: list[Elements] = []
        ports: list[tuple[Network, int, int]] = []
        for each in endpoints:
            network = self._network(each)
            with _told(f"connect to network {network.name}"):
                index = self._kind(network).is_ready(self.netlink, network) or self._make_link(network)
                port = endpoint.connect(self.netlink, netns_fd, network, each, index)
                if each.rate != Rate():
                    rates.limit(self.netlink, netns_fd, network, each)
            elements.append(rules.of_endpoint(each, network))
            if port:
                ports.append((network, port, index))
        with _told(f"write the rules of inet {self.firewall.table}"):
            self.firewall.add(rules.merged(elements))
        for network, port, index in ports:
            with _told(f"attach to network {network.name}"):
                endpoint.attach(self.netlink, network, port, index)

    def route(self, netns_fd: int, each: Endpoint) -> None:
        """Have an owner's default routes go by this endpoint."""
        network = self._network(each)
        with _told(f"route by network {network.name}"):
            endpoint.route(netns_fd, network, each)

    def limit(self, netns_fd: int, each: Endpoint) -> None:
        """Have the endpoint's rates in force."""
        with _told("limit the network rate"):
            rates.limit(self.netlink, netns_fd, self._network(each), each)

    def traffic(self, netns_fd: int, endpoints: Iterable[Endpoint]) -> list[rates.Traffic]:
        """The counters of endpoints that are limited."""
        with _told("read the network's counters"):
            return [rates.traffic(self.netlink, netns_fd, self._network(each), each) for each in endpoints]

    def classes(self, netns_fd: int, class_id: int) -> list[rates.Classed]:
        """The counters of a class of packets, at links of a namespace and of this host."""
        with _told("read the network's counters"):
            found = rates.classed(self.netlink, class_id, of_host=True)
            if not os.path.samestat(os.fstat(netns_fd), os.stat("/proc/thread-self/ns/net")):
                with Netlink(netns_fd) as there:
                    found += rates.classed(there, class_id, of_host=False)
            return found

    def tell_names(self, netns_fd: int, owner: str, resolving: Resolving) -> None:
        """Let an owner ask for names, and be asked for, as far as it is in networks that have names."""
        named = [
            (network, each)
            for each in self._ledger.of_owner(owner)
            for network in [self._network(each)]
            if not network.is_default
        ]
        if not named:
            self.names.drop(owner)
            return
        with _told("serve names"):
            is_known = self.names.is_running and owner in self.names.known()
            sockets = None if is_known else endpoint.open_name_sockets(netns_fd)
            try:
                self.names.put(owner, named, sockets, servers=resolving.servers, links=resolving.links)
            finally:
                for one in sockets or ():
                    one.close()

    def forget_names(self, owner: str) -> None:
        """Let nobody ask for an owner any more."""
        self.names.drop(owner)

    def strange_names(self, owners: set[str]) -> None:
        """Forget whoever is none of these."""
        if self.names.is_running:
            for owner in self.names.known() - owners:
                self.names.drop(owner)

    def add_rules(self, elements: Elements) -> None:
        """Have these elements too."""
        with _told(f"write the rules of inet {self.firewall.table}"):
            self.firewall.add(elements)

    def remove_rules(self, elements: Elements) -> None:
        """Have these elements no more."""
        with _told(f"write the rules of inet {self.firewall.table}"):
            self.firewall.remove(elements)

    def disconnect(self, endpoints: Iterable[Endpoint]) -> None:
        """Delete veth pairs that are still there."""
        for each in endpoints:
            with _told(f"delete the link {each.link}"):
                endpoint.disconnect(self.netlink, each)

    def take_away(self, netns_fd: int, each: Endpoint) -> None:
        """Delete an endpoint's link, wherever its host's end is; nothing happens when it is gone."""
        if self._network(each).is_bridge:
            self.disconnect((each,))
        else:
            parent.disconnect(netns_fd, each)

    def probe(self, network: Network) -> None:
        """Make a new network's parent, if need be, and see that the kernel has its driver."""
        with _told(f"use the link {network.link}"):
            parent.probe(self.netlink, network, parent.make(self.netlink, network))

    def has_link(self, name: str) -> bool:
        """Whether this host has a link of that name."""
        with _told("list the links"):
            return parent.exists(self.netlink, name)

    def has_bridge(self, name: str) -> bool:
        """Whether this host has a bridge of that name. Raises Conflict when the name is another link's."""
        with _told("list the links"):
            return bool(bridge.find(self.netlink, name))

    def repair(self, network: Network) -> None:
        """Make a network's link and rules what they shall be, whatever others did to them."""
        with _told(f"make the link {network.link}"):
            self._make_link(network)
        self.remove_strays(network)

    def remove_strays(self, network: Network) -> None:
        """Delete ports of a network's bridge that are ours by name and belong to no endpoint."""
        with _told(f"look at the link {network.link}"):
            if not network.is_bridge:
                parent.forget_probe(self.netlink, network)
                return
            known = {each.link for each in self._ledger.endpoints(network.id)}
            for name in bridge.stray_links(self.netlink, network, known):
                endpoint.disconnect(self.netlink, Endpoint(name.removeprefix("sp"), "", network.id, "", ""))

    def examine(self) -> list[Finding]:
        """What is not as it should be."""
        with _told("examine the networks"):
            return examine(self.netlink, self._ledger.networks(), self._ledger.endpoints(), self.firewall.table)

    def write_rules(self) -> None:
        """Write the whole table again."""
        with _told(f"write the rules of inet {self.firewall.table}"):
            self.firewall.write()

    def redefine(self, before: Network, now: Network) -> None:
        """Let a network's bridge and rules be what its new definition says."""
        with _told(f"change the bridge {before.link}"):
            if before.link != now.link and not self._ledger.endpoints(before.id):
                self._remove_link(before)
            else:
                bridge.forget_addresses(self.netlink, before, now)
        self.write_rules()
        self.repair(now)

    def remove(self, network: Network) -> None:
        """Take a network away: its bridge and its rules."""
        with _told(f"remove network {network.name}"):
            self.firewall.remove(rules.of_network(network))
            self.firewall.retire()
            self._remove_link(network)

    def taken_subnets(self) -> list[str]:
        """What this host has routes to."""
        with _told("list the routes"):
            return bridge.subnets_in_use(self.netlink)

    def has_ipv6(self) -> bool:
        """Whether this host has an IPv6 address that others could reach, beside those of our own bridges."""
        ours = {network.link for network in self._ledger.networks() if network.is_bridge and not network.made_elsewhere}
        with _told("list the addresses"):
            return bridge.has_ipv6(self.netlink, ours)

    def addresses_of(self, link: str) -> list[tuple[str, int]]:
        """The addresses of a link. Raises Conflict when there is none of that name."""
        with _told(f"find the bridge {link}"):
            try:
                return bridge.addresses_of(self.netlink, link)
            except OSError as error:
                if error.errno != errno.ENODEV:
                    raise
                remedy = f"make it (`ip link add {link} type bridge`) and give it an address, or drop --bridge"
                raise Conflict(f"there is no bridge {link}, which the daemon was started with", remedy=remedy) from None

    def _kind(self, network: Network) -> Kind:
        return bridge if network.is_bridge else parent

    def _remove_link(self, network: Network) -> None:
        """Delete the network's bridge or parent, unless it is somebody else's; nothing happens when it is gone."""
        if network.is_bridge:
            bridge.remove(self.netlink, network)
        elif not network.made_elsewhere:
            discard_link(self.netlink, network.link)

    def _make_link(self, network: Network) -> int:
        if not network.is_bridge:
            return parent.make(self.netlink, network)
        index = bridge.make(self.netlink, network, self._ledger.endpoints(network.id))
        if self._forwards and not network.internal:
            bridge.forward(ipv6=network.ipv6)
        self.firewall.add(rules.of_network(network))
        return index

    def _network(self, each: Endpoint) -> Network:
        network = self._ledger.network(each.network)
        if network is None:
            raise SystemFailure(f"network {each.network} went away", remedy="connect to another")
        return network

    def _whole(self) -> Iterator[Elements]:
        networks = {
            network.id: network
            for network in self._ledger.networks()
            if network.used and network.id not in self._ledger.leaving
        }
        for network in networks.values():
            yield rules.of_network(network)
        for each in self._ledger.endpoints():
            if each.network in networks:
                yield rules.of_endpoint(each, networks[each.network])


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn the kernel's refusals into sentences."""
    try:
        yield
    except SampanError:
        raise
    except OSError as error:
        remedy = "run sampand as root" if error.errno == errno.EPERM else "`sampan doctor` says what is wrong"
        raise SystemFailure(f"cannot {what}: {error}", remedy=remedy) from error
