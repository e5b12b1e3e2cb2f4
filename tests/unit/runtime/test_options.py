"""The grammar of the OCI command line: runc's and crun's ways to write options."""

from __future__ import annotations

import pytest

from sampan.errors import InvalidArgument
from sampan.runtime.commands.options import LIST, NUMBER, SWITCH, VALUE, Option, describe, parse

TABLE = (
    Option("--bundle -b", VALUE, "the bundle", "."),
    Option("--detach -d", SWITCH, "do not wait"),
    Option("--tty -t", SWITCH, "a terminal"),
    Option("--env -e", LIST, "a variable"),
    Option("--preserve-fds", NUMBER, "how many", "0"),
)


def test_options_are_taken_in_every_way_that_runc_and_crun_write_them() -> None:
    for line in ("--bundle x", "--bundle=x", "-b x", "-bx", "-bundle x", "-bundle=x", "-dtbx"):
        assert parse([*line.split(), "id"], TABLE).text("bundle") == "x"


def test_switches_can_be_run_together_and_switched_off() -> None:
    words = parse(["-dt", "id"], TABLE)
    assert words.has("detach")
    assert words.has("tty")
    assert not parse(["-d", "--detach=false"], TABLE).has("detach")
    assert parse(["--detach=1"], TABLE).has("detach")


def test_a_list_keeps_every_value_in_order_and_the_last_single_value_holds() -> None:
    words = parse(["-e", "A=1", "--env=B=2", "-b", "x", "-b", "y"], TABLE)
    assert words.list("env") == ("A=1", "B=2")
    assert words.text("bundle") == "y"


def test_options_may_follow_the_id_unless_the_rest_is_a_command_of_its_own() -> None:
    assert parse(["id", "-d"], TABLE).has("detach")
    words = parse(["-t", "id", "ls", "-d", "--", "x"], TABLE, mixed=False)
    assert words.positional == ["id", "ls", "-d", "--", "x"]
    assert not words.has("detach")


def test_two_dashes_end_the_options_and_one_is_a_word() -> None:
    assert parse(["--", "-d"], TABLE).positional == ["-d"]
    assert parse(["-"], TABLE).positional == ["-"]


def test_what_is_absent_has_its_default() -> None:
    words = parse([], TABLE)
    assert (words.text("bundle", "."), words.number("preserve_fds"), words.list("env")) == (".", 0, ())
    assert not words.given("bundle")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("--nothing", "flag provided but not defined: --nothing"),
        ("--nothing=x", "flag provided but not defined: --nothing"),
        ("-x", "flag provided but not defined: -x"),
        ("-dx", "flag provided but not defined: -dx"),
        ("--bundle", "flag needs an argument: --bundle"),
        ("-b", "flag needs an argument: -b"),
        ("--detach=maybe", "invalid boolean value 'maybe' for --detach"),
        ("--preserve-fds x", "invalid value 'x' for --preserve-fds: not a number"),
        ("--preserve-fds=", "not a number"),
        ("--preserve-fds 1.5", "not a number"),
    ],
)
def test_a_wrong_line_is_refused_with_the_option(line: str, fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        parse(line.split(), TABLE)


def test_the_help_has_a_line_for_each_option() -> None:
    lines = describe(TABLE).splitlines()
    assert len(lines) == len(TABLE) + 1
    assert lines[0].split() == "--bundle value, -b value the bundle (default: .)".split()
