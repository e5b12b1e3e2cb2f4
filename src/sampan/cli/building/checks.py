"""Build checks here, without a build: the rules are the builder's own, base images are asked of the daemon."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.build.ignore import IgnoreRules
from sampan.build.lint import check
from sampan.build.lint_rules import Finding, options_of, refuse
from sampan.build.parser import parse
from sampan.build.scopes import platform_arguments
from sampan.cli.grammar import Failure
from sampan.client.failure import ClientError
from sampan.client.session import Session, quote
from sampan.errors import InvalidArgument


def findings(
    session: Session, text: bytes, *, name: str, build_args: Mapping[str, str], platform: str, rules: IgnoreRules | None
) -> tuple[Finding, ...]:
    """What the checks find. Failure for a Dockerfile that is none."""
    try:
        own = _own_platform(session)
        return check(
            parse(text, name=name),
            build_args=build_args,
            platforms=platform_arguments(_platform(platform) if platform else own, own, target_stage=""),
            ignore=rules,
            environment_of=lambda base: _environment(session, base),
        )
    except InvalidArgument as error:
        raise Failure(error.sentence, remedy=error.remedy) from None


def refuse_if_asked(text: bytes, name: str, found: tuple[Finding, ...], build_args: Mapping[str, str]) -> None:
    """Failure when the Dockerfile's check directive, or a build argument in its place, makes errors of findings."""
    try:
        refuse(found, options_of(parse(text, name=name), build_args))
    except InvalidArgument as error:
        raise Failure(error.sentence, remedy=error.remedy) from None


def report(found: tuple[Finding, ...], text: bytes) -> str:
    """The findings as lines of text: rule, place, what is wrong, and the lines themselves."""
    source = text.decode("utf-8", "replace").splitlines()
    parts = []
    for finding in found:
        at = finding.position
        parts.append(f"{at.file}:{at.line}: {finding.rule}: {finding.message}\n")
        parts += [f"  {line:4} │ {source[line - 1]}\n" for line in range(at.line, min(at.end_line, at.line + 4) + 1)]
        parts.append(f"         {finding.description}\n")
    return "".join(parts)


def excerpt(text: bytes, line: int, around: int = 2) -> str:
    """The lines around one, which is marked."""
    source = text.decode("utf-8", "replace").splitlines()
    if not 0 < line <= len(source):
        return ""
    shown = range(max(1, line - around), min(len(source), line + around) + 1)
    return "".join(f"  {'>' if at == line else ' '} {at:4} │ {source[at - 1]}\n" for at in shown)


def _own_platform(session: Session) -> tuple[str, str, str]:
    """The daemon's platform."""
    try:
        about = session.call("GET", "/version")
    except ClientError:
        return "linux", "amd64", ""
    return about.get("Os") or "linux", about.get("Arch") or "amd64", ""


def _platform(text: str) -> tuple[str, str, str]:
    system, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return system, architecture, variant


def _environment(session: Session, base: str) -> dict[str, str] | None:
    """The variables of a base image that the daemon has; None when it has none of this name."""
    if not base:
        return None
    try:
        config = session.call("GET", f"/images/{quote(base)}/json").get("Config") or {}
    except ClientError:
        return None
    return dict(pair.partition("=")[::2] for pair in config.get("Env") or [])
