"""Volumes: find, list, make and remove them (docker-py's VolumeCollection and Volume)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sampan.client.documents import Pruned
from sampan.client.filters import filters_text
from sampan.client.noun import Noun
from sampan.client.session import Session, quote


class Volume(Noun):
    """A volume as it was when it was looked at."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<volume {self.name}>"

    @property
    def name(self) -> str:
        """The name, which is its id too."""
        return str(self.attrs["Name"])

    @property
    def id(self) -> str:
        """The name."""
        return self.name

    def remove(self, *, force: bool = False) -> None:
        """Remove it with all that is in it. Raises ConflictError: a container uses it."""
        self.session.call("DELETE", f"/volumes/{quote(self.name)}", {"force": force})

    def rename(self, name: str) -> None:
        """Give it another name (beyond docker-py). Raises ConflictError: a container has it, or the name is taken."""
        self.attrs = self.session.call("POST", f"/volumes/{quote(self.name)}/rename", {"name": name})

    def clone(self, name: str = "", *, pause: bool = False) -> Volume:
        """A new volume with its content (beyond docker-py); with `pause` the containers that have it stand still."""
        return Volume(
            self.session,
            self.session.call("POST", f"/volumes/{quote(self.name)}/clone", {"name": name, "pause": pause}),
        )

    def snapshot(self, name: str = "", *, pause: bool = False) -> str:
        """Keep its content as it is now (beyond docker-py); the snapshot's name, by default made of the time."""
        return str(
            self.session.call("POST", f"/volumes/{quote(self.name)}/snapshots", {"name": name, "pause": pause})["Name"]
        )

    def snapshots(self) -> list[dict[str, str]]:
        """Its snapshots, the oldest first, as Name and CreatedAt (beyond docker-py)."""
        found: list[dict[str, str]] = self.session.call("GET", f"/volumes/{quote(self.name)}/snapshots")
        return found

    def restore(self, snapshot: str) -> None:
        """Put a snapshot's content back (beyond docker-py). Raises ConflictError: a running container has it."""
        self.session.call("POST", f"/volumes/{quote(self.name)}/snapshots/{quote(snapshot)}/restore")

    def forget(self, snapshot: str) -> None:
        """Remove a snapshot (beyond docker-py)."""
        self.session.call("DELETE", f"/volumes/{quote(self.name)}/snapshots/{quote(snapshot)}")

    def export(self, *, pause: bool = False) -> Iterator[bytes]:
        """Its content as a tar archive, in pieces (beyond docker-py)."""
        return self.session.request("GET", f"/volumes/{quote(self.name)}/export", {"pause": pause}).pieces()

    def reload(self) -> None:
        """Look again."""
        self.attrs = self.session.call("GET", f"/volumes/{quote(self.name)}")


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes of one daemon."""

    session: Session

    def get(self, name: str) -> Volume:
        """The volume with this name. Raises NotFoundError: there is none."""
        return Volume(self.session, self.session.call("GET", f"/volumes/{quote(name)}"))

    def list(self, filters: Mapping[str, object] | None = None) -> list[Volume]:
        """The volumes there are."""
        found = self.session.call("GET", "/volumes", {"filters": filters_text(filters)})
        return [Volume(self.session, document) for document in found.get("Volumes") or []]

    def create(
        self,
        name: str | None = None,
        *,
        driver: str | None = None,
        driver_opts: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> Volume:
        """Make one; without a name it gets one."""
        asked = {"Name": name, "Driver": driver, "DriverOpts": driver_opts, "Labels": labels}
        body = {key: value for key, value in asked.items() if value is not None}
        return Volume(self.session, self.session.call("POST", "/volumes/create", None, body))

    def import_archive(
        self, data: bytes | Iterable[bytes], name: str = "", *, labels: dict[str, str] | None = None
    ) -> Volume:
        """A new volume with what a tar archive has (beyond docker-py). Raises ConflictError: the name is taken."""
        query = {"name": name, "labels": json.dumps(labels or {})}
        headers = {"Content-Type": "application/x-tar"}
        response = self.session.request("POST", "/volumes/import", query, data, headers)
        return Volume(self.session, json.loads(response.read()))

    def prune(self, filters: Mapping[str, object] | None = None) -> Pruned:
        """Remove those that no container uses."""
        found: Pruned = self.session.call("POST", "/volumes/prune", {"filters": filters_text(filters)})
        return found
