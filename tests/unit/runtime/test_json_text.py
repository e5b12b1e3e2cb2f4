"""JSON without the json package reads and writes what json does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.runtime.json_text import dumps, loads

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.integers(0, 3))
def test_what_is_written_is_read_by_json_and_back(value: Any, indent: int) -> None:
    assert json.loads(dumps(value, indent)) == value
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, indent=2).encode() + b"\n") == value


@given(VALUES)
def test_lines_are_broken_as_json_breaks_them(value: Any) -> None:
    assert dumps(value, 2) == json.dumps(value, indent=2)
    assert dumps(value) == json.dumps(value, separators=(",", ":"))


@pytest.mark.parametrize("text", ["", "{", "[1,]", "1 2", "nul", '"\x01"', "{'a': 1}", b"\xff"])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_what_has_no_form_in_json_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="set"):
        dumps({"a": {1}})
