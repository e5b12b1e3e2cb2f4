"""The headers that every plain answer has."""

from __future__ import annotations

from sampan.api import versions

HEADERS = {
    "Api-Version": versions.text(versions.MAXIMUM),
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"Docker/{versions.ENGINE} (linux)",
}
PING_HEADERS = {
    "Swarm": "inactive",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
}
