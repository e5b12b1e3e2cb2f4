"""From a logical line to an instruction: what sets the image's configuration (ENV, CMD, LABEL, …).

RUN, COPY and ADD are in `file_statements`; FROM and the order of things in `parser`. Each reader refuses what Docker's
reference refuses, and says what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sampan.build import forms
from sampan.build.durations import nanoseconds
from sampan.build.flags import Flags, Takes, read_flags
from sampan.build.instructions import (
    Arg,
    Argument,
    Cmd,
    Command,
    Entrypoint,
    Env,
    ExecForm,
    Expose,
    Healthcheck,
    Heredoc,
    Label,
    Maintainer,
    Pair,
    Position,
    Shell,
    ShellForm,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from sampan.build.words import cut_words

_HEALTH_FLAGS = dict.fromkeys(("interval", "timeout", "start-period", "start-interval", "retries"), Takes.VALUE)
_SHORTEST_NS = 10**6


@dataclass(frozen=True, slots=True)
class Statement:
    """A logical line taken apart: `rest` is what stands behind the flags, not yet read."""

    position: Position
    keyword: str
    flag_words: tuple[str, ...]
    rest: str
    heredocs: tuple[Heredoc, ...]
    escape: str

    def flags(self, known: Mapping[str, Takes]) -> Flags:
        """The flags that were given. Raises InvalidArgument."""
        return read_flags(self.flag_words, known, keyword=self.keyword, where=self.position)

    def need_rest(self, example: str) -> str:
        """The rest, refused when it is empty."""
        if not self.rest:
            raise self.position.refusal(f"{self.keyword} requires an argument", remedy=f"write {example}")
        return self.rest

    def json(self) -> tuple[str, ...] | None:
        """The rest as strings of a JSON list, None when it is none. Raises InvalidArgument."""
        try:
            return forms.json_words(self.rest)
        except forms.NotOnlyStrings:
            raise self.position.refusal(
                f"the JSON list of {self.keyword} has items that are no strings", remedy="put quotes around every item"
            ) from None

    def words(self) -> tuple[str, ...]:
        """The rest as a JSON list, or else as what stands between white space."""
        listed = self.json()
        return forms.between_spaces(self.rest) if listed is None else listed

    def command(self) -> Command:
        """The rest as a command in either form."""
        listed = self.json()
        return ShellForm(self.rest) if listed is None else ExecForm(listed)


def take_apart(position: Position, heredocs: tuple[Heredoc, ...], *, escape: str) -> Statement:
    """A logical line's keyword, flags and rest."""
    keyword, rest = forms.cut_keyword(position.text)
    flag_words, rest = forms.cut_flags(rest, escape=escape)
    return Statement(position, keyword.upper(), flag_words, rest, heredocs, escape)


def read_cmd(statement: Statement) -> Cmd:
    """CMD in either form; an empty list takes the base image's away."""
    statement.flags({})
    return Cmd(statement.position, statement.command())


def read_entrypoint(statement: Statement) -> Entrypoint:
    """ENTRYPOINT in either form; an empty list, or nothing at all, takes the base image's away."""
    statement.flags({})
    return Entrypoint(statement.position, statement.command())


def read_env(statement: Statement) -> Env:
    """ENV NAME=VALUE …, or the old ENV NAME VALUE."""
    return Env(statement.position, _pairs(statement))


def read_label(statement: Statement) -> Label:
    """LABEL NAME=VALUE …, or the old LABEL NAME VALUE."""
    return Label(statement.position, _pairs(statement))


def _pairs(statement: Statement) -> tuple[Pair, ...]:
    keyword, position = statement.keyword, statement.position
    statement.flags({})
    rest = statement.need_rest(f"{keyword} NAME=VALUE")
    words = cut_words(rest, escape=statement.escape)
    if words and "=" not in words[0]:
        name, value = forms.cut_keyword(rest)
        if not value:
            raise position.refusal(f"{keyword} must have two arguments", remedy=f"write {keyword} {name}=VALUE")
        return (Pair(name, value, legacy=True),)
    pairs: list[Pair] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise position.refusal(
                f"can't find = in {word!r}", remedy='write NAME=VALUE, with quotes around spaces: NAME="a b"'
            )
        if not name:
            raise position.refusal(f"{keyword} names can not be blank", remedy=f"write {keyword} NAME=VALUE")
        pairs.append(Pair(name, value))
    return tuple(pairs)


