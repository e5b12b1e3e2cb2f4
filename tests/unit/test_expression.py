"""Users' regular expressions: the same answers as Python's `re` gives, and no pattern that takes for ever."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import InvalidArgument
from sampan.expression import Expression

ATOMS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\w", r"\d", "^", "$", r"\.", "[a-c]", "()"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,}", "*?"])).map(
            lambda p: f"({p[0]}){p[1]}"
        ),
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text("abc.1", max_size=8))
def test_it_fits_what_python_s_expressions_fit(pattern: str, text: str) -> None:
    theirs = re.compile(pattern.replace("$", r"\Z"))
    assert Expression(pattern).search(text) is (theirs.search(text) is not None)
    assert Expression(pattern).fullmatch(text) is (theirs.fullmatch(text) is not None)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*b", "(a|b|ab)*c", "(.*)*x", "a?" * 60 + "a" * 60, "(a{0,30}){0,30}b", "(((a*)*)*)*b"]
)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    Expression(pattern).search("a" * 200)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(?i)WEB", "my-web"),
        ("(?i:W)eb", "web"),
        ("[[:digit:]]+$", "web1"),
        (r"^/?web_\d$", "/web_1"),
        ("a{,2}", "a{,2}"),
    ],
)
def test_what_go_s_expressions_know_is_known(pattern: str, text: str) -> None:
    assert Expression(pattern).search(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[",
        "a**b(",
        "*",
        "a\\",
        "[b-a]",
        r"\1",
        "(?P<n>a)",
        "(?=a)",
        "a{2000}",
        "((a{100}){100}){100}",
        "(" * 999,
        "x" * 1001,
    ],
)
def test_what_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgument, match="error parsing regexp"):
        Expression(pattern)
