"""What is no Dockerfile: each refusal names file, line and text, and says what would be right."""

from __future__ import annotations

import pytest

from sampan.build.parser import parse
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "line", "sentence", "remedy"),
    [
        ("", 1, "no instructions", "begin with FROM"),
        ("# only a comment\n", 1, "no instructions", "begin with FROM"),
        ("ARG a\n", 1, "no FROM", "add FROM"),
        ("RUN x\nFROM a\n", 1, "no build stage for RUN", "begin with FROM"),
        ("FROM a\nRUM x\n", 2, "unknown instruction 'RUM'", "did you mean RUN"),
        ("FROM a\nGARBAGE x\n", 2, "unknown instruction 'GARBAGE'", "known are ADD, ARG, CMD"),
        ("<!doctype html>\n", 1, "unknown instruction '<!doctype'", "page of the web"),
        ("FROM a\nENTRYPOIN x\n", 2, "unknown instruction", "did you mean ENTRYPOINT"),
        ("FROM a\nqqqqq x\n", 2, "unknown instruction", "known are ADD"),
        ("FROM a\nRUN x\n  && y\n", 3, "unknown instruction '&&'", "end that one with a \\"),
        ("FROM\n", 1, "one or three arguments", "FROM IMAGE AS NAME"),
        ("FROM a # x\n", 1, "one or three arguments", "comments"),
        ("FROM a AS 1st\n", 1, "invalid name for build stage: '1st'", "begin it with a letter"),
        ("FROM a AS b/c\n", 1, "invalid name", "letters"),
        ("FROM --plattform=x a\n", 1, "unknown flag --plattform", "did you mean --platform"),
        ("# escape=x\nFROM a\n", 1, "invalid escape token", "# escape"),
        ("# syntax=a\n# syntax=b\nFROM a\n", 2, "only one syntax", "remove"),
        ("FROM a\n\nRUN\n", 3, "RUN requires a command", "RUN command"),
        ("FROM a\nRUN []\n", 2, "empty list", "program"),
        ("FROM a\nRUN --mont=x y\n", 2, "unknown flag --mont", "did you mean --mount"),
        ("FROM a\nRUN --network=nowhere x\n", 2, "invalid value 'nowhere'", "known are"),
        ("FROM a\nRUN --network=hots x\n", 2, "invalid value 'hots'", "did you mean host"),
        ("FROM a\nRUN --network x\n", 2, "missing a value on flag --network", "without a space"),
        ("FROM a\nCMD --x y\n", 2, "unknown flag --x of CMD", "takes no flags"),
        ("FROM a\nCMD [1]\n", 2, "no strings", "quotes"),
        ('FROM a\nCMD ["a", ["b"]]\n', 2, "no strings", "quotes"),
        ("FROM a\nCOPY a\n", 2, "at least a source and a destination", "COPY SOURCE"),
        ("FROM a\nCOPY\n", 2, "at least a source and a destination", "COPY SOURCE"),
        ('FROM a\nCOPY "a b" /x\n', 2, "a quote that is not closed in '\"a'", "JSON form"),
        ("FROM a\nADD it's /x\n", 2, "a quote that is not closed", 'ADD ["A B"'),
        ("FROM a\nCOPY --form=x a b\n", 2, "unknown flag --form of COPY", "did you mean --from"),
        ("FROM a\nCOPY --link=maybe a b\n", 2, "no yes or no", "--link=false"),
        ("FROM a\nCOPY --chown=a --chown=b a b\n", 2, "duplicate flag --chown", "once"),
        ("FROM a\nCOPY a <<EOF\nx\nEOF\n", 2, "heredoc as a destination", "COPY <<FILE"),
        ("FROM a\nCOPY --from=b <<EOF /x\nx\nEOF\n", 2, "heredoc is not in another stage", "two COPY"),
        ("FROM a\nRUN <<EOF\nx\n", 2, "unterminated heredoc 'EOF'", "a line that says EOF"),
        ("FROM a\nRUN <<EOF\nx\n  EOF\n", 2, "unterminated heredoc 'EOF'", "without spaces"),
        ("FROM a\nENV\n", 2, "ENV requires an argument", "ENV NAME=VALUE"),
        ("FROM a\nENV a\n", 2, "must have two arguments", "ENV a=VALUE"),
        ("FROM a\nENV a=b c\n", 2, "can't find = in 'c'", "quotes"),
        ("FROM a\nENV =b\n", 2, "can not be blank", "NAME=VALUE"),
        ("FROM a\nLABEL a=b c\n", 2, "can't find = in 'c'", "quotes"),
        ("FROM a\nARG =x\n", 2, "ARG names can not be blank", "ARG NAME"),
        ("FROM a\nARG\n", 2, "ARG requires an argument", "ARG NAME"),
        ("FROM a\nEXPOSE\n", 2, "EXPOSE requires an argument", "8080"),
        ("FROM a\nVOLUME []\n", 2, "VOLUME without a path", "/data"),
        ('FROM a\nVOLUME [" "]\n', 2, "VOLUME without a path", "/data"),
        ("FROM a\nUSER\n", 2, "USER requires an argument", "USER NAME"),
        ("FROM a\nWORKDIR\n", 2, "WORKDIR requires an argument", "/path"),
        ("FROM a\nSTOPSIGNAL\n", 2, "STOPSIGNAL requires an argument", "SIGTERM"),
        ("FROM a\nSHELL bash -c\n", 2, "JSON form", '"/bin/bash"'),
        ("FROM a\nSHELL []\n", 2, "JSON form", '"/bin/bash"'),
        ("FROM a\nHEALTHCHECK\n", 2, "requires an argument", "HEALTHCHECK CMD"),
        ("FROM a\nHEALTHCHECK curl x\n", 2, "unknown type 'curl'", "CMD command"),
        ("FROM a\nHEALTHCHECK CMD\n", 2, "missing command", "CMD command"),
        ("FROM a\nHEALTHCHECK NONE x\n", 2, "takes no arguments", "alone"),
        ("FROM a\nHEALTHCHECK --interval=x CMD y\n", 2, "invalid duration 'x'", "30s"),
        ("FROM a\nHEALTHCHECK --interval=1us CMD y\n", 2, "less than 1ms", "30s"),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD y\n", 2, "no number", "--retries=3"),
        ("FROM a\nONBUILD\n", 2, "requires an argument", "ONBUILD INSTRUCTION"),
        ("FROM a\nONBUILD ONBUILD RUN x\n", 2, "ONBUILD isn't allowed", "Dockerfile that builds"),
        ("FROM a\nONBUILD FROM x\n", 2, "FROM isn't allowed", "Dockerfile that builds"),
        ("FROM a\nONBUILD RUM x\n", 2, "unknown instruction 'RUM'", "did you mean RUN"),
    ],
)
def test_a_refusal_names_the_place_and_says_what_would_be_right(
    text: str, line: int, sentence: str, remedy: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse(text.encode(), name="web/Dockerfile")
    assert refusal.value.sentence.startswith(f"web/Dockerfile:{line}: ")
    assert sentence in refusal.value.sentence
    assert remedy in refusal.value.remedy


def test_a_refusal_shows_a_text_of_one_word_once() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse(b"FROM a\nFOO\n", name="D")
    assert refusal.value.sentence == "D:2: unknown instruction 'FOO'"


def test_a_refusal_shows_the_text_and_shortens_a_long_one() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse(b"FROM a\nCOPY --what=ever " + b"x" * 5000 + b" y\n", name="D")
    assert "'COPY --what=ever xxx" in refusal.value.sentence
    assert len(refusal.value.sentence) < 400
