"""The maps of GNU sparse files: the old GNU header and the pax forms 0.0, 0.1 and 1.0.

A map is a tuple of (offset, length) of the parts that the archive holds; between them are holes. Source: GNU tar
manual, "Storing Sparse Files". Knows nothing of file systems.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sampan.errors import InvalidArgument
from sampan.image.name_text import shown

Segment = tuple[int, int]

_PAIR = 24  # an offset and a length of 12 bytes each
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class SparseRecords:
    """What pax records say of a sparse file; `segments` is None when the map is in front of the data (form 1.0)."""

    name: bytes
    size: int
    segments: tuple[Segment, ...] | None


def _refuse(sentence: str) -> InvalidArgument:
    return InvalidArgument(sentence, remedy="the archive is damaged or made to do harm; take it from its source again")


def _octal(raw: bytes) -> int:
    if raw[0] & 0x80:
        return int.from_bytes(raw, "big") & ~(1 << (8 * len(raw) - 1))
    digits = raw.rstrip(b"\0 ").lstrip(b" ")
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise _refuse(f"a sparse map has {raw!r}, which is no octal number") from None


def _pairs(table: bytes) -> list[Segment]:
    """Offsets and lengths up to the first unused slot."""
    found = []
    for at in range(0, len(table) - _PAIR + 1, _PAIR):
        if not table[at]:
            break
        found.append((_octal(table[at : at + 12]), _octal(table[at + 12 : at + _PAIR])))
    return found


def old_gnu_map(header: bytes, take: Callable[[int], bytes], max_bytes: int) -> tuple[tuple[Segment, ...], int]:
    """The map and the real size from a header of type S and the blocks that continue it (taken with `take`)."""
    segments = _pairs(header[386:482])
    more = header[482]
    read = 0
    while more:
        block = take(_BLOCK)
        read += _BLOCK
        if len(block) != _BLOCK:
            raise _refuse("the archive is cut off in a sparse map")
        if read > max_bytes:
            raise _refuse(f"a sparse map is over the limit of {max_bytes} bytes")
        segments += _pairs(block[:504])
        more = block[504]
    return tuple(segments), _octal(header[483:495])


def map_of_records(records: list[tuple[bytes, bytes]]) -> SparseRecords:
    """The map that pax records give: form 0.0 (a record a number), 0.1 (one record) or 1.0 (in the data)."""
    name, size, major = b"", -1, 0
    numbers: list[int] = []
    for key, value in records:
        match key:
            case b"GNU.sparse.name":
                name = value
            case b"GNU.sparse.size" | b"GNU.sparse.realsize":
                size = _decimal(value)
            case b"GNU.sparse.major":
                major = _decimal(value)
            case b"GNU.sparse.offset" | b"GNU.sparse.numbytes":
                numbers.append(_decimal(value))
            case b"GNU.sparse.map":
                numbers = [_decimal(number) for number in value.split(b",")] if value else []
    if size < 0:
        raise _refuse("a sparse file has no size")
    if major == 1:
        return SparseRecords(name, size, None)
    if major or len(numbers) % 2:
        raise _refuse(f"a sparse file has a map of form {major} with {len(numbers)} numbers")
    return SparseRecords(name, size, tuple(zip(numbers[::2], numbers[1::2], strict=True)))


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise _refuse(f"a sparse map has {value[:40]!r}, which is no number")
    return int(value)


def block_map(take: Callable[[int], bytes], max_bytes: int) -> tuple[tuple[Segment, ...], int]:
    """The map of form 1.0 from the blocks in front of the data, and how many bytes it took."""
    text = b""
    used = 0
    needed = 1  # lines: the count, then two a segment
    lines: list[bytes] = []
    while len(lines) < needed:
        if used + _BLOCK > max_bytes:
            raise _refuse(f"a sparse map is longer than {max_bytes} bytes")
        block = take(_BLOCK)
        if len(block) != _BLOCK:
            raise _refuse("the archive is cut off in a sparse map")
        used += _BLOCK
        *whole, text = (text + block).split(b"\n")
        lines += whole
        if lines and needed == 1:
            needed = 1 + 2 * _decimal(lines[0])
    numbers = [_decimal(line) for line in lines[1:needed]]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True)), used


def check_map(segments: tuple[Segment, ...], size: int, payload: int, name: bytes) -> None:
    """Refuse a map whose parts overlap, leave the file, or do not add up to the payload."""
    at = 0
    for offset, length in segments:
        if offset < at:
            raise _refuse(f"the sparse map of {shown(name)} goes backwards at {offset}")
        at = offset + length
    if at > size or size >= 1 << 63:
        raise _refuse(f"the sparse map of {shown(name)} leaves its file of {size} bytes")
    if sum(length for _, length in segments) != payload:
        raise _refuse(f"the sparse map of {shown(name)} does not fit its {payload} bytes of data")


def encode_block_map(segments: tuple[Segment, ...]) -> bytes:
    """A map of form 1.0, padded to whole blocks."""
    lines = [str(len(segments))] + [f"{offset}\n{length}" for offset, length in segments]
    text = ("\n".join(lines) + "\n").encode()
    return text + bytes(-len(text) % _BLOCK)
