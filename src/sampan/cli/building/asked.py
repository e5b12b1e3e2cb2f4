"""What `sampan build` asks of the daemon: the query and headers of POST /build from the command line's options."""

from __future__ import annotations

import posix
from binascii import b2a_base64

from sampan.cli.building.paths import decoded, encoded, exists, is_file
from sampan.cli.grammar import UsageError
from sampan.cli.settings import proxy_variables, settings
from sampan.client.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.building.context import Context
    from sampan.cli.grammar import Arguments
    from sampan.client.session import QueryValue

_NUMBERS = {
    "memory": "memory",
    "memory-swap": "memswap",
    "cpu-shares": "cpushares",
    "cpu-period": "cpuperiod",
    "cpu-quota": "cpuquota",
    "shm-size": "shmsize",
}
_TEXTS = {
    "target": "target",
    "platform": "platform",
    "network": "networkmode",
    "cpuset-cpus": "cpusetcpus",
    "cpuset-mems": "cpusetmems",
    "cgroup-parent": "cgroupparent",
    "isolation": "isolation",
}
_LISTS = {
    "tag": "t",
    "no-cache-filter": "nocachefilter",
    "security-opt": "securityopt",
}
# options that ask for what no daemon of this kind makes, and what to do instead
ABSENT = {
    "annotation": "labels do the same for one image: --label",
    "attest": "leave it out",
    "sbom": "run an SBOM scanner over the image that was built",
    "provenance": "leave it out, or say --provenance=false",
    "allow": "run the command in a container of your own: `sampan run --privileged`",
}
_OF_SECRETS = ("id", "src", "source", "env", "type")
_OFF = frozenset({"", "false", "0", "disabled=true"})


def is_quiet(arguments: Arguments) -> bool:
    """Whether a build that succeeds says nothing but its image."""
    return arguments.flag("quiet") or arguments.text("progress") == "quiet"


def query_of(arguments: Arguments, context: Context, host: str) -> dict[str, QueryValue]:
    """The query; `host` is the daemon's address, which proxy settings may name. UsageError for what cannot be meant."""
    for name, remedy in ABSENT.items():
        given = arguments.items(name) if name not in {"sbom", "provenance"} else [arguments.text(name)]
        if any(value not in _OFF for value in given):
            raise UsageError(f"--{name} is not there", remedy=remedy, code=1)
    query: dict[str, QueryValue] = {
        "remote": context.remote or None,
        "dockerfile": context.dockerfile or None,
        "dockerfilesent": True if context.remote and context.body is not None else None,
        "leaveout": None if context.left_out is None else dumps(context.left_out).decode(),
        "nocache": arguments.flag("no-cache"),
        "pull": arguments.flag("pull"),
        "squash": arguments.flag("squash"),
        "forcerm": arguments.flag("force-rm"),
        "rm": "1" if arguments.flag("rm") else "0",
        "extrahosts": [_host(text) for text in arguments.items("add-host")],
        "ssh": [_agent(text) for text in arguments.items("ssh")],
        "progress": "events",
        # with it the build is told of when it fails; what becomes of a cache is told on the way
        "q": is_quiet(arguments) and not arguments.items("cache-to"),
    }
    for name, key in _LISTS.items():
        query[key] = [part for text in arguments.items(name) for part in _parts(name, text)]
    for name, key in _TEXTS.items():
        query[key] = arguments.text(name) or None
    for name, key in _NUMBERS.items():
        query[key] = arguments.number(name) or None
    documents = {
        "buildargs": _build_args(arguments.items("build-arg"), host),
        "labels": _pairs("label", arguments.items("label")),
        "ulimits": _ulimits(arguments.items("ulimit")),
    }
    query |= {key: dumps(value).decode() for key, value in documents.items() if value}
    return query


def _ulimits(texts: list[str]) -> list[dict[str, Any]]:
    if not texts:
        return []
    from sampan.cli.request.policy import read_ulimit

    return [read_ulimit(text) for text in texts]


def headers_of(arguments: Arguments) -> dict[str, str]:
    """The headers: logins of registries, and the secrets of the build."""
    headers = {"Content-Type": "application/x-tar"}
    if logins := _logins():
        headers["X-Registry-Config"] = _base64(dumps(logins)).translate({43: "-", 47: "_"})
    if found := dict(_secret(text) for text in arguments.items("secret")):
        encoded = {name: _base64(content) for name, content in found.items()}
        headers["X-Sampan-Secrets"] = _base64(dumps(encoded))
    return headers


def _base64(content: bytes) -> str:
    """As base64.b64encode gives it, whose module costs 5 ms."""
    return b2a_base64(content, newline=False).decode()


