"""Build checks of the instructions in each stage, with the variables that they see at that point."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from sampan.build import words
from sampan.build.ignore import IgnoreRules
from sampan.build.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Run,
    Shell,
    ShellForm,
    Stage,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from sampan.build.lint_rules import Finding
from sampan.build.scopes import GlobalScope, StageScope
from sampan.build.suggestions import nearest
from sampan.errors import InvalidArgument

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NO_SECRET = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_ALL_OF_IT = frozenset({"*", "**", "**/*"})


@dataclass(slots=True)
class _Walk:
    """Where the walk through a stage stands; `complete` when the base image's variables are known."""

    scope: StageScope
    complete: bool
    has_workdir: bool = False
    has_shell: bool = False
    last: dict[str, Instruction] = field(default_factory=dict)

    def child(self) -> _Walk:
        return _Walk(self.scope.child(), self.complete, self.has_workdir, self.has_shell)


def stage_findings(
    dockerfile: Dockerfile,
    outer: GlobalScope,
    ignore: IgnoreRules | None,
    environment_of: Callable[[str], Mapping[str, str] | None],
) -> Iterator[Finding]:
    """The findings of all stages, each from its base on."""
    ended: dict[str, _Walk] = {}
    for stage in dockerfile.stages:
        walk = _begin(stage, outer, ended, environment_of)
        for instruction in stage.instructions:
            yield from _undefined(instruction, walk)
            yield from _judge(instruction, walk, ignore)
            _follow(instruction, walk)
        if stage.name:
            ended[stage.name] = walk


def _begin(
    stage: Stage,
    outer: GlobalScope,
    ended: Mapping[str, _Walk],
    environment_of: Callable[[str], Mapping[str, str] | None],
) -> _Walk:
    base = ""
    with suppress(InvalidArgument):
        base = outer.expand(stage.base, stage.position).text
    if base.lower() in ended:
        return ended[base.lower()].child()
    environment: Mapping[str, str] | None = {} if base == "scratch" else environment_of(base)
    return _Walk(outer.stage(environment or {}), environment is not None)


def _follow(instruction: Instruction, walk: _Walk) -> None:
    match instruction:
        case Arg():
            with suppress(InvalidArgument):
                walk.scope.declare(instruction)
        case Env():
            with suppress(InvalidArgument):
                walk.scope.set_environment(instruction)
        case Workdir():
            walk.has_workdir = True
        case Shell():
            walk.has_shell = True


def _words(instruction: Instruction) -> tuple[str, ...]:
    """The words of an instruction that the builder expands."""
    match instruction:
        case Env(pairs=pairs) | Label(pairs=pairs):
            return tuple(word for pair in pairs for word in (pair.key, pair.value))
        case Arg(arguments=arguments):
            return tuple(argument.value for argument in arguments if argument.value is not None)
        case Copy(chown=chown, chmod=chmod, sources=sources, destination=destination):
            return (chown, chmod, *sources, destination)
        case Add(chown=chown, chmod=chmod, checksum=checksum, sources=sources, destination=destination):
            return (chown, chmod, checksum, *sources, destination)
        case Run(mounts=mounts):
            return tuple(mount.text for mount in mounts)
        case Expose(ports=texts) | Volume(paths=texts):
            return texts
        case User(user=word) | Workdir(path=word) | Stopsignal(signal=word):
            return (word,)
    return ()


def _undefined(instruction: Instruction, walk: _Walk) -> Iterator[Finding]:
    if not walk.complete:
        return
    variables = walk.scope.variables
    missing: set[str] = set()
    for word in _words(instruction):
        with suppress(InvalidArgument):
            missing |= words.expansion(word, variables, escape=walk.scope.outer.escape).missing
    if isinstance(instruction, Copy | Add):
        for heredoc in instruction.heredocs:
            if heredoc.expand:
                missing |= words.names_in_document(heredoc.content, variables)
    for name in sorted(missing - walk.scope.declared):
        near = nearest(name, variables)
        hint = f", did you mean ${near}?" if near else ""
        yield Finding("UndefinedVar", instruction.position, f"'${name}' is not set{hint}")


