"""Build checks here, without a build, or for a daemon of Docker's: the rules are the builder's own.

Base images are asked of the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def as_told(found: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Findings as the daemon tells them of a build."""
    return [
        {
            "rule": one.rule,
            "description": one.description,
            "text": one.message,
            "line": one.position.line,
            "endLine": one.position.end_line,
        }
        for one in found
    ]


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