def read_arg(statement: Statement) -> Arg:
    """ARG NAME[=DEFAULT], one or more."""
    statement.flags({})
    rest = statement.need_rest("ARG NAME or ARG NAME=DEFAULT")
    arguments: list[Argument] = []
    for word in cut_words(rest, escape=statement.escape):
        name, equals, value = word.partition("=")
        if not name:
            raise statement.position.refusal("ARG names can not be blank", remedy="write ARG NAME=DEFAULT")
        arguments.append(Argument(name, value if equals else None))
    return Arg(statement.position, tuple(arguments))


def read_expose(statement: Statement) -> Expose:
    """EXPOSE PORT[/PROTOCOL], one or more."""
    statement.flags({})
    return Expose(statement.position, forms.between_spaces(statement.need_rest("EXPOSE 8080 or EXPOSE 53/udp")))


def read_volume(statement: Statement) -> Volume:
    """VOLUME PATH …, or a JSON list."""
    statement.flags({})
    statement.need_rest('VOLUME /data or VOLUME ["/data"]')
    paths = tuple(path.strip() for path in statement.words())
    if not all(paths) or not paths:
        raise statement.position.refusal("VOLUME without a path", remedy='write VOLUME /data or VOLUME ["/data"]')
    return Volume(statement.position, paths)


def read_user(statement: Statement) -> User:
    """USER NAME[:GROUP]."""
    statement.flags({})
    return User(statement.position, statement.need_rest("USER NAME or USER UID:GID"))


def read_workdir(statement: Statement) -> Workdir:
    """WORKDIR PATH; all of the rest is the path, spaces too."""
    statement.flags({})
    return Workdir(statement.position, statement.need_rest("WORKDIR /path"))


def read_stopsignal(statement: Statement) -> Stopsignal:
    """STOPSIGNAL NAME or number."""
    statement.flags({})
    return Stopsignal(statement.position, statement.need_rest("STOPSIGNAL SIGTERM"))


def read_maintainer(statement: Statement) -> Maintainer:
    """MAINTAINER NAME; all of the rest is the name."""
    statement.flags({})
    return Maintainer(
        statement.position,
        statement.need_rest('LABEL org.opencontainers.image.authors="NAME", MAINTAINER is deprecated'),
    )


def read_shell(statement: Statement) -> Shell:
    """SHELL as a JSON list."""
    statement.flags({})
    words = statement.json()
    if not words:
        raise statement.position.refusal(
            "SHELL requires its arguments to be in JSON form", remedy='write SHELL ["/bin/bash", "-c"]'
        )
    return Shell(statement.position, words)


def read_healthcheck(statement: Statement) -> Healthcheck:
    """HEALTHCHECK [flags] CMD command, or HEALTHCHECK NONE."""
    position = statement.position
    flags = statement.flags(_HEALTH_FLAGS)
    kind, rest = forms.cut_keyword(statement.need_rest("HEALTHCHECK CMD command, or HEALTHCHECK NONE"))
    if kind.upper() == "NONE":
        if rest:
            raise position.refusal("HEALTHCHECK NONE takes no arguments", remedy="write HEALTHCHECK NONE alone")
        return Healthcheck(position, None)
    if kind.upper() != "CMD":
        raise position.refusal(
            f"unknown type {kind!r} in HEALTHCHECK", remedy="write HEALTHCHECK CMD command, the flags before CMD"
        )
    command = Statement(position, "HEALTHCHECK CMD", (), rest.strip(), (), statement.escape).command()
    if command in (ShellForm(""), ExecForm(())):
        raise position.refusal("missing command after HEALTHCHECK CMD", remedy="write HEALTHCHECK CMD command")
    return Healthcheck(
        position,
        command,
        interval_ns=_interval(flags, "interval", position),
        timeout_ns=_interval(flags, "timeout", position),
        start_period_ns=_interval(flags, "start-period", position),
        start_interval_ns=_interval(flags, "start-interval", position),
        retries=_retries(flags.text("retries"), position),
    )


def _interval(flags: Flags, name: str, position: Position) -> int:
    text = flags.text(name)
    if not text:
        return 0
    try:
        interval = nanoseconds(text)
    except ValueError:
        raise position.refusal(f"invalid duration {text!r} for --{name}", remedy="write it as 30s or 1m30s") from None
    if interval and interval < _SHORTEST_NS:
        raise position.refusal(f"--{name} cannot be less than 1ms: {text!r}", remedy="write it as 30s or 1m30s")
    return interval


def _retries(text: str, position: Position) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise position.refusal(f"--retries is no number from 0 on: {text!r}", remedy="write --retries=3")
    return int(text)
