"""Secrets and configs: small files that the engine keeps, to be mounted into containers.

    secrets/<id>   the content, for root alone; a container gets a copy in memory when it starts

Content goes nowhere else: into no record, event, message or layer. Docker has them for the services of a swarm; the
words and shapes are Docker's.
"""

from __future__ import annotations

import json
import os
import re
import secrets as random
import sqlite3
import string
import time
from dataclasses import dataclass, field, replace

from sampan.engine.events import Events
from sampan.engine.store import ContainerStore
from sampan.errors import Conflict, InvalidArgument, NotFound, SystemFailure
from sampan.linux.filesystem import sync_directory

KINDS = ("secret", "config")
_LARGEST = {"secret": 500 * 1024, "config": 1000 * 1024}  # moby's limits
_NAME = re.compile(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?")
_LETTERS = string.ascii_lowercase + string.digits
_TABLE = """
CREATE TABLE IF NOT EXISTS secrets (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, created_at_ns INTEGER NOT NULL,
    updated_at_ns INTEGER NOT NULL, version INTEGER NOT NULL, labels TEXT NOT NULL, UNIQUE (kind, name)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret or config, without its content."""

    id: str
    kind: str
    name: str
    created_at_ns: int
    updated_at_ns: int
    version: int = 1
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineSecrets:
    """The secrets and configs of an engine."""

    connection: sqlite3.Connection
    folder: str
    store: ContainerStore
    events: Events
    _known: dict[str, Secret] = field(default_factory=dict)

    def recover(self) -> None:
        """Read what is known, and remove content that has no record."""
        os.makedirs(self.folder, 0o700, exist_ok=True)
        self.connection.execute(_TABLE)
        query = "SELECT id, kind, name, created_at_ns, updated_at_ns, version, labels FROM secrets"
        for secret_id, kind, name, created_at_ns, updated_at_ns, version, labels in self.connection.execute(query):
            known = Secret(secret_id, kind, name, created_at_ns, updated_at_ns, version, json.loads(labels))
            self._known[known.id] = known
        for name in os.listdir(self.folder):
            if name not in self._known:
                os.unlink(f"{self.folder}/{name}")

    def locate(self, kind: str, reference: str) -> tuple[str, str]:
        """The name, and the file with the content. Raises NotFound."""
        secret = self.get(kind, reference)
        return secret.name, f"{self.folder}/{secret.id}"

    def get(self, kind: str, reference: str) -> Secret:
        """By name, by id, or by the beginning of an id that only one has. Raises NotFound."""
        known = [secret for secret in self._known.values() if secret.kind == kind]
        for found in (
            [secret for secret in known if secret.id == reference],
            [secret for secret in known if secret.name == reference],
            [secret for secret in known if reference and secret.id.startswith(reference)],
        ):
            if len(found) == 1:
                return found[0]
        raise NotFound(f"{kind} {reference} not found", remedy=f"`sampan {kind} ls` lists them")

    def find(self, kind: str) -> list[Secret]:
        """All of a kind, by name."""
        return sorted((one for one in self._known.values() if one.kind == kind), key=lambda secret: secret.name)

    def create(self, kind: str, name: str, content: bytes, labels: dict[str, str]) -> Secret:
        """Keep a new one. Raises InvalidArgument for name or size, Conflict for a name that is taken."""
        _check(kind, name, content)
        if any(secret.name == name for secret in self.find(kind)):
            raise Conflict(
                f"rpc error: code = AlreadyExists desc = {kind} {name} already exists",
                remedy=f"remove it with `sampan {kind} rm {name}`, or choose another name",
            )
        now = time.time_ns()
        secret = Secret("".join(random.choice(_LETTERS) for _ in range(25)), kind, name, now, now, labels=labels)
        self._write(secret, content)
        self._save(secret)
        self._tell("create", secret)
        return secret

    def content(self, kind: str, reference: str) -> bytes:
        """What is in a config; for secrets the API has no way to ask."""
        with open(self.locate(kind, reference)[1], "rb") as file:
            return file.read()

    def label(self, kind: str, reference: str, labels: dict[str, str], version: int) -> Secret:
        """Change the labels; nothing else of it changes. Raises InvalidArgument for a version that is not the last."""
        secret = self.get(kind, reference)
        if version != secret.version:
            raise InvalidArgument(
                "rpc error: code = Unknown desc = update out of sequence", remedy=f"its version is {secret.version}"
            )
        changed = replace(secret, labels=labels, version=version + 1, updated_at_ns=time.time_ns())
        self._save(changed)
        self._tell("update", changed)
        return changed

    def remove(self, kind: str, reference: str) -> None:
        """Remove one that no container has. Raises NotFound, Conflict."""
        secret = self.get(kind, reference)
        path = f"{self.folder}/{secret.id}"
        users = [record.name for record in self.store.all() if any(point.source == path for point in record.mounts)]
        if users:
            raise Conflict(
                f"{kind} '{secret.name}' is in use by the following containers: {', '.join(users)}",
                remedy=f"remove {', '.join(users)} first",
            )
        self.connection.execute("DELETE FROM secrets WHERE id = ?", (secret.id,))
        del self._known[secret.id]
        os.unlink(path)
        self._tell("remove", secret)

    def _write(self, secret: Secret, content: bytes) -> None:
        path = f"{self.folder}/{secret.id}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(fd)
            sync_directory(self.folder)
        except OSError as error:
            raise SystemFailure(
                f"create {secret.kind} {secret.name}: {error.strerror}: {path}", remedy="make room on the disk"
            ) from error

    def _save(self, secret: Secret) -> None:
        values = (secret.id, secret.kind, secret.name, secret.created_at_ns, secret.updated_at_ns, secret.version)
        self.connection.execute(
            "INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, json.dumps(secret.labels))
        )
        self._known[secret.id] = secret

    def _tell(self, action: str, secret: Secret) -> None:
        self.events.publish(secret.kind, action, secret.id, {"name": secret.name})


def open_secrets(folder: str, store: ContainerStore, events: Events) -> EngineSecrets:
    """Those that are kept in a folder, put right after a crash."""
    secrets = EngineSecrets(store.connection, folder, store, events)
    secrets.recover()
    return secrets


def _check(kind: str, name: str, content: bytes) -> None:
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise InvalidArgument(
            f"rpc error: code = InvalidArgument desc = invalid name: {name!r}, only 64 [a-zA-Z0-9-_.] characters "
            "allowed, and the start and end character must be [a-zA-Z0-9]",
            remedy="choose another name",
        )
    if not 0 < len(content) <= _LARGEST[kind]:
        raise InvalidArgument(
            f"rpc error: code = InvalidArgument desc = {kind} data must be larger than 0 and less than "
            f"{_LARGEST[kind]} bytes",
            remedy="mount a file with --mount type=bind instead",
        )
