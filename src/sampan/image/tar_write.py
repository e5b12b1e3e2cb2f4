"""An entry -> the header blocks that say it: ustar where it fits, pax records where it does not.

The same entry gives the same bytes always. The file's own bytes and their padding are the caller's.
"""

from __future__ import annotations

import zlib

from sampan.image.tar_entry import BLOCK, HEADER, Entry, Kind
from sampan.image.tar_pax import XATTR
from sampan.image.tar_sparse import encode_block_map

END = bytes(2 * BLOCK)
_FLAGS = {
    Kind.FILE: b"0",
    Kind.LINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}
_MOST_7 = 0o7777777
_MOST_11 = 0o77777777777
_LONGEST_NAME = 100
_LONGEST_PREFIX = 155
_SECOND = 1_000_000_000
_SURE_LENGTH = 400  # names up to this cannot bring a header's sum past adler32's modulus


def encode_entry(entry: Entry) -> bytes:
    """The header blocks, and for a sparse file the map in front of its data; a directory's name gets its slash."""
    name = entry.name + b"/" if entry.kind is Kind.DIRECTORY and not entry.name.endswith(b"/") else entry.name
    records: list[tuple[bytes, bytes]] = []
    size = entry.size if entry.kind is Kind.FILE else 0
    block_map = b""
    if entry.segments is not None:
        block_map = encode_block_map(entry.segments)
        records += [
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", name),
            (b"GNU.sparse.realsize", str(size).encode()),
        ]
        size = len(block_map) + sum(length for _, length in entry.segments)
        name = b"GNUSparseFile.0/" + name.rpartition(b"/")[2]
    prefix, short = _split(name)
    if short is None or not name.isascii():
        records.append((b"path", name))
    if len(entry.link) > _LONGEST_NAME or not entry.link.isascii():
        records.append((b"linkpath", entry.link))
    records += _numbers(entry, size)
    records += [(XATTR + key.encode("utf-8", "surrogateescape"), value) for key, value in sorted(entry.xattrs.items())]
    header = _block(entry, prefix, name[:_LONGEST_NAME] if short is None else short, size, _FLAGS[entry.kind])
    if not records:
        return header + block_map
    return _pax_blocks(name, records) + header + block_map


def encode_file(path: str, content: bytes) -> bytes:
    """A small regular file as a whole."""
    return encode_entry(Entry(path.encode(), Kind.FILE, size=len(content))) + content + padding(len(content))


def padding(size: int) -> bytes:
    """What follows `size` bytes of data up to a whole block."""
    return bytes(-size % BLOCK)


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """The ustar prefix and name; no name when it does not fit."""
    if len(name) <= _LONGEST_NAME:
        return b"", name
    at = name.find(b"/", len(name) - _LONGEST_NAME - 1, len(name) - 1)
    if 0 < at <= _LONGEST_PREFIX:
        return name[:at], name[at + 1 :]
    return b"", None


def _numbers(entry: Entry, size: int) -> list[tuple[bytes, bytes]]:
    """Records for the numbers that octal digits do not hold."""
    records = []
    if entry.uid > _MOST_7:
        records.append((b"uid", str(entry.uid).encode()))
    if entry.gid > _MOST_7:
        records.append((b"gid", str(entry.gid).encode()))
    if size > _MOST_11:
        records.append((b"size", str(size).encode()))
    seconds, rest = divmod(abs(entry.mtime_ns), _SECOND)
    if rest or entry.mtime_ns < 0 or seconds > _MOST_11:
        text = f"{'-' if entry.mtime_ns < 0 else ''}{seconds}"
        records.append((b"mtime", (f"{text}.{rest:09}".rstrip("0") if rest else text).encode()))
    return records


def _block(entry: Entry, prefix: bytes, name: bytes, size: int, flag: bytes) -> bytes:
    seconds = entry.mtime_ns // _SECOND
    is_device = entry.kind in {Kind.CHARACTER, Kind.BLOCK}
    block = HEADER.pack(
        name,
        b"%07o" % entry.mode,
        b"%07o" % (entry.uid if entry.uid <= _MOST_7 else 0),
        b"%07o" % (entry.gid if entry.gid <= _MOST_7 else 0),
        b"%011o" % (size if size <= _MOST_11 else 0),
        b"%011o" % min(max(seconds, 0), _MOST_11),
        b"        ",
        flag,
        entry.link[:_LONGEST_NAME],
        b"ustar",
        b"00",
        b"",
        b"",
        b"%07o" % entry.major if is_device else b"",
        b"%07o" % entry.minor if is_device else b"",
        prefix,
    )
    if len(name) + len(prefix) + len(entry.link) < _SURE_LENGTH and name.isascii() and entry.link.isascii():
        total = ((zlib.adler32(block) & 0xFFFF) - 1) % 65521
    else:
        total = sum(block)
    return block[:148] + b"%06o\0 " % total + block[156:]


def _pax_blocks(name: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    data = b"".join(_record(key, value) for key, value in records)
    base = name.rstrip(b"/").rpartition(b"/")[2]
    about = Entry(b"PaxHeaders.0/" + base, Kind.FILE, mode=0o644)
    return _block(about, b"", about.name[:_LONGEST_NAME], len(data), b"x") + data + padding(len(data))


def _record(key: bytes, value: bytes) -> bytes:
    """`length key=value`, the length counting its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if length != rest + len(str(length)):
        length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)
