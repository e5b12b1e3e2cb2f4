"""The published build checks: each rule broken once and kept once, and how a file switches them off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from sampan.build.builder import plan_build
from sampan.build.ignore import IgnoreRules
from sampan.build.lint import check
from sampan.build.lint_rules import DESCRIPTIONS, Finding, options_of, read_options, refuse
from sampan.build.parser import parse
from sampan.build.request import BuildRequest
from sampan.build.scopes import platform_arguments
from sampan.errors import InvalidArgument

LINUX = ("linux", "amd64", "")
PLATFORMS = platform_arguments(LINUX, LINUX, target_stage="")


def findings(text: str, *ignored: str, **build_args: str) -> tuple[Finding, ...]:
    def environment_of(base: str) -> Mapping[str, str] | None:
        return {"PATH": "/bin"} if base == "known" else None

    return check(
        parse(text.encode(), name="Dockerfile"),
        build_args=build_args,
        platforms=PLATFORMS,
        ignore=IgnoreRules(ignored) if ignored else None,
        environment_of=environment_of,
    )


def rules(text: str, *ignored: str) -> list[tuple[str, int]]:
    return [(finding.rule, finding.position.line) for finding in findings(text, *ignored)]


@pytest.mark.parametrize(
    ("broken", "line", "kept"),
    [
        ("StageNameCasing: FROM a AS Bee", 1, "FROM a AS bee"),
        ("FromAsCasing: FROM a as b", 1, "from a as b"),
        ("NoEmptyContinuation: FROM a\nRUN b \\\n\n  c", 2, "FROM a\nRUN b \\\n# d\n  c"),
        ("ConsistentInstructionCasing: FROM a\nRUN b\nrun c", 3, "from a\nrun b\nrun c"),
        ("ConsistentInstructionCasing: from a\nrun b\nRun c", 3, "FROM a\nRUN b"),
        ("DuplicateStageName: FROM a AS b\nFROM c AS b", 2, "FROM a AS b\nFROM c AS d"),
        ("ReservedStageName: FROM a AS scratch", 1, "FROM a AS scratchy"),
        ("ReservedStageName: FROM a AS context", 1, "FROM a AS contexts"),
        ("JSONArgsRecommended: FROM a\nCMD b c", 2, 'FROM a\nCMD ["b", "c"]'),
        ("JSONArgsRecommended: FROM a\nENTRYPOINT b", 2, 'FROM a\nSHELL ["bash", "-c"]\nENTRYPOINT b'),
        ("MaintainerDeprecated: FROM a\nMAINTAINER b", 2, "FROM a\nLABEL b=c"),
        ("UndefinedArgInFrom: FROM a$V", 1, "ARG V=1\nFROM a:$V"),
        ("UndefinedArgInFrom: FROM --platform=$BUILDPLATFROM a", 1, "FROM --platform=$BUILDPLATFORM a"),
        ("UndefinedVar: FROM known\nCOPY $src /", 2, "FROM known\nARG src\nCOPY $src $PATH"),
        ("UndefinedVar: FROM scratch\nENV PATH=$PAHT:/x", 2, "FROM unknown\nENV PATH=$PATH:/x"),
        ("UndefinedVar: FROM scratch\nCOPY <<F /f\n$x\nF", 2, "FROM scratch\nCOPY <<'F' /f\n$x\nF"),
        ("UndefinedVar: FROM scratch\nRUN --mount=target=$t x", 2, "FROM scratch\nRUN x $t"),
        ("WorkdirRelativePath: FROM a\nWORKDIR b", 2, "FROM a\nWORKDIR /b\nWORKDIR c"),
        ("MultipleInstructionsDisallowed: FROM a\nCMD []\nCMD []", 2, "FROM a\nCMD []\nFROM a\nCMD []"),
        ("MultipleInstructionsDisallowed: FROM a\nHEALTHCHECK NONE\nHEALTHCHECK CMD x", 2, "FROM a\nHEALTHCHECK NONE"),
        ("LegacyKeyValueFormat: FROM a\nENV b c", 2, "FROM a\nENV b=c"),
        ("LegacyKeyValueFormat: FROM a\nLABEL b c", 2, "FROM a\nLABEL b=c"),
        ("RedundantTargetPlatform: FROM --platform=${TARGETPLATFORM} a", 1, "FROM --platform=$BUILDPLATFORM a"),
        ("SecretsUsedInArgOrEnv: FROM a\nARG API_TOKEN", 2, "FROM a\nARG PUBLIC_KEY"),
        ("SecretsUsedInArgOrEnv: FROM a\nENV DB_PASSWORD=b", 2, "FROM a\nENV DB_PASSWORD_FILE=b MONKEY=c"),
        ("InvalidDefaultArgInFrom: ARG V\nFROM $V", 2, "ARG V=a\nFROM $V"),
        ("InvalidDefaultArgInFrom: ARG V\nFROM a:$V", 2, "ARG V=1\nFROM a:$V"),
        (
            "FromPlatformFlagConstDisallowed: FROM --platform=linux/arm64 a AS b",
            1,
            "FROM --platform=linux/arm64 a AS b-arm64",
        ),
        ("ExposeProtoCasing: FROM a\nEXPOSE 80/TCP", 2, "FROM a\nEXPOSE 80/tcp 53/udp"),
        ("ExposeInvalidFormat: FROM a\nEXPOSE 8080:80", 2, "FROM a\nEXPOSE 8080-8090"),
    ],
)
def test_each_rule_is_broken_by_one_file_and_kept_by_another(broken: str, line: int, kept: str) -> None:
    rule, _, text = broken.partition(": ")
    assert rules(text) == [(rule, line)]
    assert rules(kept) == []


@pytest.mark.parametrize(
    ("text", "ignored", "broken"),
    [
        ("FROM a\nCOPY b/c /d", ["b"], True),
        ("FROM a\nADD ./b /d", ["b"], True),
        ("FROM a\nCOPY . /d", ["*"], True),
        ("FROM a\nCOPY . /d", ["*.log"], False),
        ("FROM a\nCOPY b /d", ["b", "!b/c"], False),
        ("FROM a\nCOPY --from=x b /d", ["b"], False),
        ("FROM a\nADD https://example.test/b /d", ["b", "https:"], False),
    ],
)
def test_a_copy_of_what_is_ignored_is_told(text: str, ignored: list[str], *, broken: bool) -> None:
    assert rules(text, *ignored) == ([("CopyIgnoredFile", 2)] if broken else [])


def test_a_description_is_checked_only_on_request() -> None:
    text = "# this is nothing\nFROM a AS b\n# c the name\nARG c\n"
    assert rules(text) == []
    assert rules("# check=experimental=InvalidDefinitionDescription\n" + text) == [("InvalidDefinitionDescription", 3)]


def test_rules_are_skipped_by_the_file_and_by_a_comment_above() -> None:
    text = "FROM a AS Bee\nMAINTAINER c\n"
    assert rules(text) == [("StageNameCasing", 1), ("MaintainerDeprecated", 2)]
    assert rules("# check=skip=StageNameCasing,JSONArgsRecommended\n" + text) == [("MaintainerDeprecated", 3)]
    assert rules("# check=skip=all\n" + text) == []
    assert rules("FROM a AS Bee\n# check=skip=MaintainerDeprecated\nMAINTAINER c\n") == [("StageNameCasing", 1)]


def test_findings_become_errors_on_request() -> None:
    dockerfile = parse(b"# check=error=true\nFROM a\nCMD b\nMAINTAINER c\n", name="Dockerfile")
    found = check(dockerfile, build_args={}, platforms=PLATFORMS)
    with pytest.raises(InvalidArgument, match="JSONArgsRecommended, MaintainerDeprecated") as refusal:
        refuse(found, options_of(dockerfile, {}))
    assert "error=true" in refusal.value.remedy
    refuse((), options_of(dockerfile, {}))
    refuse(found, read_options("", found[0].position))


def test_a_build_is_refused_before_it_begins_when_the_file_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("# check=error=true\nFROM scratch\nMAINTAINER c\n")
    with pytest.raises(InvalidArgument, match="MaintainerDeprecated"):
        plan_build(BuildRequest(), str(tmp_path))
    (tmp_path / "Dockerfile").write_text("# check=skip=MaintainerDeprecated;error=true\nFROM scratch\nMAINTAINER c\n")
    assert plan_build(BuildRequest(), str(tmp_path)).dockerfile.name == "Dockerfile"


def test_a_build_argument_stands_for_the_check_directive(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("# check=error=true\nFROM scratch\nMAINTAINER c\n")
    for text in ("skip=all", "skip=MaintainerDeprecated;error=true", ""):
        plan_build(BuildRequest(build_args={"BUILDKIT_DOCKERFILE_CHECK": text}), str(tmp_path))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nMAINTAINER c\n")
    for text, words in (("error=true", "MaintainerDeprecated"), ("error=maybe", "invalid check option")):
        with pytest.raises(InvalidArgument, match=words):
            plan_build(BuildRequest(build_args={"BUILDKIT_DOCKERFILE_CHECK": text}), str(tmp_path))


@pytest.mark.parametrize("text", ["skp=A", "skip", "error=maybe"])
def test_a_bad_check_directive_is_refused(text: str) -> None:
    dockerfile = parse(f"# syntax=x\n# check={text}\nFROM a\n".encode(), name="Dockerfile")
    with pytest.raises(InvalidArgument, match=r"Dockerfile:2: .*invalid check option") as refusal:
        options_of(dockerfile, {})
    assert refusal.value.remedy


def test_a_stage_from_a_stage_knows_its_variables_and_directory() -> None:
    text = "FROM scratch AS one\nENV a=b\nWORKDIR /x\nFROM one\nCOPY $a /\nWORKDIR y\n"
    assert rules(text) == []


def test_a_near_name_is_suggested() -> None:
    (finding,) = findings("ARG VERSION=1\nFROM a$VERSON\n")
    assert "did you mean VERSION?" in finding.message
    (finding,) = findings("FROM known\nENV x=$PTH\n")
    assert "did you mean $PATH?" in finding.message


def test_a_file_that_cannot_be_expanded_is_checked_as_far_as_it_goes() -> None:
    assert rules("ARG a=${b:?}\nFROM c\nMAINTAINER d\nENV e=${f\nWORKDIR ${\n")[0][0] == "MaintainerDeprecated"


def test_every_rule_has_a_description_in_one_line() -> None:
    assert len(DESCRIPTIONS) == 21
    page = (Path(__file__).parents[3] / "docs" / "reference" / "dockerfile.md").read_text()
    assert all(f"| `{rule}` | {text} |" in page for rule, text in DESCRIPTIONS.items())
    assert all(re.fullmatch(r"[A-Za-z].*[^.]", text) for text in DESCRIPTIONS.values())
    assert findings("FROM a\nMAINTAINER b\n")[0].description == DESCRIPTIONS["MaintainerDeprecated"]


def test_a_list_that_is_no_json_is_told_of() -> None:
    (finding,) = findings("FROM scratch\nCMD ['a', 'b']\n")
    assert (finding.rule, "double quotes" in finding.message) == ("JSONArgsRecommended", True)
