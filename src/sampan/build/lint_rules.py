"""The published build checks: their names, what each is about, and which of them a file switches off.

Names and meaning are Docker's ("Build checks" reference); finding what breaks them is `lint`'s and `lint_stages`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sampan.build.instructions import Dockerfile, Position
from sampan.build.suggestions import meant
from sampan.errors import InvalidArgument

DESCRIPTIONS = {
    "StageNameCasing": "stage names should be lower case",
    "FromAsCasing": "AS should be written in the case of FROM",
    "NoEmptyContinuation": "blank lines inside an instruction will be refused one day",
    "ConsistentInstructionCasing": "all instructions should be written in one case",
    "DuplicateStageName": "a stage's name should be its own",
    "ReservedStageName": "scratch and context are no names for stages",
    "JSONArgsRecommended": "CMD and ENTRYPOINT in shell form do not pass signals on to the program",
    "MaintainerDeprecated": "a label should name the author, MAINTAINER is deprecated",
    "UndefinedArgInFrom": "a variable in FROM should be declared by an ARG before it",
    "WorkdirRelativePath": "a relative WORKDIR depends on the base image",
    "UndefinedVar": "a variable should be set before it is used",
    "MultipleInstructionsDisallowed": "of several CMD, ENTRYPOINT or HEALTHCHECK in a stage only the last counts",
    "LegacyKeyValueFormat": "NAME VALUE without an equals sign is the old form",
    "RedundantTargetPlatform": "the target's platform is what FROM takes anyway",
    "SecretsUsedInArgOrEnv": "ARG and ENV can be read from the image by everybody who has it",
    "InvalidDefaultArgInFrom": "the defaults of the ARGs should give a valid image name",
    "FromPlatformFlagConstDisallowed": "a constant platform keeps the image from being built for others",
    "CopyIgnoredFile": "what .dockerignore keeps out cannot be copied",
    "InvalidDefinitionDescription": "a comment above a named stage or an ARG should begin with the name",
    "ExposeProtoCasing": "the protocol of EXPOSE should be lower case",
    "ExposeInvalidFormat": "EXPOSE takes ports of the container, no addresses and no ports of the host",
}
OVERRIDE = "BUILDKIT_DOCKERFILE_CHECK"  # the build argument that BuildKit takes for a check directive
EXPERIMENTAL = frozenset({"InvalidDefinitionDescription"})
_CHECK_COMMENT = re.compile(r"check\s*=\s*(\S+)")
_YES = frozenset({"1", "t", "true"})
_NO = frozenset({"0", "f", "false"})


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that the Dockerfile breaks: where, and how."""

    rule: str
    position: Position
    message: str

    @property
    def description(self) -> str:
        """What the rule is about."""
        return DESCRIPTIONS[self.rule]


@dataclass(frozen=True, slots=True)
class Options:
    """What a `check` directive asks for: rules to leave out or to add ("all" is every one), and whether to refuse."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def wants(self, rule: str) -> bool:
        """Whether the rule is to be checked."""
        if rule in EXPERIMENTAL:
            return rule in self.experimental or "all" in self.experimental
        return rule not in self.skip and "all" not in self.skip

    def and_also(self, other: Options) -> Options:
        """These options and another's on top."""
        return Options(self.skip | other.skip, self.experimental | other.experimental, self.error or other.error)


def read_options(text: str, where: Position) -> Options:
    """The options of a check directive: `skip=A,B;error=true;experimental=all`. Raises InvalidArgument."""
    names: dict[str, frozenset[str]] = {"skip": frozenset(), "experimental": frozenset()}
    error = False
    for part in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in {*names, "error"}:
            raise where.refusal(
                f"invalid check option {part!r}", remedy=meant(key, {*names, "error"}) + "; write skip=RULE,RULE"
            )
        if key == "error":
            if value.lower() not in _YES | _NO:
                raise where.refusal(f"invalid check option {part!r}", remedy="write error=true or error=false")
            error = value.lower() in _YES
        else:
            names[key] = frozenset(name.strip() for name in value.split(","))
    return Options(names["skip"], names["experimental"], error)


def options_of(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> Options:
    """What the file's own check directive asks for, or a build argument in its place. Raises InvalidArgument."""
    if OVERRIDE in build_args:
        text = build_args[OVERRIDE]
        return read_options(text, Position(dockerfile.name, 1, 1, 1, f"{OVERRIDE}={text}"))
    line = next((item.line for item in dockerfile.directives if item.name == "check"), 1)
    text = dockerfile.directive("check")
    return read_options(text.partition(" ")[0], Position(dockerfile.name, line, line, 1, f"check={text}"))


def skipped_here(position: Position) -> Options:
    """What a `# check=skip=RULE` comment directly above an instruction leaves out, for that instruction alone."""
    for comment in position.comments:
        match = _CHECK_COMMENT.match(comment)
        if match:
            try:
                return read_options(match[1], position)
            except InvalidArgument:
                return Options()
    return Options()


def refuse(findings: tuple[Finding, ...], options: Options) -> None:
    """Refuse the build for its findings, when the options say so. Raises InvalidArgument."""
    if options.error and findings:
        rules = ", ".join(sorted({finding.rule for finding in findings}))
        raise findings[0].position.refusal(
            f"build checks failed: {rules}", remedy="mend what they say, or leave error=true out of the check directive"
        )
