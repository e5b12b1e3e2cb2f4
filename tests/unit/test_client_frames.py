"""The frames of an output stream: whole ones are given out, in order, however they arrive."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.client.failure import ProtocolError
from sampan.client.frames import Frames, split_streams


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def test_frames_of_one_stream_in_a_row_come_as_one_piece() -> None:
    data = frame(1, b"a\n") + frame(1, b"b\n") + frame(2, b"c\n") + frame(1, b"d\n")

    assert Frames().feed(data) == [(1, b"a\nb\n"), (2, b"c\n"), (1, b"d\n")]


def test_a_frame_waits_until_it_is_whole() -> None:
    frames = Frames()

    assert frames.feed(frame(1, b"hello")[:10]) == []
    assert frames.pending == frame(1, b"hello")[:10]
    assert frames.feed(frame(1, b"hello")[10:]) == [(1, b"hello")]
    assert frames.pending == b""


@given(
    frames=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=50)), max_size=20),
    cuts=st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=50),
)
def test_no_byte_is_lost_or_doubled_however_the_stream_is_cut(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(frame(stream, part) for stream, part in frames)
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        step = cuts[len(pieces) % len(cuts)]
        pieces.append(data[at : at + step])
        at += step

    found = list(split_streams(pieces, multiplexed=True))

    for stream in (1, 2):
        expected = b"".join(part for number, part in frames if number == stream)
        assert b"".join(part for number, part in found if number == stream) == expected
    order = [stream for stream, _ in frames]
    assert [stream for stream, _ in found if stream not in {1, 2}] == []
    assert [stream for stream, _ in found][:1] == order[:1]


@pytest.mark.parametrize(
    "data", [b"plain text that is no frame", b"\x01\x00\x01\x00\x00\x00\x00\x01x", b"\x07\0\0\0\0\0\0\x01x"]
)
def test_a_raw_stream_is_not_taken_for_a_framed_one(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="no frame"):
        Frames().feed(data)


def test_without_frames_everything_is_standard_output() -> None:
    assert list(split_streams([b"\x01\x02", b"x"], multiplexed=False)) == [(1, b"\x01\x02"), (1, b"x")]
