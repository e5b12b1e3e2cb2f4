"""Secrets and configs: find, list, make and remove them (docker-py's SecretCollection and ConfigCollection)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.client.filters import filters_text
from sampan.client.session import Session, quote


@dataclass(eq=False, slots=True)
class Secret:
    """A secret or config as it was when it was looked at; `kind` is "secret" or "config"."""

    session: Session = field(repr=False)
    kind: str
    attrs: dict[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (other.kind, other.id) == (self.kind, self.id)

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """The id."""
        return str(self.attrs["ID"])

    @property
    def name(self) -> str:
        """The name."""
        return str(self.attrs["Spec"]["Name"])

    def remove(self) -> None:
        """Remove it. Raises ConflictError: a container has it."""
        self.session.call("DELETE", f"/{self.kind}s/{quote(self.id)}")


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets, or the configs, of one daemon."""

    session: Session
    kind: str = "secret"

    def get(self, secret_id: str) -> Secret:
        """The one with this id or name. Raises NotFoundError: there is none."""
        return Secret(self.session, self.kind, self.session.call("GET", f"/{self.kind}s/{quote(secret_id)}"))

    def list(self, filters: Mapping[str, object] | None = None) -> list[Secret]:
        """Those that there are."""
        found = self.session.call("GET", f"/{self.kind}s", {"filters": filters_text(filters)})
        return [Secret(self.session, self.kind, document) for document in found or []]

    def create(self, *, name: str, data: bytes, labels: dict[str, str] | None = None) -> Secret:
        """Keep a new one. Raises ConflictError: the name is taken."""
        body = {"Name": name, "Data": base64.b64encode(data).decode(), "Labels": labels or {}}
        made = self.session.call("POST", f"/{self.kind}s/create", None, body)
        return self.get(made["ID"])
