"""A Dockerfile's bytes to its stages and instructions: the order of things, FROM and ONBUILD.

Nothing is expanded and nothing is looked up here; what the parser accepts, `lint` may still warn of.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sampan.build import file_statements, forms, lines, statements
from sampan.build.flags import Takes
from sampan.build.instructions import Arg, Dockerfile, Instruction, Onbuild, Position, Stage
from sampan.build.statements import Statement, take_apart
from sampan.build.suggestions import meant

_READERS: dict[str, Callable[[Statement], Instruction]] = {
    "ADD": file_statements.read_add,
    "ARG": statements.read_arg,
    "CMD": statements.read_cmd,
    "COPY": file_statements.read_copy,
    "ENTRYPOINT": statements.read_entrypoint,
    "ENV": statements.read_env,
    "EXPOSE": statements.read_expose,
    "HEALTHCHECK": statements.read_healthcheck,
    "LABEL": statements.read_label,
    "MAINTAINER": statements.read_maintainer,
    "RUN": file_statements.read_run,
    "SHELL": statements.read_shell,
    "STOPSIGNAL": statements.read_stopsignal,
    "USER": statements.read_user,
    "VOLUME": statements.read_volume,
    "WORKDIR": statements.read_workdir,
}
KEYWORDS = frozenset({"FROM", "ONBUILD", *_READERS})
_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")
_NO_TRIGGERS = frozenset({"ONBUILD", "MAINTAINER", "FROM"})


def parse(data: bytes, *, name: str) -> Dockerfile:
    """The Dockerfile that the bytes hold; `name` is what messages call it.

    Raises InvalidArgument and nothing else, with file, line and text, and what would be right. Time is linear in size.
    """
    cut = lines.cut(data, name=name)
    if not cut.lines:
        nowhere = Position(name, 1, 1, 1, "")
        raise nowhere.refusal("file with no instructions", remedy="begin with FROM image, or FROM scratch")
    builder = _Assembly(cut.escape)
    for line in cut.lines:
        builder.take(line)
    if not builder.stages:
        last = cut.lines[-1].position
        raise last.refusal("no build stage: there is no FROM", remedy="add FROM image behind the ARG instructions")
    return Dockerfile(
        name,
        cut.directives,
        tuple(builder.arguments),
        tuple(stage.finished() for stage in builder.stages),
        cut.escape,
        cut.empty_continuations,
    )


def parse_trigger(text: str, *, name: str, escape: str = "\\") -> Instruction:
    """The instruction of an ONBUILD in a base image's configuration. Raises InvalidArgument."""
    cut = lines.cut(text.encode(), name=name)
    if len(cut.lines) != 1:
        raise Position(name, 1, 1, 1, text).refusal("no single instruction", remedy="rebuild the base image")
    line = cut.lines[0]
    return _trigger(take_apart(line.position, line.heredocs, escape=escape))


@dataclass(slots=True)
class _OpenStage:
    stage: Stage
    instructions: list[Instruction] = field(default_factory=list)

    def finished(self) -> Stage:
        return replace(self.stage, instructions=tuple(self.instructions))


@dataclass(slots=True)
class _Assembly:
    escape: str
    arguments: list[Arg] = field(default_factory=list)
    stages: list[_OpenStage] = field(default_factory=list)

    def take(self, line: lines.Line) -> None:
        statement = take_apart(line.position, line.heredocs, escape=self.escape)
        if statement.keyword == "FROM":
            self.stages.append(_OpenStage(_stage(statement)))
            return
        instruction = _instruction(statement)
        if self.stages:
            self.stages[-1].instructions.append(instruction)
        elif isinstance(instruction, Arg):
            self.arguments.append(instruction)
        else:
            raise line.position.refusal(
                f"no build stage for {statement.keyword}", remedy="begin with FROM image; only ARG may stand before it"
            )


def _instruction(statement: Statement) -> Instruction:
    if statement.keyword == "ONBUILD":
        return _onbuild(statement)
    reader = _READERS.get(statement.keyword)
    if reader is None:
        written = forms.cut_keyword(statement.position.text)[0]
        remedy = meant(written, KEYWORDS)
        if written[:2].lower() in {"<!", "<h", "<?"}:
            remedy = "begin with FROM image; this looks like a page of the web, not like a Dockerfile"
        elif not written.isalpha():
            remedy = f"if it goes on from the line above, end that one with a {statement.escape}"
        raise statement.position.refusal(f"unknown instruction {_short(written)!r}", remedy=remedy)
    return reader(statement)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def _onbuild(statement: Statement) -> Onbuild:
    statement.flags({})
    rest = statement.need_rest("ONBUILD INSTRUCTION …, as in ONBUILD RUN make")
    inner = take_apart(replace(statement.position, text=rest), statement.heredocs, escape=statement.escape)
    bodies = (f"\n{heredoc.content}{heredoc.name}" for heredoc in statement.heredocs)
    return Onbuild(statement.position, _trigger(inner), "".join((rest, *bodies)))


def _trigger(statement: Statement) -> Instruction:
    if statement.keyword in _NO_TRIGGERS:
        raise statement.position.refusal(
            f"{statement.keyword} isn't allowed as an ONBUILD trigger", remedy="put it into the Dockerfile that builds"
        )
    return _instruction(statement)


def _stage(statement: Statement) -> Stage:
    position = statement.position
    flags = statement.flags({"platform": Takes.VALUE})
    words = forms.between_spaces(statement.rest)
    if len(words) == 1:
        return Stage("", words[0], flags.text("platform"), (), position)
    if len(words) != 3 or words[1].upper() != "AS":
        raise position.refusal(
            "FROM requires either one or three arguments",
            remedy="write FROM IMAGE or FROM IMAGE AS NAME; comments have lines of their own",
        )
    name = words[2].lower()
    if not _STAGE_NAME.fullmatch(name):
        raise position.refusal(
            f"invalid name for build stage: {words[2]!r}",
            remedy="begin it with a letter; letters, digits, '-', '_' and '.' may follow",
        )
    return Stage(name, words[0], flags.text("platform"), (), position)
