"""Containers of a test, as places in a network to talk from."""

from __future__ import annotations

import json
import os
import socket
from typing import Any
from urllib.parse import quote

from tests.engine_process import EngineProcess
from tests.private_network import Place, PrivateNetwork

BRIDGE = {"NetworkMode": "default"}


class Containers:
    """Containers of one test, as places to talk from; removed when it ends."""

    def __init__(self, engine: EngineProcess) -> None:
        self.engine = engine
        self._places: list[Place] = []
        self.names: list[str] = []

    def run(self, name: str, *ports: str, networks: dict[str, Any] | None = None, **host: Any) -> Place:
        """A container that sleeps; ports as "127.0.0.1:8080:80/tcp" without a default for any part."""
        bindings: dict[str, list[dict[str, str]]] = {}
        for text in ports:
            address, host_port, port = text.rsplit(":", 2)
            bindings.setdefault(port, []).append({"HostIp": address.strip("[]"), "HostPort": host_port})
        self.names.append(name)
        config = {"NetworkingConfig": {"EndpointsConfig": networks}} if networks else {}
        self.engine.run(name, "sleep", "300", host={**BRIDGE, "PortBindings": bindings, **host}, **config)
        return self.place(name)

    def place(self, name: str) -> Place:
        pid = self.engine.inspect(name)["State"]["Pid"]
        place = Place(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        self._places.append(place)
        return place

    def remove(self, name: str) -> None:
        self.names.remove(name)
        self.engine.request("DELETE", f"/containers/{name}?force=1")

    def close(self) -> None:
        while self._places:
            os.close(self._places.pop().netns_fd)
        while self.names:
            self.engine.request("DELETE", f"/containers/{self.names.pop()}?force=1")


def address_of(engine: EngineProcess, name: str, *, v6: bool = False) -> str:
    found: str = engine.inspect(name)["NetworkSettings"]["GlobalIPv6Address" if v6 else "IPAddress"]
    return found


def veths(network: PrivateNetwork) -> set[str]:
    return {name for name in network.links() if name.startswith("sp")}


def refuses(place: Place, address: str, port: int, kind: int = socket.SOCK_STREAM) -> bool:
    """Whether nobody answers there, within a time that says little of who answers late: not for `not refuses(…)`."""
    try:
        place.ask(address, port, kind, timeout_s=2)
    except OSError:
        return True
    return False


def ip_in(engine: EngineProcess, container: str, network: str, key: str = "IPAddress") -> str:
    found: str = engine.inspect(container)["NetworkSettings"]["Networks"][network][key]
    return found


class Networks:
    """Networks of one test, removed when it ends."""

    def __init__(self, engine: EngineProcess) -> None:
        self.engine = engine
        self.names: list[str] = []

    def create(self, name: str, **asked: Any) -> str:
        self.names.append(name)
        found: str = self.engine.json("POST", "/networks/create", {"Name": name, **asked}, expect=201)["Id"]
        return found

    def connect(self, name: str, container: str, **asked: Any) -> None:
        body = {"Container": container, "EndpointConfig": asked}
        self.engine.json("POST", f"/networks/{name}/connect", body, expect=200)

    def disconnect(self, name: str, container: str) -> None:
        self.engine.json("POST", f"/networks/{name}/disconnect", {"Container": container}, expect=200)

    def inspect(self, name: str) -> Any:
        return self.engine.json("GET", f"/networks/{name}")

    def listed(self, **filters: list[str]) -> set[str]:
        text = quote(json.dumps(filters))
        return {network["Name"] for network in self.engine.json("GET", f"/networks?filters={text}")}
