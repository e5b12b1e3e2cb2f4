"""Volume plugins: programs that keep volumes, asked over a unix socket by Docker's plugin protocol.

Found by name in directories, as Docker finds its legacy plugins: NAME.sock, NAME/NAME.sock, NAME.spec with an address,
NAME.json. Every call has a time limit, an answer has a largest size, and what a plugin does wrong is said with its
name. Synchronous: for threads. (https://docs.docker.com/engine/extend/plugin_api/ and plugins_volume/)
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sampan.errors import NotFound, NotImplementedHere, SystemFailure, Unavailable

DIRECTORIES = ("/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_TYPE = "application/vnd.docker.plugins.v1.2+json"
_LARGEST = 4 << 20
_DRIVER = "VolumeDriver"


@dataclass(frozen=True, slots=True)
class PluginVolume:
    """A volume as its plugin tells it; what it does not tell is empty."""

    name: str
    mountpoint: str = ""
    created_at: str = ""
    status: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plugins:
    """The volume plugins in some directories; `timeout_s` is how long one may take to answer."""

    directories: tuple[str, ...] = DIRECTORIES
    timeout_s: float = 30.0

    def names(self) -> list[str]:
        """Of all plugins that there may be, whether they answer or not."""
        found = set()
        for directory in self.directories:
            for entry in _entries(directory):
                name, _, kind = entry.rpartition(".")
                if kind in {"sock", "spec", "json"} and _NAME.fullmatch(name):
                    found.add(name)
                elif _is_socket(f"{directory}/{entry}/{entry}.sock"):
                    found.add(entry)
        return sorted(found)

    def create(self, plugin: str, name: str, options: dict[str, str]) -> None:
        """Make a volume; one that is there already is the plugin's to judge."""
        self._call(plugin, "Create", {"Name": name, "Opts": options})

    def remove(self, plugin: str, name: str) -> None:
        """Remove a volume."""
        self._call(plugin, "Remove", {"Name": name})

    def mount(self, plugin: str, name: str, user: str) -> str:
        """Make a volume's content be somewhere on the host, for one user of it; gives the directory."""
        return _path(plugin, "Mount", self._call(plugin, "Mount", {"Name": name, "ID": user}))

    def unmount(self, plugin: str, name: str, user: str) -> None:
        """Say that this user needs it no more."""
        self._call(plugin, "Unmount", {"Name": name, "ID": user})

    def path(self, plugin: str, name: str) -> str:
        """Where a volume's content is now; "" when it is nowhere."""
        return str(self._call(plugin, "Path", {"Name": name}).get("Mountpoint") or "")

    def get(self, plugin: str, name: str) -> PluginVolume:
        """What the plugin knows of a volume. Raises NotFound when it knows none."""
        try:
            answer = self._call(plugin, "Get", {"Name": name})
        except SystemFailure as error:
            raise NotFound(f"get {name}: no such volume", remedy=str(error)) from error
        return _volume(plugin, "Get", answer.get("Volume"))

    def list(self, plugin: str) -> list[PluginVolume]:
        """All volumes of a plugin."""
        found = self._call(plugin, "List", {}).get("Volumes") or []
        if not isinstance(found, list):
            raise _nonsense(plugin, "List", found)
        return [_volume(plugin, "List", entry) for entry in found]

    def scope(self, plugin: str) -> str:
        """Whether a volume is the same on other machines: "global", or "local"."""
        try:
            capabilities = self._call(plugin, "Capabilities", {}).get("Capabilities")
        except SystemFailure:  # older plugins do not know the question
            return "local"
        scope = capabilities.get("Scope") if isinstance(capabilities, dict) else None
        return "global" if str(scope).lower() == "global" else "local"

    def find(self, plugin: str) -> str:
        """The address of a plugin: unix://PATH or tcp://HOST:PORT. Raises NotFound."""
        if _NAME.fullmatch(plugin):
            for directory in self.directories:
                for path in (f"{directory}/{plugin}.sock", f"{directory}/{plugin}/{plugin}.sock"):
                    if _is_socket(path):
                        return f"unix://{path}"
                for kind in ("spec", "json"):
                    address = _address(f"{directory}/{plugin}.{kind}")
                    if address:
                        return address
        raise NotFound(
            f'error looking up volume plugin {plugin}: plugin "{plugin}" not found',
            remedy=f"see that it runs and has a socket in {self.directories[0] if self.directories else 'a directory'}",
        )

    def _call(self, plugin: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        address = self.find(plugin)
        deadline = time.monotonic() + self.timeout_s
        implements = self._exchange(plugin, address, "Plugin.Activate", None, deadline).get("Implements")
        if not isinstance(implements, list) or _DRIVER not in implements:
            raise NotImplementedHere(
                f"plugin {plugin} keeps no volumes: it implements {implements!r}", remedy="choose another driver"
            )
        answer = self._exchange(plugin, address, f"{_DRIVER}.{verb}", body, deadline)
        if answer.get("Err"):
            raise SystemFailure(f"{_DRIVER}.{verb}: {answer['Err']}", remedy=f"see the log of the plugin {plugin}")
        return answer

    def _exchange(
        self, plugin: str, address: str, method: str, body: dict[str, Any] | None, deadline: float
    ) -> dict[str, Any]:
        connection = _Connection(address, deadline)
        try:
            content = None if body is None else json.dumps(body)
            connection.request("POST", f"/{method}", content, {"Content-Type": _TYPE, "Accept": _TYPE})
            response = connection.getresponse()
            data = b""
            while len(data) <= _LARGEST and (more := response.read1(_LARGEST)):
                data += more
                connection.limit()
        except TimeoutError as error:
            raise Unavailable(
                f"volume plugin {plugin} did not answer {method} within {self.timeout_s:g} s",
                remedy=f"see what it does, or restart it; its address is {address}",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"volume plugin {plugin} does not answer {method}: {error or type(error).__name__}",
                remedy=f"start it; its address is {address}",
            ) from error
        finally:
            connection.close()
        return _document(plugin, method, response.status, data)


class _Connection(http.client.HTTPConnection):
    """HTTP to an address, everything of it before a deadline."""

    def __init__(self, address: str, deadline: float) -> None:
        self._address, self._deadline = address, deadline
        super().__init__("plugin" if address.startswith("unix://") else address.removeprefix("tcp://"))

    def connect(self) -> None:
        if self._address.startswith("unix://"):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.limit()
            self.sock.connect(self._address.removeprefix("unix://"))
        else:
            self.sock = socket.create_connection((self.host, self.port), self._left())
        self.limit()

    def limit(self) -> None:
        """Let the next wait end at the deadline."""
        if self.sock is not None:
            self.sock.settimeout(self._left())

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _document(plugin: str, method: str, status: int, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError):
        document = None
    if len(data) > _LARGEST or not isinstance(document, dict):
        raise _nonsense(plugin, method, data)
    if status != 200 and not document.get("Err"):
        raise SystemFailure(
            f"volume plugin {plugin} answered {method} with HTTP status {status}",
            remedy="see whether it knows Docker's volume plugin protocol",
        )
    return document


def _nonsense(plugin: str, method: str, answer: object) -> SystemFailure:
    return SystemFailure(
        f"volume plugin {plugin} answered {method} with what makes no sense: {str(answer)[:80]!r}",
        remedy="see whether it knows Docker's volume plugin protocol",
    )


def _path(plugin: str, verb: str, answer: dict[str, Any]) -> str:
    path = answer.get("Mountpoint")
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise _nonsense(plugin, f"{_DRIVER}.{verb}", answer)
    return path


def _volume(plugin: str, verb: str, entry: object) -> PluginVolume:
    if not isinstance(entry, dict) or not isinstance(entry.get("Name"), str):
        raise _nonsense(plugin, f"{_DRIVER}.{verb}", entry)
    status = entry.get("Status")
    return PluginVolume(
        entry["Name"],
        str(entry.get("Mountpoint") or ""),
        str(entry.get("CreatedAt") or ""),
        status if isinstance(status, dict) else {},
    )


def _entries(directory: str) -> Iterator[str]:
    try:
        yield from sorted(os.listdir(directory))
    except OSError:
        return


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _address(path: str) -> str:
    """What a .spec or .json file says; "" when there is none. Raises NotImplementedHere for TLS, SystemFailure."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 16).strip()
    except OSError:
        return ""
    if path.endswith(".json"):
        try:
            document = json.loads(text)
            text = str(document["Addr"])
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise SystemFailure(f"the plugin file {path} has no Addr: {error}", remedy="see what it says") from error
        if document.get("TLSConfig"):
            raise NotImplementedHere(
                f"the plugin of {path} wants TLS, which is not spoken with plugins here", remedy="use a unix socket"
            )
    if not text.startswith(("unix:///", "tcp://")):
        raise SystemFailure(f"the plugin file {path} has no address: {text[:80]!r}", remedy="as in unix:///run/x.sock")
    return text
