"""What a build is asked, as frozen data: every option once, defaults filled in. How it came in is api's matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sampan.build.steps import NO_LIMITS, StepLimits
from sampan.image.auth import ANONYMOUS, Credentials

NOTHING = "scratch"  # the name of what has no files


class Asker(Protocol):
    """Whoever asked for a build, for what only that one has. `was_asked` says that a step wanted something."""

    was_asked: bool

    async def secret(self, name: str) -> bytes | None:
        """A secret by its id; None when there is none."""

    async def agent(self, name: str) -> str | None:
        """A socket on this machine that leads to the ssh agent of this id; None when there is none."""

    async def login(self, domain: str) -> Credentials:
        """What to log in with at a registry."""


@dataclass(slots=True)
class Given:
    """All that there is came with the request: secrets and sockets by id, credentials by registry."""

    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    agents: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, Credentials] = field(default_factory=dict, repr=False)
    was_asked: bool = False

    async def secret(self, name: str) -> bytes | None:
        """A secret by its id."""
        self.was_asked = True
        return self.secrets.get(name)

    async def agent(self, name: str) -> str | None:
        """A socket by its id."""
        self.was_asked = True
        return self.agents.get(name)

    async def login(self, domain: str) -> Credentials:
        """Credentials by registry."""
        return self.credentials.get(domain, ANONYMOUS)


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build; `dockerfile` is a path in the context."""

    dockerfile: str = "Dockerfile"
    left_out: tuple[str, ...] | None = None  # what no step sees of the context; None: as .dockerignore in it says
    remote: str = ""  # the context is fetched from there
    given: bytes = b""  # the Dockerfile for a context that is fetched, in place of one that is in it
    contexts: Mapping[str, str] = field(default_factory=dict)  # images and addresses that stand for such names
    unpacks_contexts: bool = True  # archives at those addresses; otherwise each is a file
    target: str = ""
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    no_cache: bool = False
    no_cache_stages: tuple[str, ...] = ()
    pull: bool = False
    cache_from: tuple[str, ...] = ()
    cache_alone: bool = True  # with cache_from nothing counts but that, as for Docker's own builder
    cache_to: str = ""  # "min": make an image of the cache of the target's steps; "max": of all steps
    squash: bool = False
    remove: bool = True  # the containers of steps that went well
    keeps_context: bool = False  # its files are of use when the build is over, so no step takes them away
    force_remove: bool = False  # those of the step that failed too
    limits: StepLimits = NO_LIMITS
    host_network: bool = False  # a step may ask for the machine's network, whatever that of the others is
    events: bool = False  # tell what stages do as they do it, each event with its stage
    asker: Asker = field(default_factory=Given, repr=False, compare=False)

    def context_of(self, name: str) -> str:
        """What stands for the name of a stage or image; "" when nothing does."""
        return self.contexts.get(context_name(name), "")


def context_name(name: str) -> str:
    """The form in which the names of `contexts` are written and looked up."""
    return name.lower().removesuffix(":latest")
