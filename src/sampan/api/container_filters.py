"""Which containers a list shows: the filters of GET /containers/json, AND across keys, OR within one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from sampan.api.container_documents import status_word
from sampan.engine.container import ContainerRecord
from sampan.engine.control import exit_code
from sampan.engine.store import ContainerStore
from sampan.errors import InvalidArgument, NotFound
from sampan.expression import expression

KNOWN = frozenset(
    "ancestor before exited expose health id is-task isolation label name network publish since status volume".split()
)
_STATUSES = frozenset("created running paused restarting removing exited dead".split())
_EXIT_CODE = re.compile("[+-]?[0-9]{1,9}")
_PORTS = 65536
_TRUE, _FALSE = frozenset({"true", "1", "t"}), frozenset({"false", "0", "f"})

Filters = dict[str, tuple[str, ...]]


def select(
    store: ContainerStore,
    filters: Filters,
    fits: Callable[[ContainerRecord], bool],
    *,
    everything: bool,
    limit: int = 0,
) -> list[ContainerRecord]:
    """The records that a list shows, newest first; `fits` tests what is not to be known of a record alone.

    Raises InvalidArgument for a value that cannot be.
    """
    _check(filters)
    wants_stopped = everything or limit > 0 or "status" in filters
    before = _bound(store, filters.get("before", ()))
    since = _bound(store, filters.get("since", ()))
    found = [
        record
        for record in store.all()
        if (wants_stopped or record.running is not None or status_word(record) == "restarting")
        and (before is None or record.created_at_ns < before)
        and (since is None or record.created_at_ns > since)
        and all(_TESTS[key](record, values) for key, values in filters.items() if key in _TESTS)
        and fits(record)
    ]
    return found[:limit] if limit > 0 else found


def _check(filters: Filters) -> None:
    for value in filters.get("status", ()):
        if value not in _STATUSES:
            raise InvalidArgument(f"invalid filter 'status={value}'", remedy="one of " + ", ".join(sorted(_STATUSES)))
    for value in filters.get("exited", ()):
        if not _EXIT_CODE.fullmatch(value):
            raise InvalidArgument(
                f"invalid filter 'exited={value}': strconv.Atoi: parsing \"{value}\": invalid syntax",
                remedy="pass an exit code",
            )
    for value in (*filters.get("publish", ()), *filters.get("expose", ())):
        _range(value)
    for value in filters.get("is-task", ())[:1]:
        if value not in _TRUE | _FALSE:
            raise InvalidArgument(f"invalid filter 'is-task=[{value}]'", remedy="say true or false")


def _bound(store: ContainerStore, references: Iterable[str]) -> int | None:
    for reference in references:
        try:
            return store.find(reference).created_at_ns
        except NotFound as error:
            raise NotFound(f"No such container: {reference}", remedy="filter by a container that is there") from error
    return None


def _by_name(record: ContainerRecord, values: tuple[str, ...]) -> bool:
    return any(expression(value).search(text) for value in values for text in (f"/{record.name}", record.name))


def _by_label(record: ContainerRecord, values: tuple[str, ...]) -> bool:
    labels = record.config.process.labels or {}
    pairs = (value.partition("=") for value in values)
    return all(name in labels and (not separator or labels[name] == text) for name, separator, text in pairs)


def _by_network(record: ContainerRecord, values: tuple[str, ...]) -> bool:
    ids = {endpoint.network_id for endpoint in record.endpoints.values()}
    return any(value in record.endpoints or value in ids or any(i.startswith(value) for i in ids) for value in values)


def _by_volume(record: ContainerRecord, values: tuple[str, ...]) -> bool:
    wanted = {value for value in values if value}
    return any({point.name, point.source, point.destination} & wanted for point in record.mounts)


def _port_test(ports: Callable[[ContainerRecord], Iterable[str]]) -> Callable[[ContainerRecord, tuple[str, ...]], bool]:
    def test(record: ContainerRecord, values: tuple[str, ...]) -> bool:
        wanted = {port for value in values for port in _range(value)}
        return bool(wanted & set(ports(record)))

    return test


def _published(record: ContainerRecord) -> Iterator[str]:
    for port, places in record.ports.items():
        for _, number in places:
            yield f"{number}/{port.partition('/')[2] or 'tcp'}"


def _range(text: str) -> list[str]:
    numbers, _, protocol = text.partition("/")
    first, dash, last = numbers.partition("-")
    try:
        ports = range(int(first), int(last if dash else first) + 1)
        if ports.start < 0 or ports.stop > _PORTS:
            raise ValueError(text)
        return [f"{number}/{protocol or 'tcp'}" for number in ports]
    except ValueError as error:
        raise InvalidArgument(
            f"invalid port filter {text[:80]!r}", remedy="as in 80, 80/tcp or 8000-8080/udp"
        ) from error


_TESTS: dict[str, Callable[[ContainerRecord, tuple[str, ...]], bool]] = {
    "exited": lambda record, values: status_word(record) == "exited" and exit_code(record) in map(int, values),
    "expose": _port_test(lambda record: record.config.process.exposed_ports or ()),
    "id": lambda record, values: any(value and record.id.startswith(value) for value in values),
    "is-task": lambda _record, values: values[0] in _FALSE,
    "isolation": lambda _record, values: bool({"default", ""} & set(values)),
    "label": _by_label,
    "name": _by_name,
    "network": _by_network,
    "publish": _port_test(_published),
    "status": lambda record, values: status_word(record) in values,
    "volume": _by_volume,
}
