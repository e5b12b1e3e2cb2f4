"""JSON without the json package says the same as with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.client.json_text import dumps, indented, loads, text_of
from sampan.client.session import documents

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_a_document_survives_the_round_trip(document: Any) -> None:
    assert loads(dumps(document)) == document
    assert json.loads(dumps(document)) == document
    assert loads(json.dumps(document, indent=2)) == document


@given(VALUES)
def test_with_a_line_for_each_member_it_is_as_the_json_package_has_it(document: Any) -> None:
    assert indented(document) == json.dumps(document, indent=4, ensure_ascii=False)


def test_it_is_written_as_go_writes_it() -> None:
    assert text_of({"b": [1, 2.5, None, True], "a": 'ü"<>'}) == '{"b":[1,2.5,null,true],"a":"ü\\"<>"}'
    assert text_of({"b": 1, "a": 2}, sort_keys=True) == '{"a":2,"b":1}'


@pytest.mark.parametrize("text", [b"", b"  ", b"{", b'{"a":}', b"nope", b"[1,", b'"x'])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_what_json_has_no_form_for_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        dumps({"a": b"bytes"})


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(), max_size=3), max_size=8),
    st.integers(1, 20),
)
def test_a_stream_of_documents_is_cut_right_wherever_the_bytes_break(found: list[Any], step: int) -> None:
    data = "\r\n".join(json.dumps(document, ensure_ascii=False) for document in found).encode()
    pieces = [data[at : at + step] for at in range(0, len(data), step)]

    assert list(documents([*pieces, b"\n"])) == found


def test_a_document_is_given_out_as_soon_as_it_is_whole() -> None:
    stream = documents(iter([b'{"a":1}\n{"b"', b":2}", b'{"c":3}\n']))

    assert next(stream) == {"a": 1}
    assert list(stream) == [{"b": 2}, {"c": 3}]
