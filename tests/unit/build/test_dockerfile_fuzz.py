"""Any bytes at all: the parser answers with a Dockerfile or with a refusal that has a remedy, in linear time."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.build import words
from sampan.build.heredocs import command_of
from sampan.build.ignore import IgnoreRules
from sampan.build.instructions import Dockerfile, Run
from sampan.build.parser import KEYWORDS, parse
from sampan.build.patterns import replaced, without_prefix, without_suffix
from sampan.errors import InvalidArgument

# The same cases in every run, and no clock: a loaded machine and a lucky draw decide nothing.
FIXED = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

PIECES = [
    *sorted(KEYWORDS),
    *"-- --from= --mount= from run # \\ ` \n \r\n \t $ { } ${ : - + ? % / // ' \" [ ] , = << <<- <<E E 3<<X X".split(
        " "
    ),
    " ",
    "\n",
    "--mount=type=cache,target=/x",
    "--platform=$P",
    '["a", "b"]',
    "# escape=`\n",
    "# check=skip=all\n",
    "ONBUILD RUN <<A\nb\nA\n",
    "AS",
    "NONE",
    "CMD",
    "a",
    "é",
    "\x00",
    "\ufeff",
    "\u2028",
    "\x85",
    "&&",
    "/",
    "*",
]


def judged(data: bytes) -> Dockerfile | None:
    dockerfile, refusal = None, None
    try:
        dockerfile = parse(data, name="Dockerfile")
    except InvalidArgument as error:
        refusal = error
    if refusal is not None:
        assert refusal.remedy
        assert re.match(r"Dockerfile:[0-9]+: ", refusal.sentence)
    return dockerfile


def walk(dockerfile: Dockerfile) -> None:
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            assert 1 <= instruction.position.line <= instruction.position.end_line
            if isinstance(instruction, Run):
                command_of(instruction)


@FIXED
@given(st.binary(max_size=400))
def test_any_bytes_are_a_dockerfile_or_are_refused(data: bytes) -> None:
    dockerfile = judged(b"FROM a\n" + data)
    if dockerfile is not None:
        walk(dockerfile)


@FIXED
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_pieces_of_the_language_in_any_order_are_read_or_refused(text: str) -> None:
    for source in (text, "FROM a\n" + text):
        dockerfile = judged(source.encode())
        if dockerfile is not None:
            walk(dockerfile)


@FIXED
@given(
    st.text(alphabet="ab$}{:-+?#%/\\'\" *", max_size=40), st.dictionaries(st.sampled_from("ab"), st.text(max_size=8))
)
def test_any_word_expands_or_is_refused(word: str, variables: dict[str, str]) -> None:
    words.cut_words(word)
    words_are_bounded = len(word) * (max(map(len, variables.values()), default=0) + 1) ** 2 + 1000
    with contextlib.suppress(InvalidArgument):
        assert len(words.expand_document(word, variables)) <= words_are_bounded
        assert len(words.expand(word, variables)) <= words_are_bounded


def as_expression(pattern: str, *, shortest: bool) -> re.Pattern[str]:
    star = ".*?" if shortest else ".*"
    return re.compile("".join({"*": star, "?": "."}.get(item, re.escape(item)) for item in pattern))


@FIXED
@given(st.text(alphabet="ab*?", max_size=6), st.text(alphabet="ab\n", max_size=10))
def test_patterns_take_away_what_regular_expressions_would(pattern: str, value: str) -> None:
    for longest in (False, True):
        match = as_expression(pattern, shortest=not longest).match(value)
        expected = value[match.end() :] if match else value
        assert without_prefix(value, pattern, longest=longest) == expected
        backwards = as_expression(pattern[::-1], shortest=not longest).match(value[::-1])
        expected = value[: len(value) - backwards.end()] if backwards else value
        assert without_suffix(value, pattern, longest=longest) == expected


@FIXED
@given(st.text(alphabet="ab*?", min_size=1, max_size=5), st.text(alphabet="ab\n", max_size=10))
def test_replacing_takes_the_leftmost_and_longest(pattern: str, value: str) -> None:
    expression = as_expression(pattern, shortest=False)
    assert replaced(value, pattern, "<>", every=False) == expression.sub("<>", value, count=1)


@FIXED
@given(st.lists(st.text(alphabet="ab*?/![]^-\\.", max_size=12), max_size=4), st.text(alphabet="ab/.", max_size=12))
def test_any_ignore_pattern_judges_or_is_refused(patterns: list[str], path: str) -> None:
    try:
        rules = IgnoreRules(patterns)
    except InvalidArgument:
        return
    if rules.skips(path):
        assert rules.excludes(path)
        assert rules.excludes(path + "/below")


BIG = 60_000


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nRUN x" + " \\\n y" * BIG,
        "FROM a\nRUN x \\\n" + "# c\n" * BIG + "y",
        "# c\n" * BIG + "FROM a\n",
        "FROM a\n" + "ENV a=b\n" * (BIG // 4),
        "FROM a\nENV " + "a=b " * BIG,
        "FROM a\nENV a='" + '"' * BIG,
        "FROM a\nRUN " + "<<A " * BIG + "\n",
        "FROM a\nRUN " + "<<" * BIG,
        "FROM a\nRUN " + "<<'" * BIG,
        "FROM a\nRUN <<A\n" + "B\n" * BIG,
        "FROM a\nCOPY " + "a " * BIG + "/x",
        "FROM a\nCMD " + "[" * BIG,
        "FROM a\nCMD [" + "1" * BIG + "]",
        "FROM a\nRUN --mount=" + "a," * BIG,
        "FROM a\nRUN " + "--mount=type=tmpfs,target=/x " * (BIG // 40) + "x",
        "FROM a\nRUN --" + " --" * BIG,
        "#" + " " * BIG + "syntax" + " " * BIG + "=" + " " * BIG,
        "# check=" + " " * BIG + "x" + " " * BIG + "y\nFROM a",
        "FROM a\nHEALTHCHECK --interval=" + "1s" * BIG + " CMD x",
        "FROM a\n" + "x" * BIG + " y",
        "FROM " * BIG,
        " " * BIG + "\t" * BIG,
    ],
    ids=range(22),
)
def test_a_big_file_takes_no_more_than_its_size(text: str) -> None:
    """Quadratic work on these would take minutes: the session's limit of two is what fails then."""
    for _ in range(2):
        judged(text.encode())
