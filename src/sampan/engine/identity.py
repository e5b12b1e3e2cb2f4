"""Who a container is to itself: /etc/hostname, /etc/hosts and /etc/resolv.conf, bound over the image's files.

The files are written before a start and again when its networks change; a container that edits them edits its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from sampan.engine import links
from sampan.engine.config import HostConfig
from sampan.engine.container import ContainerRecord
from sampan.engine.parts import Place
from sampan.engine.store import ContainerStore
from sampan.linux.write import write_all

TARGETS = (("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts"))
_LOOPBACK = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)
_FALLBACK_SERVERS = ("8.8.8.8", "8.8.4.4")


@dataclass(frozen=True, slots=True)
class Resolver:
    """A resolv.conf(5), taken apart."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def host_resolver(path: str = "/etc/resolv.conf") -> Resolver:
    """What the host asks; systemd-resolved's upstreams when the host itself asks its stub on loopback."""
    resolver = _parse(path)
    if resolver.servers == ("127.0.0.53",):
        return _parse("/run/systemd/resolve/resolv.conf")
    return resolver


def _parse(path: str) -> Resolver:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file if line[:1] not in {"#", ";"}]
    except OSError:
        return Resolver()
    servers = tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")
    search = next((tuple(words[1:]) for words in reversed(lines) if words[:1] in (["search"], ["domain"])), ())
    options = tuple(option for words in lines if words[:1] == ["options"] for option in words[1:])
    return Resolver(servers, search, options)


def resolver_of(host: HostConfig, *, own_network: bool, embedded: str = "") -> Resolver:
    """What a container asks: what the user said, else the host's; servers on the host's loopback cannot be reached.

    `embedded` is the address of the engine's own server in a user-defined network.
    """
    of_host = host_resolver()
    servers = host.dns or of_host.servers
    if own_network and not host.dns:
        servers = tuple(server for server in servers if not server.startswith("127.") and server != "::1")
        servers = servers or _FALLBACK_SERVERS
    search = host.dns_search or of_host.search
    options = host.dns_options or of_host.options
    if embedded and not any(option.startswith("ndots:") for option in options):
        options = (*options, "ndots:0")  # names of containers have no dots
    return Resolver((embedded,) if embedded else servers, () if search == (".",) else search, options)


def resolv_conf(resolver: Resolver) -> str:
    """The text of /etc/resolv.conf."""
    lines = [f"nameserver {server}" for server in resolver.servers]
    if resolver.search:
        lines.append("search " + " ".join(resolver.search))
    if resolver.options:
        lines.append("options " + " ".join(resolver.options))
    return "".join(f"{line}\n" for line in lines)


def hosts(record: ContainerRecord, *, gateway: str = "") -> str:
    """The text of /etc/hosts: loopback, `--add-host` (with host-gateway), links, its own addresses.

    In the network of the machine it is the machine's, unless something is to be added, as Docker has it.
    """
    process, asked = record.config.process, record.config.host
    if asked.network_mode == "host" and not asked.extra_hosts and (machines := _hosts_of_machine()):
        return machines
    lines = [_LOOPBACK]
    for entry in asked.extra_hosts or ():
        name, _, written = entry.partition(":")
        if address := gateway if written == "host-gateway" else written.strip("[]"):  # no bridge, no gateway
            lines.append(f"{address}\t{name}\n")
    lines.append(links.text(record.linked))
    whole = f"{process.hostname}.{process.domainname}" if process.domainname else process.hostname
    own = " ".join(dict.fromkeys((whole, process.hostname, whole.partition(".")[0])))
    for endpoint in record.endpoints.values():
        lines.extend(f"{address}\t{own}\n" for address in endpoint.named_addresses)
    return "".join(lines)


def _hosts_of_machine() -> str:
    try:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def placed(record: ContainerRecord, place: Place, store: ContainerStore) -> ContainerRecord:
    """The record of a new run in its place; who shares another's network has that one's names, as with Docker."""
    process = record.config.process
    if place.identity_of:
        other = store.find(place.identity_of).config.process
        process = replace(process, hostname=other.hostname, domainname=other.domainname)
    return replace(
        record,
        config=replace(record.config, process=process),
        endpoints=place.endpoints,
        ports=place.ports,
        linked=place.linked,
        memory_kills=(),
    )


def write(directory: str, texts: dict[str, str]) -> None:
    """Write the named files in place, so that a running container's binds show the change."""
    for name, text in texts.items():
        descriptor = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        try:
            write_all(descriptor, text.encode())
        finally:
            os.close(descriptor)
