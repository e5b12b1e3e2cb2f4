"""Instructions of a Dockerfile that change an image's config alone, as `import -c` and `commit -c` take them.

Docker's words for what may be changed and what not. Whole Dockerfiles are build's matter.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from sampan.errors import InvalidArgument
from sampan.image.exposed_ports import exposed_ports
from sampan.linux.signals import signal_number
from sampan.oci.image_spec import ContainerDefaults, Healthcheck

_SHELL = ("/bin/sh", "-c")
_VARIABLE = re.compile(r"\\(.)|'([^']*)'|\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))|(\")", re.DOTALL)
_WORD = re.compile(r"(?:\\.|\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\"'\\])+", re.DOTALL)
_DURATION = re.compile(r"(\d+(?:\.\d*)?)(h|ms|us|µs|ns|m|s)")
_UNITS_NS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1000,
    "µs": 1000,
    "ns": 1,
}
_HEALTH_OPTIONS = {
    "interval": "interval",
    "timeout": "timeout",
    "start-period": "start_period",
    "start-interval": "start_interval",
}


@dataclass(slots=True)
class _Config:
    """The config while it is being changed."""

    defaults: ContainerDefaults
    cmd_is_set: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def set(self, **values: object) -> None:
        self.defaults = msgspec.structs.replace(self.defaults, **values)


def apply_changes(defaults: ContainerDefaults, changes: Iterable[str]) -> ContainerDefaults:
    """The config with the changes made, one instruction a line. Raises InvalidArgument in Docker's words."""
    config = _Config(defaults)
    config.environment = dict(entry.partition("=")[::2] for entry in defaults.env or ())
    for line in "\n".join(changes).replace("\\\n", "").splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if not instruction or instruction.startswith("#"):
            continue
        apply = _INSTRUCTIONS.get(instruction.upper())
        if apply is None:
            raise InvalidArgument(
                f"{instruction} is not a valid change command", remedy=f"use one of {', '.join(_INSTRUCTIONS)}"
            )
        if not rest.strip():
            raise InvalidArgument(f"{instruction.upper()} requires at least one argument")
        apply(config, rest.strip())
    return config.defaults


def _cmd(config: _Config, rest: str) -> None:
    config.set(cmd=_command(rest))
    config.cmd_is_set = True


def _entrypoint(config: _Config, rest: str) -> None:
    config.set(entrypoint=_command(rest))
    if not config.cmd_is_set:
        config.set(cmd=None)


def _env(config: _Config, rest: str) -> None:
    said = _pairs("ENV", rest, config.environment)
    config.environment |= said
    entries = {entry.partition("=")[0]: entry for entry in config.defaults.env or ()}  # one may be a bare name
    entries |= {name: f"{name}={value}" for name, value in said.items()}
    config.set(env=tuple(entries.values()))


def _label(config: _Config, rest: str) -> None:
    config.set(labels={**(config.defaults.labels or {}), **_pairs("LABEL", rest, config.environment)})


def _expose(config: _Config, rest: str) -> None:
    ports = dict(config.defaults.exposed_ports or {})
    for word in rest.split():
        for port in exposed_ports(_expand(word, config.environment)):
            ports[port] = {}
    config.set(exposed_ports=ports)


def _user(config: _Config, rest: str) -> None:
    config.set(user=_expand(rest, config.environment))


def _volume(config: _Config, rest: str) -> None:
    listed = _json_list(rest)
    words = rest.split() if listed is None else listed
    volumes = dict(config.defaults.volumes or {})
    for word in words:
        path = _expand(word, config.environment).strip()
        if not path:
            raise InvalidArgument("VOLUME specified can not be an empty string")
        volumes[path] = {}
    config.set(volumes=volumes)


def _workdir(config: _Config, rest: str) -> None:
    path = _expand(rest, config.environment)
    config.set(working_dir=posixpath.normpath(posixpath.join("/", config.defaults.working_dir, path)))


def _onbuild(config: _Config, rest: str) -> None:
    first = rest.split(maxsplit=1)[0].upper()
    if first == "ONBUILD":
        raise InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if first in {"FROM", "MAINTAINER"}:
        raise InvalidArgument(f"{first} isn't allowed as an ONBUILD trigger")
    config.set(on_build=(*(config.defaults.on_build or ()), rest))


def _stopsignal(config: _Config, rest: str) -> None:
    name = _expand(rest, config.environment)
    if not signal_number(name):
        raise InvalidArgument(f"invalid signal: {name}")
    config.set(stop_signal=name)


def _healthcheck(config: _Config, rest: str) -> None:
    values: dict[str, int] = {}
    words = rest.split()
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0)[2:].partition("=")
        if name == "retries" and value.isdigit():
            values["retries"] = int(value)
        elif name in _HEALTH_OPTIONS:
            values[_HEALTH_OPTIONS[name]] = _duration_ns(name, value)
        else:
            raise InvalidArgument(f"unknown flag or value of HEALTHCHECK: --{name}={value}")
    kind = words[0].upper() if words else ""
    if kind == "NONE" and len(words) == 1 and not values:
        config.set(healthcheck=Healthcheck(test=("NONE",)))
        return
    if kind != "CMD" or len(words) == 1:
        raise InvalidArgument(f"unknown type {words[0] if words else ''!r} in HEALTHCHECK (try CMD)")
    command = rest[rest.upper().index("CMD", rest.index(words[0])) + 3 :].strip()
    listed = _json_list(command)
    test = ("CMD-SHELL", command) if listed is None else ("CMD", *listed)
    config.set(healthcheck=Healthcheck(test=test, **values))


_INSTRUCTIONS: dict[str, Callable[[_Config, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _command(rest: str) -> tuple[str, ...]:
    listed = _json_list(rest)
    return (*_SHELL, rest) if listed is None else listed


def _json_list(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON list; None for whatever else, which then is meant for a shell."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return None
    return tuple(found) if all(isinstance(one, str) for one in found) else None


def _pairs(instruction: str, rest: str, environment: dict[str, str]) -> dict[str, str]:
    """`name=value …` with quotes, or the old form `name the rest of the line`."""
    words = _WORD.findall(rest)
    if "=" not in words[0]:
        name, _, value = rest.partition(" ")
        if not value.strip():
            raise InvalidArgument(f"{instruction} must have two arguments")
        return {name: _expand(value.strip(), environment)}
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgument(
                f"Syntax error - can't find = in {word!r}. Must be of the form: name=value",
                remedy=f"quote it: {shlex.quote(word)}",
            )
        name = _expand(name, environment)
        if not name:
            raise InvalidArgument(f"{instruction} names can not be blank")
        found[name] = _expand(value, environment)
    return found


def _expand(word: str, environment: dict[str, str]) -> str:
    """A word without its quotes and escapes, and with $NAME and ${NAME} replaced outside of single quotes."""

    def replace(found: re.Match[str]) -> str:
        escaped, literal, braced, plain, _ = found.groups()
        if escaped is not None or literal is not None:
            return escaped if literal is None else literal
        name = braced or plain
        return environment.get(name, "") if name else ""

    return _VARIABLE.sub(replace, word)


def _duration_ns(name: str, text: str) -> int:
    """A duration in Go's form: "1m30s"."""
    pieces = _DURATION.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise InvalidArgument(f"HEALTHCHECK --{name}={text} is no duration", remedy="write it as in 1m30s")
    return int(sum(float(number) * _UNITS_NS[unit] for number, unit in pieces))
