"""What a quiet stream keeps for its failure."""

from __future__ import annotations

from sampan.api.withheld import Withheld


def test_the_last_pieces_are_kept_and_the_others_counted() -> None:
    withheld = Withheld(most_bytes=10)
    assert not withheld
    for piece in (b"1234", b"5678", b"90"):
        withheld.add(piece)
    assert (withheld.pieces(), withheld.left_out_bytes) == ((b"1234", b"5678", b"90"), 0)
    withheld.add(b"x")
    assert (withheld.pieces(), withheld.left_out_bytes) == ((b"5678", b"90", b"x"), 4)
    withheld.add(b"a piece that is too long by itself")
    assert withheld.pieces() == (b"a piece that is too long by itself",)
    assert withheld.left_out_bytes == 11
    assert withheld
