"""Data of a call that goes past the library: what reaches whom, and whose window is opened."""

from __future__ import annotations

import random
import struct

import pytest

from sampan.buildkit.frames import DirectData, Frames

DATA, HEADERS, PING, WINDOW_UPDATE = 0, 1, 6, 8
END_STREAM, PADDED = 1, 8
WINDOW = 1 << 16


def frame(kind: int, stream_id: int, content: bytes, flags: int = 0) -> bytes:
    return struct.pack("!I", len(content))[1:] + struct.pack("!BBI", kind, flags, stream_id) + content


def opened(stream_id: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, stream_id, struct.pack("!I", size))


class Call:
    """One whose data is taken directly, and all that is done for it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.acknowledged: list[int] = []
        self.data = DirectData(1, self.written.append, self.acknowledged.append)

    def of(self, stream_id: int) -> DirectData | None:
        return self.data if stream_id == 1 else None


@pytest.mark.parametrize("seed", range(20))
async def test_frames_reach_whom_they_are_for_however_they_are_cut(seed: int) -> None:
    dice = random.Random(seed)
    sent, direct, others = b"", b"", b""
    for _ in range(200):
        content = dice.randbytes(dice.choice([0, 1, 9, 300]))
        kind, stream_id, flags = dice.choice([(DATA, 1, 0), (DATA, 3, 0), (HEADERS, 1, 4), (PING, 0, 0)])
        made = frame(kind, stream_id, content, flags)
        sent += made
        if (kind, stream_id) == (DATA, 1):
            direct += content
        else:
            others += made
    call, frames = Call(), Frames(WINDOW)
    seen = b""
    while sent:
        length = dice.choice([1, 8, 20, 1000])
        seen += b"".join(frames.split(sent[:length], call.of))
        sent = sent[length:]
    call.data.eof()
    assert seen == others
    assert (await call.data.take(), await call.data.take()) == (direct, b"")
    assert call.written == [opened(1, len(direct)) + opened(0, len(direct))]


@pytest.mark.parametrize(
    "made",
    [
        frame(DATA, 1, b"last", END_STREAM),
        frame(DATA, 1, b"\x02padded\0\0", PADDED),
        frame(DATA, 3, b"of another call"),
        frame(DATA, 1, bytes((1 << 14) + 1)),
    ],
)
async def test_what_is_more_than_bytes_of_the_call_is_the_library_s(made: bytes) -> None:
    call = Call()
    assert b"".join(Frames(WINDOW).split(made, call.of)) == made
    assert call.data.waiting_bytes == 0


async def test_what_no_window_is_open_for_is_the_library_s_to_refuse() -> None:
    call, frames = Call(), Frames(WINDOW)
    full = frame(DATA, 1, bytes(1 << 14))
    for _ in range(WINDOW >> 14):
        assert list(frames.split(full, call.of)) == []
    assert b"".join(frames.split(full, call.of)) == full


async def test_who_takes_its_data_may_be_another_behind_a_frame_of_the_library_s() -> None:
    call, frames = Call(), Frames(WINDOW)
    takes: list[int] = []
    sent = frame(DATA, 1, b"early") + frame(HEADERS, 1, b"", 4) + frame(DATA, 1, b"late")
    for run in frames.split(sent, lambda stream_id: call.of(stream_id) if takes else None):
        assert run == frame(DATA, 1, b"early") + frame(HEADERS, 1, b"", 4)
        takes.append(1)
    assert await call.data.take() == b"late"


async def test_windows_are_opened_by_whoever_has_seen_the_data() -> None:
    call = Call()
    call.data.pass_by(b"past")
    call.data.add(b" seen", 5)
    assert await call.data.take() == b"past seen"
    assert (call.written, call.acknowledged) == ([opened(1, 4) + opened(0, 4)], [5])
    call.data.pass_by(b"nobody took")
    call.data.add(b" it", 3)
    assert call.data.unacked_size() == 3
    assert call.written[1:] == [opened(0, 11)]
