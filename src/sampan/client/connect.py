"""The client itself: `connect` gives one, and from it hang containers, images, networks, volumes, as in docker-py."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from sampan.client.containers import Containers
from sampan.client.documents import DiskUsage, Event, SystemInfo, Version
from sampan.client.filters import filters_text
from sampan.client.images import Images
from sampan.client.lookup import find_endpoint
from sampan.client.moments import moment_text
from sampan.client.networks import Networks
from sampan.client.secrets import Secrets
from sampan.client.session import Session
from sampan.client.volumes import Volumes


def connect(host: str = "", *, context: str = "", start: bool = True, version: str = "") -> Client:
    """A client of the daemon at `host` ("unix:///path", "tcp://host:port").

    Without a host or context it is the one that SAMPAN_HOST or DOCKER_HOST names, else sampan's own, which is started
    when no one listens, unless `start` is False. Nothing is sent before the first call. Raises ClientError: the host
    cannot be understood.
    """
    endpoint, default = find_endpoint(host, context)
    return Client(Session(endpoint, may_start=start and default, version=version))


class Client:
    """Docker-py's DockerClient. Usable by several threads, and as a context manager."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @cached_property
    def containers(self) -> Containers:
        """The containers there are, and ways to make more."""
        return Containers(self.session)

    @cached_property
    def images(self) -> Images:
        """The images there are, and ways to get more."""
        return Images(self.session)

    @cached_property
    def networks(self) -> Networks:
        """The networks there are."""
        return Networks(self.session)

    @cached_property
    def volumes(self) -> Volumes:
        """The volumes there are."""
        return Volumes(self.session)

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets there are."""
        return Secrets(self.session)

    @cached_property
    def configs(self) -> Secrets:
        """The configs there are."""
        return Secrets(self.session, "config")

    def events(
        self,
        *,
        since: str | float | datetime | None = None,
        until: str | float | datetime | None = None,
        filters: Mapping[str, object] | None = None,
    ) -> Iterator[Event]:
        """What happens, as it happens; datetimes or seconds since 1970 bound it."""
        query = {"since": moment_text(since), "until": moment_text(until), "filters": filters_text(filters)}
        return self.session.stream("GET", "/events", query)

    def info(self) -> SystemInfo:
        """What the engine and its host are."""
        found: SystemInfo = self.session.call("GET", "/info")
        return found

    def version(self) -> Version:
        """The daemon's versions."""
        found: Version = self.session.call("GET", "/version")
        return found

    def df(self) -> DiskUsage:
        """What takes how much disk."""
        found: DiskUsage = self.session.call("GET", "/system/df")
        return found

    def ping(self) -> bool:
        """Whether the daemon answers as it should."""
        return self.session.request("GET", "/_ping").read() == b"OK"

    def login(self, username: str, password: str, registry: str = "") -> dict[str, Any]:
        """Have the daemon try credentials at a registry."""
        document = {"username": username, "password": password, "serveraddress": registry}
        found: dict[str, Any] = self.session.call("POST", "/auth", None, document)
        return found

    def close(self) -> None:
        """Close the connections that are kept."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<sampan client of {json.dumps(str(self.session.endpoint))}>"
