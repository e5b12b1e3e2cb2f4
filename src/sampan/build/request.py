"""What a build is asked, as frozen data: every option once, defaults filled in. How it came in is api's matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sampan.build.steps import NO_LIMITS, StepLimits
from sampan.image.auth import Credentials


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build; `dockerfile` is a path in the context."""

    dockerfile: str = "Dockerfile"
    left_out: tuple[str, ...] | None = None  # what no step sees of the context; None: as .dockerignore in it says
    remote: str = ""  # the context is fetched from there
    contexts: Mapping[str, str] = field(default_factory=dict)  # images that stand for names of stages and images
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
    force_remove: bool = False  # those of the step that failed too
    limits: StepLimits = NO_LIMITS
    host_network: bool = False  # a step may ask for the machine's network, whatever that of the others is
    events: bool = False  # tell what stages do as they do it, each event with its stage
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    agents: Mapping[str, str] = field(default_factory=dict)  # sockets of ssh agents on this machine, by id
    credentials: Mapping[str, Credentials] = field(default_factory=dict)  # by registry host
