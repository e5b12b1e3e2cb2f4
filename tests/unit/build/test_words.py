"""Words of a Dockerfile: quotes, escapes and the substitutions of its reference."""

from __future__ import annotations

import pytest

from sampan.build import words
from sampan.errors import InvalidArgument

VARIABLES = {
    "name": "value",
    "empty": "",
    "path": "/usr/local/lib/libx.so.1.2",
    "double": "xxyy",
    "stars": "a*b*",
    "spaces": "one two",
    "lines": "ab\ncb",
}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain", "plain"),
        ("$name", "value"),
        ("${name}", "value"),
        ("a${name}b", "avalueb"),
        ("$name.txt", "value.txt"),
        ("$missing", ""),
        ("a$missing-b", "a-b"),
        ("$", "$"),
        ("$.", "$."),
        ("$1x", "x"),
        (r"\$name", "$name"),
        (r"\\$name", "\\value"),
        ("'$name'", "$name"),
        ('"$name"', "value"),
        ('"a b"', "a b"),
        (r'"a\"b"', 'a"b'),
        (r'"a\tb"', r"a\tb"),
        (r"a\tb", "atb"),
        ("'a\\'", "a\\"),
        ("end\\", "end"),
        ("a'b'\"c\"", "abc"),
        ("${missing:-word}", "word"),
        ("${empty:-word}", "word"),
        ("${empty-word}", ""),
        ("${name:-word}", "value"),
        ("${missing:-$name}", "value"),
        ("${missing:-${empty:-'in ner'}}", "in ner"),
        ("${name:+word}", "word"),
        ("${empty:+word}", ""),
        ("${empty+word}", "word"),
        ("${missing+word}", ""),
        ("${name:?needed}", "value"),
        ("${empty?needed}", ""),
        ("${path##*/}", "libx.so.1.2"),
        ("${path#*/}", "usr/local/lib/libx.so.1.2"),
        ("${path%/*}", "/usr/local/lib"),
        ("${path%%.*}", "/usr/local/lib/libx"),
        ("${path%.*}", "/usr/local/lib/libx.so.1"),
        ("${path#nothing}", "/usr/local/lib/libx.so.1.2"),
        ("${double#?}", "xyy"),
        ("${double#*x*y}", "y"),
        ("${double##*x*y}", ""),
        ("${double#$name}", "xxyy"),
        ("${double%y}", "xxy"),
        (r"${stars%%\**}", "a"),
        (r"${stars%\*}", "a*b"),
        ("${path//\\//_}", "_usr_local_lib_libx.so.1.2"),
        ("${path/lib/LIB}", "/usr/local/LIB/libx.so.1.2"),
        ("${path//lib/LIB}", "/usr/local/LIB/LIBx.so.1.2"),
        ("${path/l*b/-}", "/usr/-x.so.1.2"),
        ("${double//x/}", "yy"),
        ("${double//?/z}", "zzzz"),
        ("${lines//?b/-}", "-\n-"),
        ("${lines/a*b/-}", "-\ncb"),
    ],
)
def test_a_word_expands_to_what_the_reference_says(word: str, expected: str) -> None:
    assert words.expand(word, VARIABLES) == expected


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("'open", "single quote"),
        ('"open', "double quote"),
        ("${name", "without its"),
        ("${name:-word", "without its"),
        ("${}", "without a name"),
        ("${{name}}", "without a name"),
        ("${:-x}", "without a name"),
        ("${name=word}", "unknown modifier '='"),
        ("${name:#x}", "unknown modifier ':#'"),
        ("${name,,}", "unknown modifier ','"),
        ("${missing:?say why}", "missing: say why"),
        ("${missing?}", "not allowed to be unset"),
        ("${empty:?}", "not allowed to be empty"),
        ("${name/x}", "without its '/'"),
        (r"${name#a\b}", "pattern"),
        ("${a:-" * 100 + "x" + "}" * 100, "deep"),
    ],
)
def test_what_is_no_substitution_is_refused_with_what_would_be_right(word: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence) as refusal:
        words.expand(word, VARIABLES)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", ("a", "b")),
        ("  a\t b ", ("a", "b")),
        ("$spaces", ("one", "two")),
        ('"$spaces"', ("one two",)),
        ("x$spaces-y", ("xone", "two-y")),
        ("'a b' c", ("a b", "c")),
        (r"a\ b", ("a b",)),
        ("$missing a", ("a",)),
        ("", ()),
    ],
)
def test_words_are_split_after_variables_are_replaced(text: str, expected: tuple[str, ...]) -> None:
    assert words.split_words(text, VARIABLES) == expected


def test_a_backtick_escapes_where_the_file_says_so() -> None:
    assert words.expand("c:\\dir`$name", VARIABLES, escape="`") == "c:\\dir$name"


def test_quotes_in_a_heredoc_are_part_of_it() -> None:
    assert words.expand_document("say \"$name\" '$name' \\$name\n", VARIABLES) == "say \"value\" 'value' $name\n"


def test_names_that_were_looked_up_are_told() -> None:
    expanded = words.expansion("$name ${missing:-x} $other", VARIABLES)
    assert expanded.found == {"name"}
    assert expanded.missing == {"missing", "other"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b c=d", ("a=b", "c=d")),
        ('a="b c" d', ('a="b c"', "d")),
        ("a='b\" c' d", ("a='b\" c'", "d")),
        (r"a=b\ c d", (r"a=b\ c", "d")),
        (r'a="b\" c" d', (r'a="b\" c"', "d")),
        ("a=''", ("a=''",)),
        ('a="open b', ('a="open b',)),
        ("end\\", ("end",)),
    ],
)
def test_cutting_leaves_quotes_for_the_expansion(text: str, expected: tuple[str, ...]) -> None:
    assert words.cut_words(text) == expected


def test_variables_made_of_each_other_do_not_grow_without_end() -> None:
    value = "x" * 1000
    with pytest.raises(InvalidArgument, match="longer than"):
        words.expand("$a" * 2000, {"a": value})
    with pytest.raises(InvalidArgument, match="grows beyond"):
        words.expand("${a//x/$a}", {"a": "x" * 2000})


def test_a_pattern_of_many_stars_is_matched_in_one_pass() -> None:
    value = "a" * 20_000
    assert words.expand("${v##" + "*a" * 40 + "*b}", {"v": value}) == value
    assert words.expand("${v//" + "*a" * 40 + "*b/-}", {"v": value}) == value
    with pytest.raises(InvalidArgument, match="pattern"):
        words.expand("${v#" + "a" * 5000 + "}", {"v": value})
