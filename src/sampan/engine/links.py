"""Links between containers of the default network, which has no names: lines of /etc/hosts and variables.

What a link says is made when the container that has it starts, out of the records of those that it names; when one of
them starts again with another address, the lines of those that run are changed. Links in users' networks are names
there, and none of this. Pure but for `refresh`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from sampan.engine.container import ContainerRecord, Linked
from sampan.engine.exposed_ports import port_of
from sampan.engine.layout import Layout
from sampan.engine.store import ContainerStore
from sampan.errors import Conflict, InvalidArgument, NotFound

NETWORK = "bridge"
_NOT_TOLD = frozenset({"HOME", "PATH"})
_MOST_TOGETHER = 3  # from so many ports in a row on a range is told too


def parse(text: str) -> tuple[str, str]:
    """Whom a link means, and by what name: "db:database", "db", or inspect's own "/db:/web/database"."""
    reference, _, alias = text.partition(":")
    reference = reference.removeprefix("/")
    alias = alias.rpartition("/")[2] or reference
    if not reference:
        raise InvalidArgument(f"bad format for links: {text}", remedy="as in --link db:database")
    return reference, alias


def shown(record: ContainerRecord) -> tuple[str, ...] | None:
    """The links as inspect tells them: "/db:/web/database"; those of a user's network are not told."""
    links = record.config.host.links
    if links is None or not _is_told(record):
        return None
    pairs = [parse(text) for text in links]
    return tuple(f"/{reference}:/{record.name}/{alias}" for reference, alias in pairs)


def _is_told(record: ContainerRecord) -> bool:
    return record.config.host.network_mode in {"", "default", NETWORK}


def names(records: list[ContainerRecord]) -> dict[str, list[str]]:
    """The further names that containers have by the links of others: name of a container -> "/web/database"."""
    found: dict[str, list[str]] = {}
    for record in records:
        for reference, alias in map(parse, record.config.host.links or ()) if _is_told(record) else ():
            found.setdefault(reference, []).append(f"/{record.name}/{alias}")
    return found


def without(record: ContainerRecord, alias: str) -> tuple[str, ...]:
    """The links that are left when one is taken away. Raises NotFound when there is none of that name."""
    texts = record.config.host.links or ()
    left = tuple(text for text in texts if parse(text)[1] != alias)
    if len(left) == len(texts):
        raise NotFound(
            f"No such link: /{record.name}/{alias}", remedy=f"`sampan inspect {record.name}` shows the links"
        )
    return left


def check(record: ContainerRecord, store: ContainerStore) -> None:
    """Refuse links to what is not there. Raises InvalidArgument, as Docker does."""
    for text in record.config.host.links or ():
        reference, _ = parse(text)
        try:
            other = store.find(reference)
        except NotFound as error:
            raise InvalidArgument(
                f"could not get container for {reference}: {error}", remedy="run it first, or leave the link out"
            ) from error
        if other.config.host.network_mode == "host":
            raise InvalidArgument(
                "conflicting options: host type networking can't be used with links. "
                "This would result in undefined behavior",
                remedy=f"reach {reference} by the host's own address",
            )


def resolve(record: ContainerRecord, store: ContainerStore) -> Linked:
    """What the links of a container that starts say. Raises Conflict for one that does not run or is elsewhere."""
    lines: list[tuple[str, str]] = []
    variables: list[str] = []
    for text in record.config.host.links or ():
        reference, alias = parse(text)
        other = store.find(reference)
        if NETWORK not in other.endpoints:
            raise Conflict(
                f"Cannot link to /{other.name}, as it does not belong to the default network",
                remedy="put both into a network of their own: there every name is known",
            )
        if other.running is None:
            raise Conflict(
                f"Cannot link to a non running container: /{other.name} AS /{record.name}/{alias}",
                remedy=f"start it first with `sampan start {other.name}`",
            )
        lines += _lines(other, alias)
        variables += environment(record.name, alias, other)
    return Linked(tuple(lines), tuple(variables))


def _lines(other: ContainerRecord, alias: str) -> Iterator[tuple[str, str]]:
    names = " ".join(dict.fromkeys((alias, other.config.process.hostname, other.name)))
    endpoint = other.endpoints[NETWORK]
    for address in endpoint.named_addresses:
        yield address, names


def environment(owner: str, alias: str, other: ContainerRecord) -> Iterator[str]:
    """The variables of one link: each exposed port, the first of them as the port, the name, and its environment."""
    prefix = alias.upper().replace("-", "_")
    address = other.endpoints[NETWORK].ip_address
    ports = sorted(
        {port_of(key) for key in other.config.process.exposed_ports or ()}, key=lambda one: (one[0], one[1] != "tcp")
    )
    if ports:
        yield f"{prefix}_PORT={_url(address, *ports[0])}"
    for first, last in _rows(ports):
        (start, protocol), (end, last_protocol) = first, last
        name = f"{prefix}_PORT_{start}_{protocol.upper()}"
        yield f"{name}_START={_url(address, *first)}"
        yield f"{name}_PORT_START={start}"
        yield f"{name}_END={_url(address, end, last_protocol)}"
        yield f"{name}_PORT_END={end}"
    for port, protocol in ports:
        name = f"{prefix}_PORT_{port}_{protocol.upper()}"
        yield f"{name}={_url(address, port, protocol)}"
        yield f"{name}_ADDR={address}"
        yield f"{name}_PORT={port}"
        yield f"{name}_PROTO={protocol}"
    yield f"{prefix}_NAME=/{owner}/{alias}"
    for entry in other.config.process.environment or ():
        name, separator, _ = entry.partition("=")
        if separator and name not in _NOT_TOLD:
            yield f"{prefix}_ENV_{entry}"


def _url(address: str, port: int, protocol: str) -> str:
    return f"{protocol}://{address}:{port}"


def _rows(ports: Sequence[tuple[int, str]]) -> Iterator[tuple[tuple[int, str], tuple[int, str]]]:
    """First and last of each row of ports that follow one another."""
    start = 0
    for number in range(1, len(ports) + 1):
        if number == len(ports) or ports[number][0] > ports[number - 1][0] + 1:
            if number - start >= _MOST_TOGETHER:
                yield ports[start], ports[number - 1]
            start = number


def refresh(other: ContainerRecord, store: ContainerStore, layout: Layout) -> None:
    """Let the running containers that have a link to `other`, which has just started, know its addresses."""
    for record in store.all():
        if record.running is None or not record.config.host.links or not record.linked.hosts:
            continue
        if not any(parse(text)[0] in {other.name, other.id, other.id[:12]} for text in record.config.host.links):
            continue
        try:
            linked = resolve(record, store)
        except (Conflict, NotFound):
            continue  # another one of them does not run now; it tells its own address when it does
        if linked != record.linked:
            _rewrite(f"{layout.container(record.id)}/hosts", record.linked, linked)
            store.save(dataclasses.replace(record, linked=linked))


def _rewrite(path: str, before: Linked, after: Linked) -> None:
    """In place, so that the running container's bind shows it; whatever else the file says stays."""
    with open(path, "r+", encoding="utf-8", errors="surrogateescape") as file:
        old = set(text(before).splitlines(keepends=True))
        kept = [line for line in file if line not in old]
        file.seek(0)
        file.write("".join(kept) + text(after))
        file.truncate()


def text(linked: Linked) -> str:
    """The lines of /etc/hosts."""
    return "".join(f"{address}\t{names}\n" for address, names in linked.hosts)
