"""Who the user is to the registry of an image, as commands tell the daemon."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.client.credentials import Login

HUB = "docker.io"


def registry_of(image: str) -> str:
    """The registry that an image's name names: its first part, if it looks like a host."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else HUB


def header_for(image: str) -> dict[str, str]:
    """The X-Registry-Auth header for the registry of an image; empty when nothing is known."""
    registry = registry_of(image)
    login = login_for(registry)
    return {"X-Registry-Auth": login.header(registry)} if login.is_given else {}


def registries() -> list[str]:
    """The registries for which something is kept. Where that cannot be read it is said, and there are none."""
    from sampan.client.credentials import known_registries
    from sampan.client.failure import ClientError

    try:
        return known_registries()
    except ClientError as error:
        sys.stderr.write(f"sampan: not logged in to any registry: {error.sentence}\n")
        return []


def login_for(registry: str) -> Login:
    """What is kept for a registry. Where that cannot be read it is said, and the command goes on as nobody."""
    from sampan.client.credentials import Login, find_login
    from sampan.client.failure import ClientError

    try:
        return find_login(registry)
    except ClientError as error:
        sys.stderr.write(f"sampan: not logged in to {registry}: {error.sentence}\n")
        return Login()
