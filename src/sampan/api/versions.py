"""Which API versions are spoken, and what each of them adds and drops, as a table.

A request is answered as the version in its path would have it; without one, as the newest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sampan.errors import InvalidArgument

Version = tuple[int, int]
MINIMUM: Version = (1, 24)
MAXIMUM: Version = (1, 47)
# The version of Docker's engine whose behaviour is ours; some clients look at it.
ENGINE = "26.1.5"
_PATH = re.compile(r"/v(\d+)\.(\d+)(/.*)")


@dataclass(frozen=True, slots=True)
class Change:
    """From `since` on, `what` is so."""

    since: Version
    what: str


MULTIPLEXED_CONTENT_TYPE = Change((1, 42), "streams without a terminal have a content type of their own")
NO_VIRTUAL_SIZE = Change((1, 44), "images have no VirtualSize")
NO_ALIAS_OF_ID = Change((1, 45), "a container's short id and host name are names of an endpoint, not its aliases")
ERRORS_TOGETHER = Change((1, 44), "all problems of a request are told together")
CONSOLE_SIZE = Change((1, 42), "create and exec take a console size")
SHARED_SIZE_ON_DEMAND = Change((1, 42), "images tell their shared size only when asked")
PRUNE_ANONYMOUS_VOLUMES = Change((1, 42), "prune removes anonymous volumes alone unless told otherwise")
NETWORK_ENABLE_IPV4 = Change((1, 48), "networks tell whether they have IPv4")
IMAGE_MANIFESTS = Change((1, 47), "images may tell their manifests")


_SPOKEN = {f"v{MINIMUM[0]}.{minor}": (MINIMUM[0], minor) for minor in range(MINIMUM[1], MAXIMUM[1] + 1)}


def has(version: Version, change: Change) -> bool:
    """Whether `change` holds at `version`."""
    return version >= change.since


def split(path: str) -> tuple[Version, str]:
    """The version that a path asks for, and the path without it.

    Raises InvalidArgument for a version that is not spoken, in the words that clients look for.
    """
    first, slash, rest = path[1:].partition("/")
    known = _SPOKEN.get(first)
    if known is not None and slash and path[0] == "/":
        return known, f"/{rest}"
    match = _PATH.fullmatch(path)
    if not match:
        return MAXIMUM, path
    version = (int(match[1]), int(match[2]))
    if version < MINIMUM:
        raise InvalidArgument(
            f"client version {text(version)} is too old. Minimum supported API version is {text(MINIMUM)}, "
            "please upgrade your client to a newer version",
            remedy="upgrade the client",
        )
    if version > MAXIMUM:
        raise InvalidArgument(
            f"client version {text(version)} is too new. Maximum supported API version is {text(MAXIMUM)}",
            remedy=f"set DOCKER_API_VERSION={text(MAXIMUM)}",
        )
    return version, match[3]


def text(version: Version) -> str:
    """As in a path: "1.47"."""
    return f"{version[0]}.{version[1]}"