def _judge(instruction: Instruction, walk: _Walk, ignore: IgnoreRules | None) -> Iterator[Finding]:
    match instruction:
        case Maintainer():
            yield Finding("MaintainerDeprecated", instruction.position, "use a label for the author")
        case Cmd() | Entrypoint() | Healthcheck():
            yield from _command(instruction, walk)
        case Env() | Label() | Arg():
            yield from _names(instruction)
        case Workdir():
            yield from _workdir(instruction, walk)
        case Expose(ports=ports):
            for port in ports:
                yield from _port(port, instruction, walk)
        case Copy(origin="") | Add():
            yield from _ignored(instruction, walk, ignore)


def _names(instruction: Env | Label | Arg) -> Iterator[Finding]:
    position = instruction.position
    if isinstance(instruction, Arg):
        yield from _secrets(instruction, "ARG", tuple(argument.name for argument in instruction.arguments))
        return
    keyword = type(instruction).__name__.upper()
    names = tuple(pair.key for pair in instruction.pairs)
    if any(pair.legacy for pair in instruction.pairs):
        yield Finding("LegacyKeyValueFormat", position, f"write {keyword} {names[0]}=VALUE")
    if isinstance(instruction, Env):
        yield from _secrets(instruction, keyword, names)


def _workdir(instruction: Workdir, walk: _Walk) -> Iterator[Finding]:
    path = instruction.path
    with suppress(InvalidArgument):
        path = walk.scope.expand(path, instruction.position)
    if not walk.has_workdir and not path.startswith("/"):
        yield Finding(
            "WorkdirRelativePath", instruction.position, f"{path!r} is relative to the base image's directory"
        )


def _command(instruction: Cmd | Entrypoint | Healthcheck, walk: _Walk) -> Iterator[Finding]:
    keyword = type(instruction).__name__.upper()
    earlier = walk.last.get(keyword)
    walk.last[keyword] = instruction
    if earlier is not None:
        yield Finding(
            "MultipleInstructionsDisallowed",
            earlier.position,
            f"a later {keyword} of the stage takes the place of this",
        )
    command = instruction.command
    if keyword != "HEALTHCHECK" and isinstance(command, ShellForm) and command.text and not walk.has_shell:
        message = f"write {keyword} as a JSON list"
        if command.text.startswith("["):
            message = (
                f"{keyword} is no JSON list, but a command for the shell: lists have double quotes, and commas between"
            )
        yield Finding("JSONArgsRecommended", instruction.position, message)


def _secrets(instruction: Instruction, keyword: str, names: tuple[str, ...]) -> Iterator[Finding]:
    for name in names:
        if _SECRET.search(name) and not _NO_SECRET.search(name):
            yield Finding(
                "SecretsUsedInArgOrEnv",
                instruction.position,
                f"{keyword} {name!r}: give it with RUN --mount=type=secret",
            )


def _port(word: str, instruction: Expose, walk: _Walk) -> Iterator[Finding]:
    ports: tuple[str, ...] = (word,)
    with suppress(InvalidArgument):
        ports = walk.scope.split(word, instruction.position)
    for port in ports:
        address, _, protocol = port.partition("/")
        if protocol != protocol.lower():
            yield Finding("ExposeProtoCasing", instruction.position, f"{port!r} should be {address}/{protocol.lower()}")
        if ":" in address:
            yield Finding("ExposeInvalidFormat", instruction.position, f"{port!r} names more than a port")


def _ignored(instruction: Copy | Add, walk: _Walk, ignore: IgnoreRules | None) -> Iterator[Finding]:
    """Sources that the rules keep out; with exceptions among the rules nothing can be said of directories."""
    if ignore is None or ignore.keeps_some:
        return
    keyword = type(instruction).__name__.upper()
    for source in instruction.sources:
        path = source
        with suppress(InvalidArgument):
            path = walk.scope.expand(source, instruction.position)
        if "://" in path or path.startswith("git@"):
            continue
        path = posixpath.normpath(path).lstrip("/")
        if ignore.excludes(path) if path not in {"", "."} else ignore.patterns & _ALL_OF_IT:
            yield Finding(
                "CopyIgnoredFile", instruction.position, f"{keyword} {source!r}, which .dockerignore keeps out"
            )
