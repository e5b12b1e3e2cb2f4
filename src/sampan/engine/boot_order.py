"""Which containers start when the machine has booted, and in which order: restart policies and compose's labels.

Pure. Compose writes `com.docker.compose.depends_on` as "service:condition:restart,…" beside the project's and the
service's name; a container without them depends on those alone whose namespaces it joins. Acting on it is `boot`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sampan.engine.config import HostConfig
from sampan.engine.container import ContainerRecord, Created, Dead, Exited, Paused, Removing, Restarting, Running
from sampan.engine.spec import neighbours

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
DEPENDS_ON = "com.docker.compose.depends_on"
STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
_JOINED = "container:"


@dataclass(frozen=True, slots=True)
class Need:
    """What must be so of another container (by id): it is STARTED, HEALTHY or COMPLETED."""

    id: str
    condition: str = STARTED


@dataclass(frozen=True, slots=True)
class Start:
    """A container to start, once all that it needs is so; the needs name containers that stand before it."""

    record: ContainerRecord
    needs: tuple[Need, ...] = ()


def starts_at_boot(record: ContainerRecord) -> bool:
    """Whether the policy asks for a run after a boot (docs: "Start containers automatically").

    `always` starts also what its user had stopped, which `unless-stopped` does not; `on-failure` only what ran when
    the machine went down. What never ran is not started.
    """
    policy = record.config.host.restart_policy
    match record.state:
        case Created() | Removing() | Dead():
            return False
        case Exited():
            return policy.name == "always" or (policy.name == "unless-stopped" and not record.stopped_by_user)
        case Running() | Paused() | Restarting():
            if policy.name == "on-failure" and policy.maximum_retries:
                return record.restart_count < policy.maximum_retries and not record.stopped_by_user
            return policy.name == "always" or (
                policy.name in {"unless-stopped", "on-failure"} and not record.stopped_by_user
            )


def boot_order(records: Sequence[ContainerRecord]) -> list[Start]:
    """The records with those first that others depend on; else, and within a circle, in the order they were made."""
    waiting = sorted(records, key=lambda record: record.created_at_ns)
    known = _Index(waiting)
    ordered: list[Start] = []
    entered: set[str] = set()
    placed: set[str] = set()

    def place(record: ContainerRecord) -> None:
        if record.id in entered:
            return
        entered.add(record.id)
        needs = [(needed, condition) for needed, condition in known.needs(record) if needed.id != record.id]
        for needed, _ in needs:
            place(needed)
        # one that is not placed yet closes a circle
        kept = [Need(needed.id, condition) for needed, condition in needs if needed.id in placed]
        ordered.append(Start(record, tuple(dict.fromkeys(kept))))
        placed.add(record.id)

    for record in waiting:
        place(record)
    return ordered


class _Index:
    """The containers by what others call them."""

    def __init__(self, records: Sequence[ContainerRecord]) -> None:
        self._services: dict[tuple[str, str], list[ContainerRecord]] = {}
        self._names: dict[str, ContainerRecord] = {}
        for record in records:
            self._services.setdefault(_service(record), []).append(record)
            self._names |= {record.id: record, record.name: record}

    def needs(self, record: ContainerRecord) -> Iterator[tuple[ContainerRecord, str]]:
        for service, condition in dependencies(record):
            for needed in self._services.get((_label(record, PROJECT), service), ()):
                yield needed, condition
        for reference in joined(record.config.host):
            found = self._names.get(reference)
            if found:
                yield found, STARTED


def dependencies(record: ContainerRecord) -> list[tuple[str, str]]:
    """(service, condition) of everything that the container's label names."""
    entries = [entry.split(":") for entry in _label(record, DEPENDS_ON).split(",") if entry]
    return [(words[0], words[1] if len(words) > 1 else STARTED) for words in entries]


def joined(host: HostConfig) -> tuple[str, ...]:
    """The references of all containers of which a namespace is joined, the network's too."""
    network = host.network_mode
    return (*neighbours(host), *((network.removeprefix(_JOINED),) if network.startswith(_JOINED) else ()))


def _label(record: ContainerRecord, name: str) -> str:
    return (record.config.process.labels or {}).get(name, "")


def _service(record: ContainerRecord) -> tuple[str, str]:
    return _label(record, PROJECT), _label(record, SERVICE)
