"""Container events with the attributes that Docker gives them: image, name and all labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sampan.engine.container import ContainerRecord, Exited
from sampan.engine.events import Events


@dataclass(frozen=True, slots=True)
class Announcer:
    """Publishes what happens to containers."""

    events: Events

    def container(self, record: ContainerRecord, action: str, **attributes: str) -> None:
        """Publish `action` of a container, with further attributes."""
        process = record.config.process
        known = {**(process.labels or {}), "image": process.image, "name": record.name}
        self.events.publish("container", action, record.id, {**known, **attributes})

    def exec(self, record: ContainerRecord, action: str, command: Sequence[str], exec_id: str) -> None:
        """Publish "exec_create" or "exec_start" with the command, in moby's words: its program, a blank, the rest."""
        self.container(record, f"{action}: {command[0]} {' '.join(command[1:])}", execID=exec_id)

    def networks(self, record: ContainerRecord, action: str, drivers: Mapping[str, str]) -> None:
        """Publish that the container is in its networks ("connect") or not any more; `drivers` by network name."""
        for name, endpoint in record.endpoints.items():
            if name in drivers:
                attributes = {"container": record.id, "name": name, "type": drivers[name]}
                self.events.publish("network", action, endpoint.network_id, attributes)

    def volumes(self, record: ContainerRecord, action: str) -> None:
        """Publish that the volumes of a container are mounted ("mount") or not any more ("unmount")."""
        for point in record.mounts:
            if point.kind == "volume":
                attributes = {"container": record.id, "driver": point.driver}
                if action == "mount":
                    access = {"read/write": str(point.writable).lower(), "propagation": point.propagation}
                    attributes |= {"destination": point.destination, **access}
                self.events.publish("volume", action, point.name, attributes)

    def died(self, record: ContainerRecord, ended: Exited) -> None:
        """Publish the end of a run with its code and its whole seconds."""
        seconds = max(0, ended.finished_at_ns - ended.started_at_ns) // 1_000_000_000 if ended.started_at_ns else 0
        self.container(record, "die", exitCode=str(ended.code), execDuration=str(seconds))
