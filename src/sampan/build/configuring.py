"""Instructions that change an image's configuration alone: each takes the configuration and gives the next one.

Pure. The sentence that the image's history keeps of an instruction is made here too, in the words of Docker's builder;
files and commands are `stage_build`'s.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from sampan.build import instructions as said
from sampan.build.instructions import Command, ExecForm, Position, ShellForm
from sampan.build.scopes import StageScope
from sampan.errors import InvalidArgument
from sampan.image.exposed_ports import exposed_ports
from sampan.linux.signals import signal_number
from sampan.oci.image_spec import ContainerDefaults, Healthcheck

DEFAULT_SHELL = ("/bin/sh", "-c")
_UNITS = ((3_600_000_000_000, "h"), (60_000_000_000, "m"))
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Configured:
    """What an instruction made: the configuration, what history says of it, and a remark for whoever watches."""

    defaults: ContainerDefaults
    comment: str
    note: str = ""
    author: str | None = None
    sets_command: bool = False


def configure(  # the one dispatch over all that is no file and no command
    instruction: said.Instruction, defaults: ContainerDefaults, scope: StageScope, *, command_set: bool
) -> Configured:
    """The configuration with the instruction carried out. Raises InvalidArgument with its position.

    `command_set` says whether this stage has given a CMD: an ENTRYPOINT takes an inherited one away.
    """
    match instruction:
        case said.Env():
            return _env(instruction, defaults, scope)
        case said.Label():
            return _label(instruction, defaults, scope)
        case said.Arg():
            pairs = scope.declare(instruction)
            shown = " ".join(name if value is None else f"{name}={value}" for name, value in pairs)
            return Configured(defaults, f"ARG {shown}")
        case said.Cmd(command=command):
            # nothing at all is the shell alone, as in Docker's own builder; ENTRYPOINT without words is none
            words = shell_of(defaults) if command == ShellForm("") else argv(command, defaults)
            return Configured(replaced(defaults, cmd=words or None), f"CMD {quoted(words)}", sets_command=True)
        case said.Entrypoint(command=command):
            words = argv(command, defaults)
            cmd = defaults.cmd if command_set else None
            changed = replaced(defaults, entrypoint=words or None, cmd=cmd)
            return Configured(changed, f"ENTRYPOINT {quoted(words)}")
        case said.Expose():
            return _expose(instruction, defaults, scope)
        case said.Volume():
            return _volume(instruction, defaults, scope)
        case said.User(position=where, user=user):
            name = scope.expand(user, where)
            return Configured(replaced(defaults, user=name), f"USER {name}")
        case _:
            return _rarer(instruction, defaults, scope)


def _rarer(instruction: said.Instruction, defaults: ContainerDefaults, scope: StageScope) -> Configured:
    match instruction:
        case said.Stopsignal(position=where, signal=name):
            text = _signal(scope.expand(name, where), where)
            return Configured(replaced(defaults, stop_signal=text), f"STOPSIGNAL {text}")
        case said.Shell(words=words):
            return Configured(replaced(defaults, shell=words), f"SHELL [{' '.join(words)}]")
        case said.Healthcheck():
            return _healthcheck(instruction, defaults)
        case said.Onbuild(text=text):
            triggers = (*(defaults.on_build or ()), text)
            return Configured(replaced(defaults, on_build=triggers), f"ONBUILD {text}")
        case said.Maintainer(name=name):
            return Configured(defaults, f"MAINTAINER {name}", author=name)
        case _:
            raise AssertionError(instruction)


def replaced(defaults: ContainerDefaults, **values: object) -> ContainerDefaults:
    """The configuration with some values changed."""
    return msgspec.structs.replace(defaults, **values)


def shell_of(defaults: ContainerDefaults) -> tuple[str, ...]:
    """What runs the shell form of commands."""
    return defaults.shell or DEFAULT_SHELL


def argv(command: Command, defaults: ContainerDefaults) -> tuple[str, ...]:
    """The words of a command in either form; none for an empty one."""
    if isinstance(command, ExecForm):
        return command.words
    return (*shell_of(defaults), command.text) if command.text else ()


def environment_of(defaults: ContainerDefaults) -> dict[str, str]:
    """The variables of an image's configuration."""
    return dict(entry.partition("=")[::2] for entry in defaults.env or ())


def quoted(words: Iterable[str]) -> str:
    """Words as Go's %q shows a list of them."""
    return "[" + " ".join(json.dumps(word, ensure_ascii=False) for word in words) + "]"


def work_directory(former: str, path: str) -> str:
    """WORKDIR's path: absolute, or below the former one."""
    return posixpath.normpath(posixpath.join("/", former, path)).replace("//", "/")


