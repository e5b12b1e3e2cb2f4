"""The query and headers of POST /build, read once into a BuildRequest: Docker 1.24 to 1.47."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec

from sampan.api.call import Call
from sampan.build.request import BuildRequest, Given, context_name
from sampan.build.steps import StepLimits, Ulimit
from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.image.auth import Credentials
from sampan.image.platforms import parse_platform
from sampan.wire import build as wire

SECRETS_HEADER = "X-Sampan-Secrets"  # beyond Docker, whose own builder has none: base64 of JSON, id -> base64
_CLASSIC, _BUILDKIT = "1", "2"
_HUB = frozenset({"https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"})


def build_request(call: Call) -> BuildRequest:
    """What is asked. Raises InvalidArgument for values that are none, NotImplementedHere for a build of a session's."""
    _refuse_others(call)
    query = call.request.query
    return BuildRequest(
        dockerfile=call.text("dockerfile") or "Dockerfile",
        left_out=_json(call, "leaveout", tuple[str, ...], ()) if call.text("leaveout") else None,
        remote=call.text("remote"),
        contexts=_contexts(call),
        target=call.text("target"),
        tags=tuple(tag for tag in query.getall("t", []) if tag),
        build_args=_build_args(call),
        labels=_labels(call),
        platform=call.text("platform"),
        no_cache=call.flag("nocache"),
        no_cache_stages=tuple(name.lower() for name in query.getall("nocachefilter", []) if name),
        pull=call.flag("pull"),
        cache_from=_json(call, "cachefrom", tuple[str, ...], ()),
        cache_to=_cache_to(call.text("cacheto")),
        squash=call.flag("squash"),
        remove=call.flag("rm", default=True),
        force_remove=call.flag("forcerm"),
        limits=_limits(call),
        events=call.text("progress") == "events",
        asker=Given(
            _secrets(call.request.headers.get(SECRETS_HEADER, "")),
            _agents(query.getall("ssh", [])),
            registry_logins(call.request.headers.get("X-Registry-Config", "")),
        ),
    )


def _refuse_others(call: Call) -> None:
    """Refuse what asks for another builder, another system, or another way of keeping steps apart."""
    version = call.text("version")
    if version not in {"", _CLASSIC, _BUILDKIT}:
        raise InvalidArgument(f'invalid version "{version}"', remedy="leave it out, or send 1")
    if version == _BUILDKIT and call.text("session"):
        raise NotImplementedHere(
            "a build through a session is asked for on /grpc, not here",
            remedy="install the buildx plugin beside docker, or set DOCKER_BUILDKIT=0",
        )
    isolation = call.text("isolation")
    if isolation.lower() not in {"", "default"}:
        raise InvalidArgument(f'unsupported isolation: "{isolation}"', remedy="leave it out: linux knows only default")
    if call.text("platform"):
        parse_platform(call.text("platform"))


def _build_args(call: Call) -> dict[str, str]:
    """Those with a value: a client sends null for a name whose variable it does not have."""
    given = _json(call, "buildargs", dict[str, str | None], {})
    return {name: value for name, value in given.items() if value is not None}


def _labels(call: Call) -> dict[str, str]:
    """Those given; one that is null is empty, as in Docker."""
    given = _json(call, "labels", dict[str, str | None], {})
    return {name: value or "" for name, value in given.items()}


def _cache_to(text: str) -> str:
    """`cacheto`, beyond Docker: which steps an image of the build's cache is made of."""
    if text not in {"", "min", "max"}:
        raise InvalidArgument(f"invalid cacheto: {text!r}", remedy="min has the target's steps, max all")
    return text


def _contexts(call: Call) -> dict[str, str]:
    """`buildcontexts`, beyond Docker: images and addresses by the names that they stand for."""
    found = _json(call, "buildcontexts", dict[str, str], {})
    return {context_name(name): image for name, image in found.items()}


def _secrets(header: str) -> dict[str, bytes]:
    if not header:
        return {}
    try:
        content = base64.b64decode(header, validate=True)
        return msgspec.json.decode(content, type=dict[str, bytes])
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidArgument(f"the header {SECRETS_HEADER} cannot be read: {error}") from error


def _agents(words: list[str]) -> dict[str, str]:
    """`ssh=ID=SOCKET`, the socket of an agent on this machine."""
    found = {}
    for word in words:
        name, _, path = word.partition("=")
        if not path.startswith("/"):
            raise InvalidArgument(f"invalid ssh {word!r}", remedy="as in default=/run/user/0/agent.sock")
        found[name] = path
    return found


def _limits(call: Call) -> StepLimits:
    query = call.request.query
    return StepLimits(
        memory_bytes=call.number("memory") or 0,
        memory_swap_bytes=call.number("memswap") or 0,
        cpu_shares=call.number("cpushares") or 0,
        cpu_period_us=call.number("cpuperiod") or 0,
        cpu_quota_us=call.number("cpuquota") or 0,
        cpuset_cpus=call.text("cpusetcpus"),
        cpuset_mems=call.text("cpusetmems"),
        cgroup_parent=call.text("cgroupparent"),
        shm_size_bytes=call.number("shmsize") or 0,
        ulimits=tuple(
            Ulimit(one.name, one.soft, one.hard) for one in _json(call, "ulimits", tuple[wire.Ulimit, ...], ())
        ),
        extra_hosts=tuple(host for host in query.getall("extrahosts", []) if host),
        security_opt=tuple(option for option in query.getall("securityopt", []) if option),
        network=call.text("networkmode"),
    )


def _json[T](call: Call, name: str, kind: type[T], default: T) -> T:
    text = call.text(name)
    if not text:
        return default
    try:
        found = msgspec.json.decode(text, type=kind | None)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidArgument(f"error reading {name}: {error}", remedy="send JSON as Docker's API has it") from error
    return default if found is None else found


def registry_logins(header: str) -> Mapping[str, Credentials]:
    """X-Registry-Config: base64 JSON of logins by registry; what cannot be read counts as none, as in moby."""
    if not header:
        return {}
    try:
        content = base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))
        logins = msgspec.json.decode(content, type=dict[str, wire.Login])
        return {_domain(host): _credentials(login) for host, login in logins.items()}
    except (ValueError, msgspec.MsgspecError):
        return {}


def _credentials(login: wire.Login) -> Credentials:
    username, password = login.username, login.password
    if login.auth and not username:
        username, _, password = base64.b64decode(login.auth).decode().partition(":")
    return Credentials(username, password, login.identitytoken, login.registrytoken)


def _domain(host: str) -> str:
    if host in _HUB:
        return "docker.io"
    return host.removeprefix("https://").removeprefix("http://").split("/")[0]
