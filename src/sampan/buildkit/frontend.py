"""What a client asks of `dockerfile.v0`: its options, read once into a BuildRequest (BuildKit's frontend/dockerui)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from sampan.build.request import BuildRequest, context_name
from sampan.build.steps import StepLimits, Ulimit
from sampan.errors import Forbidden, InvalidArgument, NotImplementedHere
from sampan.image.platforms import parse_platform

NAME = "dockerfile.v0"
SUBREQUEST = "requestid"  # the option that asks a question instead of a build
_PULL = {"": False, "default": False, "local": False, "pull": True}
_NETWORKS = {"": "", "sandbox": "", "host": "host", "none": "none"}
_IMAGE = "docker-image:"
_SESSION_ID = "local-sessionid:"
_SYNTAX = "BUILDKIT_SYNTAX"
_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"})
_HOST_NETWORK = "network.host"


class _CacheImport(msgspec.Struct, rename="pascal"):
    type: str = ""
    attrs: dict[str, str] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of a build come from: names of directories of the client's, some in `sessions` of their own.

    `remote` is an address that is fetched in place of the directory `context`.
    """

    filename: str
    context: str
    dockerfile: str
    is_dockerfile_local: bool
    remote: str = ""
    subdirectory: str = ""
    sessions: Mapping[str, str] = field(default_factory=dict)


def refuse_others(name: str, llb: Sequence[bytes]) -> None:
    """Raises NotImplementedHere for a low-level build, and for another front end; "" is none."""
    if llb:
        raise NotImplementedHere(
            "low-level builds (LLB) are not carried out here", remedy="build from a Dockerfile that is at the client"
        )
    if name not in {"", NAME}:
        raise NotImplementedHere(f"there is no front end {name}", remedy=f"say {NAME}: a Dockerfile")


def places_of(options: Mapping[str, str]) -> Places:
    """Where the options say that files are."""
    context = options.get("contextkey", "context")
    return Places(
        filename=options.get("filename") or "Dockerfile",
        context=context,
        dockerfile=options.get("dockerfilekey", "dockerfile"),
        is_dockerfile_local="dockerfilekey" in options,
        remote=options.get(context, ""),
        subdirectory=options.get("contextsubdir", ""),
        sessions=_starting(options, _SESSION_ID),
    )


def request_of(
    options: Mapping[str, str], imports: Iterable[Mapping[str, str]], entitlements: Iterable[str] = ()
) -> BuildRequest:
    """The request of these options, caches and rights, without its files.

    Raises InvalidArgument, NotImplementedHere, and Forbidden for a right that no build gets.
    """
    allowed = frozenset(entitlements)
    _refuse_rights(allowed)
    if options.get(SUBREQUEST):
        raise NotImplementedHere(
            f"the subrequest {options[SUBREQUEST]} is not served",
            remedy="`sampan build --check` shows what checks find",
        )
    platform = options.get("platform", "")
    if "," in platform:
        raise NotImplementedHere("a build is for one platform", remedy="build for each platform by itself")
    if platform:
        parse_platform(platform)
    no_cache = options.get("no-cache")
    arguments = _starting(options, "build-arg:")
    return BuildRequest(
        target=options.get("target", ""),
        platform=platform,
        build_args=_both_cases({name: value for name, value in arguments.items() if name != _SYNTAX}),
        labels=_starting(options, "label:"),
        no_cache=no_cache == "",
        no_cache_stages=tuple(name.lower() for name in (no_cache or "").split(",") if name),
        pull=_choice(options, "image-resolve-mode", _PULL),
        cache_from=tuple(_cache_from(options, imports)),
        cache_alone=False,
        force_remove=True,  # nobody expects containers of builds
        limits=_limits(options),
        host_network=_HOST_NETWORK in allowed,
        events=True,
    )