def _env(instruction: said.Env, defaults: ContainerDefaults, scope: StageScope) -> Configured:
    pairs = scope.set_environment(instruction)
    for key, _ in pairs:
        if not key:
            raise instruction.position.refusal("ENV names can not be blank", remedy="write NAME=value")
    values = {**environment_of(defaults), **dict(pairs)}
    entries = tuple(f"{name}={value}" for name, value in values.items())
    shown = " ".join(f"{name}={value}" for name, value in pairs)
    return Configured(replaced(defaults, env=entries), f"ENV {shown}")


def _label(instruction: said.Label, defaults: ContainerDefaults, scope: StageScope) -> Configured:
    where = instruction.position
    pairs = [(scope.expand(pair.key, where), scope.expand(pair.value, where)) for pair in instruction.pairs]
    shown = " ".join(f"{name}={value}" for name, value in pairs)
    return Configured(replaced(defaults, labels={**(defaults.labels or {}), **dict(pairs)}), f"LABEL {shown}")


def _expose(instruction: said.Expose, defaults: ContainerDefaults, scope: StageScope) -> Configured:
    where = instruction.position
    words = sorted(word for port in instruction.ports for word in scope.split(port, where))
    ports = dict(defaults.exposed_ports or {})
    for word in words:
        try:
            ports |= {port: {} for port in exposed_ports(word)}
        except InvalidArgument as error:
            raise where.refusal(error.sentence, remedy=error.remedy) from None
    return Configured(replaced(defaults, exposed_ports=ports), f"EXPOSE {' '.join(words)}")


def _volume(instruction: said.Volume, defaults: ContainerDefaults, scope: StageScope) -> Configured:
    where = instruction.position
    paths = [scope.expand(path, where) for path in instruction.paths]
    if any(not path.strip() for path in paths):
        raise where.refusal("VOLUME specified can not be an empty string", remedy="name a path")
    volumes = {**(defaults.volumes or {}), **{path: {} for path in paths}}
    return Configured(replaced(defaults, volumes=volumes), f"VOLUME [{' '.join(paths)}]")


def _signal(name: str, where: Position) -> str:
    if not signal_number(name):
        raise where.refusal(f"invalid signal: {name}", remedy="use a name such as SIGTERM, or a number")
    return name


def _healthcheck(instruction: said.Healthcheck, defaults: ContainerDefaults) -> Configured:
    """What is not given is kept of a former check, as Docker's merge of the two does."""
    command, former = instruction.command, defaults.healthcheck or Healthcheck()
    if command is None:
        test: tuple[str, ...] = ("NONE",)
    elif isinstance(command, ExecForm):
        test = ("CMD", *command.words)
    else:
        test = ("CMD-SHELL", command.text)
    asked = Healthcheck(
        test=test,
        interval=instruction.interval_ns,
        timeout=instruction.timeout_ns,
        start_period=instruction.start_period_ns,
        start_interval=instruction.start_interval_ns,
        retries=instruction.retries,
    )
    merged = Healthcheck(
        test=test,
        interval=asked.interval or former.interval,
        timeout=asked.timeout or former.timeout,
        start_period=asked.start_period or former.start_period,
        start_interval=asked.start_interval or former.start_interval,
        retries=asked.retries or former.retries,
    )
    note = ""
    if former.test and former.test[0] != "NONE":
        note = f"Note: overriding previous HEALTHCHECK: [{' '.join(former.test)}]"
    return Configured(replaced(defaults, healthcheck=merged), f"HEALTHCHECK {_shown_check(asked)}", note)


def _shown_check(check: Healthcheck) -> str:
    """As Go's %q shows the struct."""
    times = (check.interval, check.timeout, check.start_period, check.start_interval)
    shown = " ".join(f'"{go_duration(value)}"' for value in times)
    retries = f"\\x{check.retries:02x}" if check.retries < 0x20 else chr(check.retries)
    return f"&{{{quoted(check.test)} {shown} '{retries}'}}"


def go_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: 1h0m5s, 1.5s, 20ms."""
    if nanoseconds < _SECOND:
        for unit, name in ((1_000_000, "ms"), (1000, "µs"), (1, "ns")):
            if nanoseconds >= unit:
                return f"{_decimal(nanoseconds, unit)}{name}"
        return "0s"
    text = ""
    for unit, name in _UNITS:
        count, rest = divmod(nanoseconds, unit)
        if count or text:
            text += f"{count}{name}"
        nanoseconds = rest
    return f"{text}{_decimal(nanoseconds, _SECOND)}s"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0").rstrip(".") if rest else str(whole)