def _parts(name: str, text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if name == "no-cache-filter" else [text]


def _host(text: str) -> str:
    """NAME=ADDRESS or NAME:ADDRESS as the daemon takes it."""
    name, mark, address = text.partition("=")
    if not mark:
        name, mark, address = text.partition(":")
    if not name or not address:
        raise UsageError(f"--add-host {text!r} names no address", remedy="write NAME:ADDRESS", code=1)
    return f"{name}:{address}"


def _pairs(option: str, texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name:
            raise UsageError(f"--{option} {text!r} has no name", remedy="write NAME=VALUE", code=1)
        _need_text(option, name, value)
        pairs[name] = value
    return pairs


def _need_text(option: str, name: str, value: str) -> None:
    try:
        f"{name}{value}".encode()
    except UnicodeEncodeError:
        shown = encoded(name).decode(errors="backslashreplace")
        raise UsageError(
            f"--{option} {shown} is no UTF-8", remedy="an image's configuration is text: write it in UTF-8", code=1
        ) from None


def _build_args(texts: list[str], host: str) -> dict[str, str | None]:
    """The build arguments: NAME alone is taken from the environment here, and is null when it is not set there."""
    values: dict[str, str | None] = {}
    for variable in proxy_variables(host):
        name, _, value = variable.partition("=")
        values[name] = value
    for text in texts:
        name, mark, value = text.partition("=")
        if not name:
            raise UsageError(f"--build-arg {text!r} has no name", remedy="write NAME=VALUE", code=1)
        given = value if mark else _variable(name)
        _need_text("build-arg", name, given or "")
        values[name] = given
    return values


def _variable(name: str) -> str | None:
    """What a variable here holds, as text like our arguments are; None when it is not set."""
    return decoded(posix.environ[encoded(name)]) if _is_set(name) else None


def _is_set(variable: str) -> bool:
    return encoded(variable) in posix.environ


def _fields(option: str, text: str) -> dict[str, str]:
    fields = {}
    for part in text.split(","):
        name, mark, value = part.partition("=")
        if not mark:
            raise UsageError(f"--{option} {text!r} is not made of NAME=VALUE", remedy=f"as in --{option} id=a", code=1)
        fields[name.lower()] = value
    return fields


def _secret(text: str) -> tuple[str, bytes]:
    """--secret id=NAME[,src=FILE|,env=VARIABLE]: its name and content; without a source the variable, else the file."""
    fields = _fields("secret", text)
    for key in fields:
        if key not in _OF_SECRETS:
            raise UsageError(f"--secret {text!r}: {key!r} is not there", remedy=", ".join(_OF_SECRETS), code=1)
    name = fields.get("id", "")
    if not name:
        raise UsageError(
            f"--secret {text!r} has no id", remedy="write id=NAME,src=FILE or id=NAME,env=VARIABLE", code=1
        )
    path = fields.get("src") or fields.get("source") or ""
    variable = fields.get("env", "")
    if fields.get("type") == "env" and not variable:
        variable, path = path or name, ""
    if not variable and not path:
        variable, path = (name, "") if _is_set(name) else ("", name)
    if variable:
        if not _is_set(variable):
            raise UsageError(f"--secret {name}: {variable} is not set", remedy="set it, or name a file by src=", code=1)
        return name, posix.environ[encoded(variable)]
    try:
        with open(path, "rb") as file:
            return name, file.read()
    except OSError as error:
        raise UsageError(f"--secret {name}: {path}: {error.strerror}", remedy="name the file by src=", code=1) from None


def _agent(text: str) -> str:
    """--ssh default|ID[=SOCKET]: the socket of an agent that runs here."""
    name, _, path = text.partition("=")
    path = path or _variable("SSH_AUTH_SOCK") or ""
    if not path:
        raise UsageError(
            f"--ssh {text}: no agent is known", remedy="start one with ssh-agent, or name a socket", code=1
        )
    if is_file(path):
        raise UsageError(f"--ssh {text}: {path} is a key", remedy=f"give it to your agent: ssh-add {path}", code=1)
    from os.path import abspath

    if not exists(path):
        raise UsageError(f"--ssh {text}: {path} is not there", remedy="start an agent, or name its socket", code=1)
    return f"{name or 'default'}={abspath(path)}"


def _logins() -> dict[str, dict[str, str]]:
    """The logins of all registries that docker's settings name."""
    if not any(settings().get(key) for key in ("auths", "credHelpers", "credsStore")):
        return {}
    from sampan.cli.credentials import login_for, registries

    return {name: login.document(name) for name in registries() if (login := login_for(name)).is_given}