def _both_cases(arguments: dict[str, str]) -> dict[str, str]:
    """With each proxy by both of its names: programs look for one or the other."""
    for name, value in list(arguments.items()):
        if name.lower() in _PROXIES:
            arguments.setdefault(name.lower(), value)
            arguments.setdefault(name.upper(), value)
    return arguments


def _refuse_rights(allowed: frozenset[str]) -> None:
    """Raises Forbidden for all but the right to the machine's network."""
    for right in sorted(allowed - {_HOST_NETWORK}):
        raise Forbidden(
            f"granting entitlement {right} is not allowed: no step of a build gets more than a container's rights",
            remedy="leave --allow out, and do what needs it in a container that is run with --privileged",
        )


def named_contexts(options: Mapping[str, str]) -> dict[str, str]:
    """Named contexts, as what stands for them is written: `docker-image://…`, `local:NAME`, an address."""
    found = _starting(options, "context:")
    return {_context_name(name): value for name, value in found.items()}


def image_of(context: str) -> str:
    """The image that a named context is; "" for what is no image."""
    return context.removeprefix(_IMAGE).removeprefix("//") if context.startswith(_IMAGE) else ""


def _context_name(name: str) -> str:
    """The name alone: a client may add the platform that it is meant for."""
    return context_name(name.partition("::")[0])


def _limits(options: Mapping[str, str]) -> StepLimits:
    return StepLimits(
        memory_bytes=_number(options, "memory"),
        memory_swap_bytes=_number(options, "memswap"),
        cpu_shares=_number(options, "cpushares"),
        cpu_period_us=_number(options, "cpuperiod"),
        cpu_quota_us=_number(options, "cpuquota"),
        cpuset_cpus=options.get("cpusetcpus", ""),
        cpuset_mems=options.get("cpusetmems", ""),
        cgroup_parent=options.get("cgroup-parent", ""),
        shm_size_bytes=_number(options, "shm-size"),
        ulimits=tuple(map(_ulimit, _fields(options, "ulimit"))),
        extra_hosts=tuple(one.replace("=", ":", 1) for one in _fields(options, "add-hosts")),
        network=_choice(options, "force-network-mode", _NETWORKS),
    )


def _cache_from(options: Mapping[str, str], imports: Iterable[Mapping[str, str]]) -> Iterable[str]:
    """The names of images whose steps count: the caches of a registry, as far as they are images that are here."""
    text = options.get("cache-imports", "")
    try:
        said = msgspec.json.decode(text, type=list[_CacheImport]) if text else []
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"cache-imports cannot be read: {error}") from error
    yield from (one.attrs["ref"] for one in said if one.attrs.get("ref"))
    yield from (one["ref"] for one in imports if one.get("ref"))
    yield from filter(None, options.get("cache-from", "").split(","))


def _starting(options: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in options.items() if key.startswith(prefix)}


def _choice[T](options: Mapping[str, str], name: str, choices: Mapping[str, T]) -> T:
    value = options.get(name, "")
    if value not in choices:
        raise InvalidArgument(f"invalid {name}: {value!r}", remedy=f"say {' or '.join(filter(None, choices))}")
    return choices[value]


def _number(options: Mapping[str, str], name: str) -> int:
    text = options.get(name) or "0"
    if not text.removeprefix("-").isdecimal():
        raise InvalidArgument(f"invalid {name}: {text!r}", remedy="give a number")
    return int(text)


def _fields(options: Mapping[str, str], name: str) -> list[str]:
    text = options.get(name, "")
    try:
        return next(csv.reader([text])) if text else []
    except csv.Error as error:
        raise InvalidArgument(f"invalid {name}: {error}", remedy="give a list in one line, as CSV has it") from None


def _ulimit(text: str) -> Ulimit:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    try:
        return Ulimit(name, int(soft), int(hard or soft))
    except ValueError:
        raise InvalidArgument(f"invalid ulimit: {text!r}", remedy="as in nofile=1024:2048") from None
