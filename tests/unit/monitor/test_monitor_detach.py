from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.monitor.detach import DetachKeys

KEYS = b"\x10\x11"


@pytest.mark.parametrize(
    ("typed", "passed", "detached"),
    [
        ([b"ls\r"], b"ls\r", False),
        ([b"\x10\x11"], b"", True),
        ([b"ls\x10", b"\x11rest"], b"ls", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10\x10"], b"\x10\x10", False),
        ([b"\x10"], b"", False),
    ],
)
def test_the_sequence_is_recognised_across_reads_and_passed_on_when_broken(
    typed: list[bytes], passed: bytes, *, detached: bool
) -> None:
    keys = DetachKeys(KEYS)
    results = [keys.filter(each) for each in typed]
    assert b"".join(content for content, _ in results) == passed
    assert any(done for _, done in results) == detached


def test_without_keys_everything_passes() -> None:
    assert DetachKeys(b"").filter(b"\x10\x11") == (b"\x10\x11", False)


def test_a_beginning_that_never_went_on_is_given_back() -> None:
    keys = DetachKeys(b"abc")
    assert keys.filter(b"xab") == (b"x", False)
    assert keys.held_back() == b"ab"
    assert keys.held_back() == b""


@given(st.lists(st.binary(max_size=6)))
def test_nothing_typed_is_lost_or_doubled(typed: list[bytes]) -> None:
    whole = b"".join(typed)
    if KEYS in whole:
        whole = whole.replace(KEYS, b"..")
        typed = [whole]
    keys = DetachKeys(KEYS)
    passed = b"".join(keys.filter(each)[0] for each in typed)
    assert passed + keys.held_back() == whole
