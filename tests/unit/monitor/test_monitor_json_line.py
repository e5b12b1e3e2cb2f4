from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.monitor.json_line import KEEPING, MAX_LINE_BYTES, LineMaker, attributes_json, escape, time_text

AT_NS = 1_704_164_645_123_456_789


def go_text(content: bytes) -> str:
    """What Go makes of bytes: each byte that is not part of a valid sequence is one U+FFFD (unicode/utf8)."""
    text = ""
    at = 0
    while at < len(content):
        for length in (1, 2, 3, 4):
            try:
                text += content[at : at + length].decode()
            except UnicodeDecodeError:
                continue
            at += length
            break
        else:
            text += "\ufffd"
            at += 1
    return text


def test_a_line_looks_exactly_as_docker_writes_it() -> None:
    record = LineMaker("stdout").encode(b"hello\n", AT_NS)
    assert record == b'{"log":"hello\\n","stream":"stdout","time":"2024-01-02T03:04:05.123456789Z"}\n'


def test_attributes_stand_before_the_time_and_are_sorted() -> None:
    record = LineMaker("stderr", (("b", "<2>"), ("a", 'q"\n'))).encode(b"x\n", AT_NS)
    assert record.startswith(b'{"log":"x\\n","stream":"stderr","attrs":{"a":"q\\"\\n","b":"\\u003c2\\u003e"},"time":"')


@pytest.mark.parametrize(
    ("content", "escaped"),
    [
        (b"plain", b"plain"),
        (b'"quoted\\', b'\\"quoted\\\\'),
        (b"<&>", b"\\u003c\\u0026\\u003e"),
        (b"\r\t\x00\x1b[0m\x1f\x7f", b"\\r\\u0009\\u0000\\u001b[0m\\u001f\x7f"),
        ("ä€😀".encode(), "ä€😀".encode()),
        ("a\u2028b\u2029".encode(), b"a\\u2028b\\u2029"),
        (b"\xe2\x82", b"\\ufffd\\ufffd"),
        (b"\xe2\x82x\xff", b"\\ufffd\\ufffdx\\ufffd"),
        (b"\xed\xa0\x80", b"\\ufffd\\ufffd\\ufffd"),
        ("\ufffd".encode(), "\ufffd".encode()),
        (b"\xff\\", b"\\ufffd\\\\"),
    ],
)
def test_bytes_are_escaped_as_go_does(content: bytes, escaped: bytes) -> None:
    assert escape(content) == escaped


@given(st.binary(max_size=400))
def test_every_line_decodes_to_what_go_makes_of_it(content: bytes) -> None:
    line = content.replace(b"\n", b" ") + b"\n"
    record = LineMaker("stdout").encode(line, AT_NS)
    assert record.count(b"\n") == 1
    assert json.loads(record)["log"] == go_text(line)


@given(st.lists(st.binary(max_size=60), max_size=8), st.integers(1, 50))
def test_how_output_was_cut_into_chunks_does_not_show(lines: list[bytes], size: int) -> None:
    content = b"\n".join(lines)
    whole = LineMaker("stdout")
    pieces = LineMaker("stdout")
    expected = whole.encode(content, AT_NS) + whole.finish(AT_NS)
    made = b"".join(pieces.encode(content[at : at + size], AT_NS) for at in range(0, len(content), size))
    assert made + pieces.finish(AT_NS) == expected


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        (MAX_LINE_BYTES - 1, [MAX_LINE_BYTES]),
        (MAX_LINE_BYTES, [MAX_LINE_BYTES, 1]),
        (MAX_LINE_BYTES * 2 + 5, [MAX_LINE_BYTES, MAX_LINE_BYTES, 6]),
    ],
)
def test_a_long_line_is_cut_where_docker_cuts_it(length: int, pieces: list[int]) -> None:
    content = b"before\n" + b"x" * length + b"\nafter\n"
    made = LineMaker("stdout").encode(content, AT_NS)
    texts = [json.loads(record)["log"] for record in made.splitlines()]
    assert [len(text) for text in texts] == [7, *pieces, 6]
    assert "".join(texts) == content.decode()


def test_what_does_not_end_with_a_newline_is_written_at_the_end_without_one() -> None:
    maker = LineMaker("stdout")
    assert maker.encode(b"no newline", AT_NS) == b""
    assert json.loads(maker.finish(AT_NS))["log"] == "no newline"
    assert maker.finish(AT_NS) == b""


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (AT_NS, "2024-01-02T03:04:05.123456789Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
    ],
)
def test_times_have_no_trailing_zeros(at_ns: int, text: str) -> None:
    assert time_text(at_ns) == text


def test_attributes_of_an_empty_tuple_are_an_empty_object() -> None:
    assert attributes_json(()) == b"{}"


@given(st.lists(st.binary(max_size=200)))
def test_a_log_that_keeps_bytes_gives_them_all_back(chunks: list[bytes]) -> None:
    maker = LineMaker("stdout", (), KEEPING)
    lines = b"".join(maker.encode(chunk, AT_NS) for chunk in chunks) + maker.finish(AT_NS)
    texts = [json.loads(line)["log"] for line in lines.split(b"\n") if line]
    assert "".join(texts).encode(errors="surrogateescape") == b"".join(chunks)
