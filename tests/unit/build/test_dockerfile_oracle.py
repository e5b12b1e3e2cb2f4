"""The parser, the words and the ignore rules against e2b-dockerfile-utils, a port of BuildKit's and Moby's."""

from __future__ import annotations

import re
from collections.abc import Iterator

import e2b_dockerfile_utils as oracle
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from sampan.build import lines, words
from sampan.build.heredocs import command_of
from sampan.build.ignore import IgnoreRules
from sampan.build.instructions import Arg, Copy, Env, ExecForm, Expose, Instruction, Label, Run, ShellForm, Stage
from sampan.build.parser import parse
from sampan.errors import InvalidArgument

# The same cases in every run, and no clock: a loaded machine and a lucky draw decide nothing.
FIXED = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

DOCKERFILES = [
    'FROM a\nRUN one \\\n  # c\n\n  two\nCMD ["x"]\n',
    '# escape=`\nFROM a\nRUN a `\n  b\nENV x=`y z="q`"w"\n',
    'FROM --platform=linux/amd64 a AS b\nCOPY --from=x --chown=1:2 "a" c /d/\nADD ["a b", "c"]\n',
    'FROM a\nENV a=b c=\'d e\' f="g\\"h" i=j\\ k\nENV old style  value\nLABEL a.b=c "d e"=f\nARG x=1 y\n',
    "FROM a\nRUN <<EOF\na\n  b\nEOF\nRUN cat <<-A 3<<'B' > x\n\t1\n\tA\n2\nB\nCMD x\n",
    'FROM a\nCOPY <<f.txt <<"g h" plain /x/\n1\nf.txt\n2\ng h\nUSER me\n',
    'FROM a\nEXPOSE 80 81/udp\nVOLUME /a /b\nWORKDIR /a b\nSTOPSIGNAL 9\nSHELL ["a", "b"]\n',
    "FROM a\nHEALTHCHECK --retries=3 CMD a b\nONBUILD RUN x\n",
    "FROM a\r\nRUN x \\\r\n y\r\n",
    "FROM a\nRUN --mount=type=cache,target=/x --network=none y --z\nRUN -- --a\n",
    'FROM a\nRUN --mount="type=tmpfs,target=/a b" x\n',
    "FROM a\nRUN echo \\\\\nRUN echo \\\\\\\nRUN y\n",
    'from a\nrun x\ncmd [ "a" , "b" ]\nentrypoint ["a"\n',
    "FROM a\nRUN x \\\n y \\\n",
]


def arguments(instruction: Instruction | Stage) -> list[str] | None:
    """An instruction's arguments as the oracle lists them; None where there is nothing to hold against."""
    match instruction:
        case Env(pairs=pairs) | Label(pairs=pairs):
            return [part for pair in pairs for part in (pair.key, pair.value, "" if pair.legacy else "=")]
        case Arg(arguments=named):
            return [item.name if item.value is None else f"{item.name}={item.value}" for item in named]
        case Run(command=command):
            return list(command.words) if isinstance(command, ExecForm) else [command.text]
        case Copy(sources=sources, destination=destination, heredocs=()):
            return [*sources, destination]
        case Expose(ports=ports):
            return list(ports)
    return None


def instructions_of(data: bytes) -> Iterator[Instruction | Stage]:
    dockerfile = parse(data, name="Dockerfile")
    yield from dockerfile.arguments
    for stage in dockerfile.stages:
        yield stage
        yield from stage.instructions


def agree(text: str) -> None:
    expected = oracle.parse_dockerfile_ast(text)
    cut = lines.cut(text.encode(), name="Dockerfile")
    assert cut.escape == expected.escape_token
    assert [line.position.text for line in cut.lines] == [item.original.strip() for item in expected.instructions]
    for ours, theirs in zip(instructions_of(text.encode()), expected.instructions, strict=True):
        assert (ours.position.line, ours.position.end_line) == (theirs.start_line, theirs.end_line)
        found = arguments(ours)
        assert found is None or found == theirs.args
    for line, theirs in zip(cut.lines, expected.instructions, strict=True):
        assert [(doc.name, doc.content, doc.strip_tabs, doc.expand, doc.descriptor) for doc in line.heredocs] == [
            (doc.name, doc.content, doc.chomp, doc.expand, doc.file_descriptor) for doc in theirs.heredocs
        ]


@pytest.mark.parametrize("text", DOCKERFILES)
def test_a_file_is_cut_into_the_same_instructions(text: str) -> None:
    agree(text)


LINE = st.sampled_from(
    [
        "RUN a b",
        "RUN a \\\n b",
        "RUN a \\\n # c\n b",
        'RUN ["a", "b"]',
        "RUN <<E\n x\n\ty\nE",
        "RUN cat <<-E <<'F'\n\tx\n\tE\ny\nF",
        'ENV a=b c="d e"',
        "ENV a b c",
        "ARG x y=z",
        "COPY --chmod=1 a b /c",
        "COPY <<E /x\n$y\nE",
        "  LABEL a='b \\' c=d",
        "# a comment",
        "",
        "EXPOSE 1 2",
        "USER me ",
        "\tCMD x",
    ]
)


@FIXED
@given(st.lists(LINE, max_size=8))
def test_any_order_of_lines_is_cut_alike(chosen: list[str]) -> None:
    agree("\n".join(["FROM a", *chosen]))


@FIXED
@given(st.text(alphabet="ab$}{:-+?\\'\" ", max_size=16))
@example('"\\"a')
def test_a_word_expands_alike(word: str) -> None:
    variables = {"a": "A a", "b": ""}
    lexer = oracle.ShellLex("\\", env=variables, skip_unset_env=False)
    assume(not re.search(r"[-+?]\$", word))
    try:
        expected = lexer.process_word(word)
    except ValueError:
        with pytest.raises(InvalidArgument):
            words.expand(word, variables)
        return
    assert words.expand(word, variables) == expected
    assert list(words.split_words(word, variables)) == [part for part in lexer.process_words(word) if part]


PATTERN = st.lists(st.sampled_from(["a", "b", "*", "?", "**", "a*", "*b", "a*b", "[ab]", "a?"]), min_size=1, max_size=4)


@FIXED
@given(
    st.lists(st.tuples(st.booleans(), PATTERN.map("/".join)), min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab"]), min_size=1, max_size=4),
)
def test_a_path_is_ignored_alike(patterns: list[tuple[bool, str]], names: list[str]) -> None:
    written = [("!" if keeps else "") + pattern for keeps, pattern in patterns]
    matcher = oracle.PatternMatcher(written)
    path = "/".join(names)
    assert IgnoreRules(written).excludes(path) == matcher.matches(path)


def test_the_oracle_is_asked_about_scripts_too() -> None:
    (run,) = parse(b"FROM a\nRUN <<E\nx\nE", name="D").stages[0].instructions
    assert isinstance(run, Run)
    assert command_of(run) == ShellForm(
        oracle.parse_dockerfile_ast("RUN <<E\nx\nE").instructions[0].heredocs[0].content
    )
