"""From a logical line to an instruction: RUN, COPY and ADD, which make files."""

from __future__ import annotations

from itertools import pairwise

from sampan.build import forms
from sampan.build.flags import Flags, Takes
from sampan.build.heredocs import openings
from sampan.build.instructions import Add, Copy, ExecForm, Heredoc, Position, Run, ShellForm
from sampan.build.mounts import mount_word
from sampan.build.statements import Statement
from sampan.build.suggestions import meant
from sampan.build.words import leaves_quote_open

_RUN_FLAGS = {
    "mount": Takes.VALUES,
    "network": Takes.VALUE,
    "security": Takes.VALUE,
    "device": Takes.VALUES,
}
_COPY_FLAGS = {
    "from": Takes.VALUE,
    "chown": Takes.VALUE,
    "chmod": Takes.VALUE,
    "link": Takes.SWITCH,
    "parents": Takes.SWITCH,
    "exclude": Takes.VALUES,
}
_ADD_FLAGS = {
    "chown": Takes.VALUE,
    "chmod": Takes.VALUE,
    "link": Takes.SWITCH,
    "exclude": Takes.VALUES,
    "checksum": Takes.VALUE,
    "keep-git-dir": Takes.SWITCH,
    "unpack": Takes.SWITCH,
}
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")


def read_run(statement: Statement) -> Run:
    """RUN [flags] command, in either form and with heredocs."""
    position = statement.position
    flags = statement.flags(_RUN_FLAGS)
    command = statement.command()
    if command == ShellForm(""):
        raise position.refusal("RUN requires a command", remedy="write RUN command, the flags before the command")
    if isinstance(command, ExecForm) and not command.words:
        raise position.refusal("RUN with an empty list", remedy='write RUN ["program", "argument"]')
    return Run(
        position,
        command,
        heredocs=statement.heredocs,
        mounts=tuple(mount_word(text, position) for text in flags.texts("mount")),
        network=_one_of(flags, "network", _NETWORKS, position),
        security=_one_of(flags, "security", _SECURITIES, position),
        devices=flags.texts("device"),
    )


def _one_of(flags: Flags, name: str, known: tuple[str, ...], position: Position) -> str:
    value = flags.text(name)
    if name in flags.values and value not in known and "$" not in value:
        raise position.refusal(f"invalid value {value!r} for --{name} of RUN", remedy=meant(value, known))
    return value


def read_copy(statement: Statement) -> Copy:
    """COPY [flags] source … destination, in either form; heredocs are sources."""
    flags = statement.flags(_COPY_FLAGS)
    sources, destination = _sources_and_destination(statement)
    origin = flags.text("from")
    if "from" in flags.values and statement.heredocs:
        raise statement.position.refusal(
            "a heredoc is not in another stage", remedy="leave --from out, or write two COPY instructions"
        )
    return Copy(
        statement.position,
        sources,
        destination,
        heredocs=_used(statement.heredocs),
        origin=origin,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=bool(flags.switch("link")),
        parents=bool(flags.switch("parents")),
        exclude=flags.texts("exclude"),
    )


def read_add(statement: Statement) -> Add:
    """ADD [flags] source … destination, in either form; heredocs are sources."""
    flags = statement.flags(_ADD_FLAGS)
    sources, destination = _sources_and_destination(statement)
    return Add(
        statement.position,
        sources,
        destination,
        heredocs=_used(statement.heredocs),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=bool(flags.switch("link")),
        exclude=flags.texts("exclude"),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.switch("keep-git-dir"),
        unpack=flags.switch("unpack"),
    )


def _used(heredocs: tuple[Heredoc, ...]) -> tuple[Heredoc, ...]:
    """The heredocs by name: a later one of the same name takes the place of an earlier one."""
    return tuple({heredoc.name: heredoc for heredoc in heredocs}.values())


def _sources_and_destination(statement: Statement) -> tuple[tuple[str, ...], str]:
    position, keyword = statement.position, statement.keyword
    rest = statement.rest
    listed = statement.json()
    if listed is not None:
        words = listed
    elif not statement.heredocs:
        words = _unquoted(statement, rest)
    else:
        opened = openings(rest, escape=statement.escape, in_shell=False)
        if not rest[opened[-1].end :].strip():
            raise position.refusal(
                f"{keyword} cannot accept a heredoc as a destination", remedy=f"write {keyword} <<FILE /destination/"
            )
        parts = [rest[left.end : right.start] for left, right in pairwise(opened)]
        words = _unquoted(statement, " ".join((rest[: opened[0].start], *parts, rest[opened[-1].end :])))
    if len(words) + len(statement.heredocs) < 2:
        raise position.refusal(
            f"{keyword} requires at least a source and a destination",
            remedy=f'write {keyword} SOURCE … DESTINATION, or {keyword} ["SOURCE", "DESTINATION"] for spaces',
        )
    return words[:-1], words[-1]


def _unquoted(statement: Statement, text: str) -> tuple[str, ...]:
    """The words between spaces; a quote around a space does not keep words together here."""
    words = forms.between_spaces(text)
    for word in words:
        if leaves_quote_open(word, escape=statement.escape):
            raise statement.position.refusal(
                f"{statement.keyword} has a quote that is not closed in {word!r}",
                remedy=f'names with spaces need the JSON form: {statement.keyword} ["A B", "DESTINATION"]',
            )
    return words
