"""The grammar of command lines: Go pflag's."""

from __future__ import annotations

import pytest

from sampan.cli.grammar import HelpWanted, UsageError, parse

ROWS = (
    ("interactive", "i", "bool", "", ""),
    ("tty", "t", "bool", "", ""),
    ("detach", "d", "bool", "", ""),
    ("sig-proxy", "", "bool", "true", ""),
    ("publish", "p", "list", "", ""),
    ("name", "", "string", "", ""),
    ("memory", "m", "bytes", "0", ""),
    ("retries", "", "int", "7", ""),
    ("cpus", "", "decimal", "", ""),
    ("wait", "", "duration", "0", ""),
    ("network", "", "network", "", ""),
    ("net", "", "alias", "network", ""),
)


def test_short_bools_stand_together() -> None:
    arguments = parse(ROWS, ["-itd"])

    assert arguments.flag("interactive")
    assert arguments.flag("tty")
    assert arguments.flag("detach")


@pytest.mark.parametrize(
    "words", [["-p80:80"], ["-p", "80:80"], ["-p=80:80"], ["--publish=80:80"], ["--publish", "80:80"]]
)
def test_a_value_may_stand_in_five_ways(words: list[str]) -> None:
    assert parse(ROWS, words).items("publish") == ["80:80"]


def test_a_short_option_with_a_value_may_end_a_group() -> None:
    arguments = parse(ROWS, ["-itp80"])

    assert arguments.flag("tty")
    assert arguments.items("publish") == ["80"]


def test_a_bool_takes_a_value_only_behind_an_equals_sign() -> None:
    arguments = parse(ROWS, ["--tty=false", "--sig-proxy=0", "-d=true", "--interactive", "false"])

    assert not arguments.flag("tty")
    assert not arguments.flag("sig-proxy")
    assert arguments.flag("detach")
    assert arguments.flag("interactive")
    assert arguments.words == ["false"]


def test_a_repeated_option_keeps_the_order() -> None:
    assert parse(ROWS, ["-p1", "--publish", "2", "-p", "3"]).items("publish") == ["1", "2", "3"]


def test_options_may_follow_words_unless_the_first_word_ends_them() -> None:
    assert parse(ROWS, ["a", "-t", "b"]).words == ["a", "b"]
    behind = parse(ROWS, ["a", "-t", "b"], interspersed=False)
    assert behind.words == ["a", "-t", "b"]
    assert not behind.flag("tty")


def test_two_dashes_end_the_options_and_one_is_a_word() -> None:
    assert parse(ROWS, ["-t", "--", "-i", "--"]).words == ["-i", "--"]
    assert parse(ROWS, ["-", "-t"]).words == ["-"]


def test_an_alias_is_the_other_option() -> None:
    arguments = parse(ROWS, ["--net", "host"])

    assert arguments.items("network") == ["host"]
    assert arguments.names() == ["network"]


def test_numbers_are_read_and_defaults_hold() -> None:
    arguments = parse(ROWS, ["-m", "1.5g", "--cpus", ".5", "--wait", "1m30s"])

    assert arguments.number("memory") == 3 << 29
    assert arguments.number("cpus") == 500_000_000
    assert arguments.number("wait") == 90_000_000_000
    assert arguments.number("retries") == 7
    assert not arguments.given("retries")
    assert parse(ROWS, ["--retries", "0x10"]).number("retries") == 16


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--nope"], "unknown option --nope"),
        (["-x"], "unknown option -x"),
        (["-itx"], "unknown option -x in -itx"),
        (["--name"], "--name needs a value (string)"),
        (["-p"], "-p, --publish needs a value (list)"),
        (["--tty=maybe"], "-t, --tty is true or false, not 'maybe'"),
        (["-m", "much"], "-m, --memory cannot be 'much': it is no size (write a number and b, k, m, g, t or p)"),
        (["--retries", "x"], "--retries cannot be 'x': it is no whole number"),
    ],
)
def test_what_is_not_in_the_grammar_is_named(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(ROWS, words)

    assert caught.value.sentence == sentence
    assert caught.value.code == 125


def test_a_slip_is_answered_with_the_nearest_option() -> None:
    with pytest.raises(UsageError) as caught:
        parse(ROWS, ["--pubish", "80"])

    assert caught.value.remedy == "did you mean --publish?"


def test_help_is_wanted_by_either_form_and_not_when_it_is_a_value() -> None:
    for words in (["--help"], ["-h"], ["-t", "--help"]):
        with pytest.raises(HelpWanted):
            parse(ROWS, words)
    assert parse(ROWS, ["--name", "--help"]).text("name") == "--help"
    assert parse(ROWS, ["x", "--help"], interspersed=False).words == ["x", "--help"]
