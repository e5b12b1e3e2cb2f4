"""Build checks: what in a Dockerfile works and is still not right, as findings that become warnings of the build.

Here is what concerns the whole file and its FROM lines; `lint_stages` goes through the instructions of each stage.
Rules and options are in `lint_rules`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from sampan.build import forms
from sampan.build.ignore import IgnoreRules
from sampan.build.instructions import Arg, Dockerfile, Position, Stage
from sampan.build.lint_rules import Finding, Options, options_of, skipped_here
from sampan.build.lint_stages import stage_findings
from sampan.build.scopes import GlobalScope, global_scope
from sampan.build.suggestions import nearest
from sampan.build.words import Expansion
from sampan.errors import InvalidArgument
from sampan.oci.reference import parse_reference

_RESERVED = frozenset({"scratch", "context"})


def check(
    dockerfile: Dockerfile,
    *,
    build_args: Mapping[str, str],
    platforms: Mapping[str, str],
    ignore: IgnoreRules | None = None,
    environment_of: Callable[[str], Mapping[str, str] | None] = lambda _base: None,
    options: Options | None = None,
) -> tuple[Finding, ...]:
    """What the file's checks find, in the order of its lines; rules that the file or a comment skips are left out.

    `platforms` are `scopes.platform_arguments`; `environment_of` answers a base image's variables, None when they are
    not known: then nothing is said of variables that could come from it. Raises InvalidArgument for a bad directive.
    """
    chosen = options or options_of(dockerfile, build_args)
    try:
        scope = global_scope(dockerfile, build_args, platforms)
    except InvalidArgument:
        scope = global_scope(Dockerfile(dockerfile.name, (), (), (), dockerfile.escape), build_args, platforms)
    found = [
        *_casing(dockerfile),
        *(
            Finding("NoEmptyContinuation", position, "a blank line inside the instruction")
            for position in dockerfile.empty_continuations
        ),
        *_stage_names(dockerfile),
        *_descriptions(dockerfile),
        *_from_lines(dockerfile, scope),
        *_defaults(dockerfile, platforms),
        *stage_findings(dockerfile, scope, ignore, environment_of),
    ]
    wanted = {finding: None for finding in found if chosen.and_also(skipped_here(finding.position)).wants(finding.rule)}
    return tuple(sorted(wanted, key=lambda finding: (finding.position.line, finding.rule)))


def _positions(dockerfile: Dockerfile) -> Iterator[Position]:
    for arg in dockerfile.arguments:
        yield arg.position
    for stage in dockerfile.stages:
        yield stage.position
        for instruction in stage.instructions:
            yield instruction.position


def _casing(dockerfile: Dockerfile) -> Iterator[Finding]:
    written = [(forms.cut_keyword(position.text)[0], position) for position in _positions(dockerfile)]
    cases = Counter("lower" if word.islower() else "upper" for word, _ in written if word.islower() or word.isupper())
    majority = "lower" if cases["lower"] > cases["upper"] else "upper"
    for word, position in written:
        if word != (word.lower() if majority == "lower" else word.upper()):
            yield Finding(
                "ConsistentInstructionCasing", position, f"{word!r} is not {majority} case as most instructions are"
            )


def _stage_names(dockerfile: Dockerfile) -> Iterator[Finding]:
    seen: set[str] = set()
    for stage in dockerfile.stages:
        if not stage.name:
            continue
        keyword, rest = forms.cut_keyword(stage.position.text)
        *_, word, name = forms.between_spaces(rest)
        if name != name.lower():
            yield Finding("StageNameCasing", stage.position, f"stage name {name!r} should be {name.lower()!r}")
        if (keyword.islower() and not word.islower()) or (keyword.isupper() and not word.isupper()):
            yield Finding("FromAsCasing", stage.position, f"{word!r} is not in the case of {keyword!r}")
        if stage.name in _RESERVED:
            yield Finding("ReservedStageName", stage.position, f"{stage.name!r} is reserved")
        if stage.name in seen:
            yield Finding("DuplicateStageName", stage.position, f"there is a stage {stage.name!r} already")
        seen.add(stage.name)


def _descriptions(dockerfile: Dockerfile) -> Iterator[Finding]:
    named: list[tuple[Position, str, tuple[str, ...]]] = [
        (stage.position, "FROM", (stage.name,)) for stage in dockerfile.stages if stage.name
    ]
    named += [
        (arg.position, "ARG", tuple(argument.name for argument in arg.arguments))
        for arg in (
            *dockerfile.arguments,
            *(item for stage in dockerfile.stages for item in stage.instructions if isinstance(item, Arg)),
        )
    ]
    for position, keyword, names in named:
        if position.comments and position.comments[-1].split(" ")[0] not in names:
            yield Finding(
                "InvalidDefinitionDescription",
                position,
                f"the comment above {keyword} should read `# {names[0]} <description>`",
            )


def _from_lines(dockerfile: Dockerfile, scope: GlobalScope) -> Iterator[Finding]:
    for stage in dockerfile.stages:
        base = _expanded(scope, stage.base, stage)
        platform = _expanded(scope, stage.platform, stage)
        for expanded in (base, platform):
            for name in sorted(expanded.missing - scope.declared if expanded else ()):
                near = nearest(name, {*scope.declared, *scope.values})
                hint = f", did you mean {near}?" if near else ""
                yield Finding("UndefinedArgInFrom", stage.position, f"FROM uses {name!r}, which no ARG declares{hint}")
        if stage.platform and platform is not None:
            yield from _platform(stage, platform, scope)


def _platform(stage: Stage, platform: Expansion, scope: GlobalScope) -> Iterator[Finding]:
    if platform.found == {"TARGETPLATFORM"} and not platform.missing:
        if platform.text == scope.values["TARGETPLATFORM"]:
            yield Finding("RedundantTargetPlatform", stage.position, f"--platform={stage.platform} says nothing new")
    elif not platform.found and not platform.missing:
        words = platform.text.split("/")
        if not any(word and word in stage.name for word in words[:2]):
            yield Finding(
                "FromPlatformFlagConstDisallowed",
                stage.position,
                f"--platform has the constant value {platform.text!r}",
            )


def _defaults(dockerfile: Dockerfile, platforms: Mapping[str, str]) -> Iterator[Finding]:
    try:
        scope = global_scope(dockerfile, {}, platforms)
    except InvalidArgument:
        return
    names = {stage.name for stage in dockerfile.stages if stage.name}
    for stage in dockerfile.stages:
        base = _expanded(scope, stage.base, stage)
        if base is None or not (base.found or base.missing) or base.text in names:
            continue
        try:
            parse_reference(base.text)
        except InvalidArgument:
            yield Finding(
                "InvalidDefaultArgInFrom",
                stage.position,
                f"with the defaults {stage.base!r} is no image: {base.text!r}",
            )


def _expanded(scope: GlobalScope, word: str, stage: Stage) -> Expansion | None:
    try:
        return scope.expand(word, stage.position)
    except InvalidArgument:
        return None
