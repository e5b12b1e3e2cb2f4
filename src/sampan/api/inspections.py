"""Inspect documents that have been asked for, kept as the bytes that were sent.

What an inspect tells follows from four things alone: the container's record, health and running execs, and whether
the API's version has the short id as an alias. The record and the health are frozen values, replaced and never
changed, so a document that was made from the very same is true now. The oldest are dropped when all are large together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sampan.api import container_documents
from sampan.api.call import encode
from sampan.api.versions import NO_ALIAS_OF_ID, Version, has
from sampan.engine.container import ContainerRecord
from sampan.engine.health import Health
from sampan.engine.layout import Layout

MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Made:
    """A document, and what it was made from."""

    record: ContainerRecord
    health: Health | None
    exec_ids: list[str]
    content: bytes


@dataclass(slots=True)
class Inspections:
    """The documents, by container and shape."""

    layout: Layout
    _made: dict[tuple[str, bool], _Made] = field(default_factory=dict)
    _bytes: int = 0

    def of(self, record: ContainerRecord, health: Health | None, exec_ids: list[str], version: Version) -> bytes:
        """The document as it is sent."""
        key = (record.id, has(version, NO_ALIAS_OF_ID))
        made = self._made.get(key)
        if made is not None and made.record is record and made.health == health and made.exec_ids == exec_ids:
            return made.content
        content = encode(container_documents.inspect(record, self.layout, exec_ids, version, health))
        self._keep(key, _Made(record, health, exec_ids, content))
        return content

    def _keep(self, key: tuple[str, bool], made: _Made) -> None:
        before = self._made.pop(key, None)
        self._made[key] = made
        self._bytes += len(made.content) - (len(before.content) if before else 0)
        while self._bytes > MAX_BYTES:
            oldest = next(iter(self._made))
            self._bytes -= len(self._made.pop(oldest).content)
