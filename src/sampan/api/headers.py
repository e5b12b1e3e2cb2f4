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


def is_experimental() -> bool:
    """Whether the daemon calls itself experimental, as dockerd does with `--experimental`."""
    return HEADERS["Docker-Experimental"] == "true"


def be_experimental() -> None:
    """Say so, before the first answer. Docker's CLI asks for it before `build --squash`."""
    HEADERS["Docker-Experimental"] = "true"
