"""Docker's client settings in config.json, of which a few are honoured: psFormat, detachKeys, proxies and the like."""

from __future__ import annotations

import posix

from sampan.client.endpoint import environment
from sampan.client.json_text import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "noProxy": "NO_PROXY",
    "allProxy": "ALL_PROXY",
}
_read: dict[str, Any] | None = None


def settings() -> dict[str, Any]:
    """The whole document; empty when there is no file, or none that can be read. Read once."""
    global _read  # noqa: PLW0603 - one process is one command
    if _read is None:
        _read = _settings()
    return _read


def _settings() -> dict[str, Any]:
    path = f"{environment('DOCKER_CONFIG') or environment('HOME') + '/.docker'}/config.json"
    try:
        file = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return {}
    try:
        text = b""
        while data := posix.read(file, 65536):
            text += data
        found = loads(text)
    except (OSError, ValueError):
        return {}
    finally:
        posix.close(file)
    return found if isinstance(found, dict) else {}


def setting(name: str) -> str:
    """One setting that is a text; "" when it is not set."""
    value = settings().get(name)
    return value if isinstance(value, str) else ""


def proxy_variables(host: str) -> list[str]:
    """The environment variables that "proxies" sets in every container that the daemon at `host` makes."""
    proxies = settings().get("proxies")
    if not isinstance(proxies, dict):
        return []
    chosen = proxies.get(host) or proxies.get("default")
    if not isinstance(chosen, dict):
        return []
    found = []
    for key, name in _PROXIES.items():
        if chosen.get(key):
            found += [f"{name}={chosen[key]}", f"{name.lower()}={chosen[key]}"]
    return found
