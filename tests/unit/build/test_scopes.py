"""Which variables a word sees: before the first FROM, in a stage, from --build-arg, and hidden by ENV."""

from __future__ import annotations

import pytest

from sampan.build.instructions import Arg, Dockerfile, Env, Position
from sampan.build.parser import parse
from sampan.build.scopes import GlobalScope, StageScope, global_scope, platform_arguments, unused
from sampan.errors import InvalidArgument

PLATFORMS = platform_arguments(("linux", "arm64", "v8"), ("linux", "amd64", ""), target_stage="")
HERE = Position("Dockerfile", 1, 1, 1, "")


def read(text: str, **build_args: str) -> tuple[Dockerfile, GlobalScope]:
    dockerfile = parse(text.encode(), name="Dockerfile")
    return dockerfile, global_scope(dockerfile, build_args, PLATFORMS)


def follow(dockerfile: Dockerfile, scope: StageScope, *, stage: int = 0) -> StageScope:
    for instruction in dockerfile.stages[stage].instructions:
        if isinstance(instruction, Arg):
            scope.declare(instruction)
        elif isinstance(instruction, Env):
            scope.set_environment(instruction)
    return scope


def test_the_platform_arguments_are_named_as_docker_names_them() -> None:
    assert PLATFORMS["TARGETPLATFORM"] == "linux/arm64/v8"
    assert PLATFORMS["BUILDPLATFORM"] == "linux/amd64"
    assert (PLATFORMS["TARGETVARIANT"], PLATFORMS["BUILDVARIANT"]) == ("v8", "")
    assert PLATFORMS["TARGETSTAGE"] == "default"


def test_a_from_sees_the_arguments_before_it_and_the_platforms() -> None:
    dockerfile, scope = read(
        "ARG BASE=debian\nARG IMAGE=${BASE}:13\nFROM --platform=$BUILDPLATFORM $IMAGE-$TARGETARCH\n"
    )
    stage = dockerfile.stages[0]
    assert scope.expand(stage.base, stage.position).text == "debian:13-arm64"
    assert scope.expand(stage.platform, stage.position).text == "linux/amd64"
    _, given = read("ARG BASE=debian\nARG IMAGE=${BASE}:13\nFROM $IMAGE\n", BASE="alpine")
    assert given.values["IMAGE"] == "alpine:13"


def test_a_stage_sees_outer_arguments_only_once_it_declares_them() -> None:
    dockerfile, outer = read("ARG V=1\nFROM a\nARG V\nARG TARGETARCH\nARG W=w$V\n")
    scope = outer.stage({})
    assert scope.expand("$V$TARGETARCH", HERE) == ""
    follow(dockerfile, scope)
    assert scope.expand("$V $TARGETARCH $W", HERE) == "1 arm64 w1"


def test_a_given_argument_wins_over_defaults_and_one_without_any_is_not_set() -> None:
    dockerfile, outer = read("ARG V=1\nFROM a\nARG V=2\nARG X=3\nARG Y\n", X="given")
    scope = follow(dockerfile, outer.stage({}))
    assert scope.arguments == {"V": "2", "X": "given"}
    assert scope.declared == {"V", "X", "Y"}


def test_env_hides_an_argument_of_the_same_name() -> None:
    dockerfile, outer = read("FROM a\nARG V=arg\nENV V=env-$V\nARG V=again\n", V="given")
    scope = follow(dockerfile, outer.stage({"PATH": "/bin"}))
    assert scope.variables == {"PATH": "/bin", "V": "env-given"}


def test_all_pairs_of_an_env_see_what_was_known_before_its_line() -> None:
    dockerfile, outer = read("FROM a\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n")
    assert follow(dockerfile, outer.stage({})).environment == {"abc": "bye", "def": "hello", "ghi": "bye"}


def test_so_do_all_arguments_of_a_line_but_before_the_first_from() -> None:
    dockerfile, outer = read("ARG A=1 B=$A\nFROM a\nARG A=2\nARG A=3 C=$A\nARG B\n")
    assert follow(dockerfile, outer.stage({})).arguments == {"A": "3", "B": "1", "C": "2"}


def test_a_stage_from_a_stage_inherits_and_does_not_write_back() -> None:
    dockerfile, outer = read("FROM a AS one\nARG V=1\nENV E=e\nFROM one\nARG W=$V$E\nENV E=f\n")
    first = follow(dockerfile, outer.stage({}))
    second = follow(dockerfile, first.child(), stage=1)
    assert second.variables == {"V": "1", "W": "1e", "E": "f"}
    assert first.variables == {"V": "1", "E": "e"}


def test_proxies_reach_a_run_undeclared_and_nothing_else_does() -> None:
    _, outer = read("FROM a\n", http_proxy="p", other="o")
    scope = outer.stage({})
    assert scope.proxies == {"http_proxy": "p"}
    assert scope.variables == {}
    scope.declared.add("http_proxy")
    assert scope.proxies == {}


def test_arguments_that_nobody_declared_are_told() -> None:
    given = {"V": "1", "UNUSED": "2", "TARGETARCH": "3", "HTTPS_PROXY": "4", "OUTER": "5", "BUILDKIT_X": "6"}
    dockerfile, outer = read("ARG OUTER\nFROM a\nARG V\n", **given)
    scope = follow(dockerfile, outer.stage({}))
    assert unused(given, [scope], outer) == ("UNUSED",)


def test_a_refused_expansion_names_the_line() -> None:
    dockerfile, outer = read('FROM a\n\nARG V="${W:?must be given}"\n')
    with pytest.raises(InvalidArgument) as refusal:
        follow(dockerfile, outer.stage({}))
    assert refusal.value.sentence.startswith("Dockerfile:3: W: must be given")
    assert "--build-arg W" in refusal.value.remedy


def test_a_heredoc_is_expanded_by_the_stage() -> None:
    _, outer = read("FROM a\n")
    assert outer.stage({"x": "1"}).expand_heredoc('"$x"\n', HERE) == '"1"\n'
    with pytest.raises(InvalidArgument, match=r"Dockerfile:1: "):
        outer.stage({}).expand_heredoc("${x", HERE)
