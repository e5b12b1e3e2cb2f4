"""A tar archive as a stream of entries: ustar, pax, GNU long names, every form of GNU sparse file.

It only parses: names and numbers are checked for what a header may say, never for what a file system would make of
them; that is `unpack`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sampan.image.name_text import shown
from sampan.image.pieces import Pieces, unmoved
from sampan.image.tar_entry import (
    BLOCK,
    HEADER,
    KINDS,
    Entry,
    Kind,
    check_entry,
    parse_number,
    refuse,
    text_of,
    verify_checksum,
)
from sampan.image.tar_pax import apply_records, pax_records
from sampan.image.tar_sparse import Segment, block_map, check_map, map_of_records, old_gnu_map

_ZEROS = bytes(BLOCK)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may ask for before it is refused.

    `max_ratio` is bytes out of decompression by bytes into it; it is looked at only above `ratio_free_bytes`, since a
    file of zeros is honest and gzip itself reaches 1032.
    """

    max_header_bytes: int = 1 << 20
    max_entries: int = 20_000_000
    max_unpacked_bytes: int | None = None
    max_ratio: int = 1100
    ratio_free_bytes: int = 4 << 30


DEFAULT_LIMITS = ArchiveLimits()


class TarReader:
    """Entries out of an iterable of byte strings; memory is bounded by the largest string and the limits.

    A string may be a view that is good only until the next is asked for.

    `keep`, when given, is called with every byte string that is not payload, in order: together with the payloads it
    is the whole archive. Raises InvalidArgument for whatever is not a tar archive.
    """

    def __init__(
        self,
        chunks: Iterable[bytes | memoryview] | Pieces,
        *,
        limits: ArchiveLimits = DEFAULT_LIMITS,
        keep: Callable[[bytes], None] | None = None,
    ) -> None:
        self._chunks = iter(chunks)
        self._move = chunks.move if isinstance(chunks, Pieces) else unmoved
        self._limits = limits
        self._keep = keep
        self._chunk: bytes | memoryview = b""
        self._at = 0
        self._payload_left = 0
        self._padding = 0
        self._globals: dict[bytes, bytes] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self.next()) is not None:
            yield entry

    def next(self) -> Entry | None:
        """The next entry, or None at the end; what is left of the present one's payload is passed over."""
        self._finish_entry()
        long_name = long_link = None
        records: list[tuple[bytes, bytes]] = []
        while True:
            header = self._header()
            if header is None:
                if records or long_name is not None or long_link is not None:
                    raise refuse("the archive ends behind an extended header")
                return None
            flag = header[156:157]
            if flag in (b"x", b"X"):
                records = pax_records(self._extension(header))
            elif flag == b"g":
                self._globals |= dict(pax_records(self._extension(header)))
            elif flag == b"L":
                long_name = self._extension(header).rstrip(b"\0")
            elif flag == b"K":
                long_link = self._extension(header).rstrip(b"\0")
            elif flag == b"V":
                self._extension(header)  # a volume label names the archive, not a file
            else:
                return self._entry(header, long_name, long_link, records)

    def payload(self, to: int = -1) -> Iterator[memoryview]:
        """The bytes of the present entry in the archive, to be read once, in pieces.

        Those that can go to the open file `to` unread, at its position, go there and are in no piece.
        """
        while self._payload_left:
            if self._at == len(self._chunk):
                if to >= 0 and (moved := self._move(to, self._payload_left)):
                    self._payload_left -= moved
                    continue
                self._refill()
            piece = memoryview(self._chunk)[self._at : self._at + self._payload_left]
            self._at += len(piece)
            self._payload_left -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read what follows the end of the archive, so that a digest over the stream covers it."""
        while True:
            if self._keep is not None and self._at < len(self._chunk):
                self._keep(bytes(self._chunk[self._at :]))
            self._chunk = next(self._chunks, b"")
            self._at = 0
            if not self._chunk:
                return

    def _refill(self) -> None:
        self._chunk = next(self._chunks, b"")
        self._at = 0
        if not self._chunk:
            raise refuse("the archive is cut off")

    def _take(self, count: int) -> bytes:
        """The next `count` bytes, kept; b"" when the archive is at its end."""
        end = self._at + count
        if end <= len(self._chunk):
            taken = bytes(self._chunk[self._at : end])
            self._at = end
        else:
            taken = self._take_across(count)
        if self._keep is not None and taken:
            self._keep(taken)
        return taken

    def _take_across(self, count: int) -> bytes:
        pieces = [bytes(self._chunk[self._at :])]  # not the view, which ends with the next
        missing = count - len(pieces[0])
        while missing:
            self._chunk = next(self._chunks, b"")
            self._at = min(missing, len(self._chunk))
            if not self._chunk:
                if missing == count:
                    return b""
                raise refuse("the archive is cut off")
            pieces.append(bytes(self._chunk[: self._at]))
            missing -= self._at
        return b"".join(pieces)

    def _finish_entry(self) -> None:
        for piece in self.payload():
            if self._keep is not None:
                self._keep(bytes(piece))
        self._pass_padding()

    def _pass_padding(self) -> None:
        """Pass over what fills an entry's last block; the stream may end in it.

        Go's writer puts padding in front of the next header: what docker sends for `build -f -` has none at its end.
        """
        while self._padding:
            if self._at == len(self._chunk):
                self._chunk, self._at = next(self._chunks, b""), 0
                if not self._chunk:
                    self._padding = 0
                    return
            end = min(self._at + self._padding, len(self._chunk))
            if self._keep is not None:
                self._keep(bytes(self._chunk[self._at : end]))
            self._padding -= end - self._at
            self._at = end

    def _header(self) -> bytes | None:
        """The next header block, its checksum verified; None at the end of the archive."""
        block = self._take(BLOCK)
        if not block:
            return None
        if block == _ZEROS:
            second = self._take(BLOCK)
            if second not in (b"", _ZEROS):
                raise refuse("the archive has one block of zeros in its middle")
            return None
        self._count += 1
        if self._count > self._limits.max_entries:
            raise refuse(f"the archive has more than {self._limits.max_entries} entries")
        verify_checksum(block)
        return block

    def _extension(self, header: bytes) -> bytes:
        """The data of an extended header, with its padding passed over."""
        size = parse_number(header[124:136], "size")
        if not 0 <= size <= self._limits.max_header_bytes:
            raise refuse(f"an extended header of {size} bytes is over the limit of {self._limits.max_header_bytes}")
        data = self._take(size) if size else b""
        padding = -size % BLOCK
        if len(data) != size or (padding and len(self._take(padding)) != padding):
            raise refuse("the archive is cut off")
        return data

    def _entry(
        self, header: bytes, long_name: bytes | None, long_link: bytes | None, records: list[tuple[bytes, bytes]]
    ) -> Entry:
        fields = HEADER.unpack(header)
        flag: bytes = fields[7]
        kind = KINDS.get(flag)
        name = text_of(fields[0])
        if fields[9] == b"ustar\0" and fields[15][0]:
            name = text_of(fields[15]) + b"/" + name
        if kind is None:
            raise refuse(f"entry {shown(name)} has type {shown(flag)}, which makes no file")
        link = text_of(fields[8])
        entry = Entry(
            name=name if long_name is None else long_name,
            kind=kind,
            mode=parse_number(fields[1], "mode") & 0o7777,
            uid=parse_number(fields[2], "uid"),
            gid=parse_number(fields[3], "gid"),
            mtime_ns=parse_number(fields[5], "mtime") * 1_000_000_000,
            link=link if long_link is None else long_link,
        )
        size = parse_number(fields[4], "size")
        if kind in (Kind.CHARACTER, Kind.BLOCK):
            entry.major, entry.minor = parse_number(fields[13], "major"), parse_number(fields[14], "minor")
        if self._globals:
            records = [*self._globals.items(), *records]
        if records:
            size = apply_records(entry, records, size)
        if flag in (b"0", b"\0") and entry.name.endswith(b"/"):
            entry.kind = Kind.DIRECTORY  # as tar wrote them before ustar
        self._settle_size(entry, size, header, flag, records)
        check_entry(entry)
        return entry

    def _settle_size(
        self, entry: Entry, size: int, header: bytes, flag: bytes, records: list[tuple[bytes, bytes]]
    ) -> None:
        if size < 0:
            raise refuse(f"entry {shown(entry.name)} has a size of {size} bytes")
        if entry.kind is not Kind.FILE:
            return  # links, directories and devices carry no data, whatever their size field says
        entry.size = entry.payload = size
        if flag == b"S":
            segments, entry.size = old_gnu_map(header, self._take, self._limits.max_header_bytes)
            self._sparse(entry, segments)
        elif records and any(key.startswith(b"GNU.sparse.") for key, _ in records):
            about = map_of_records(records)
            entry.name, entry.size = about.name or entry.name, about.size
            if about.segments is not None:
                self._sparse(entry, about.segments)
            else:
                segments, used = block_map(self._take, min(size, self._limits.max_header_bytes))
                entry.payload -= used
                self._sparse(entry, segments)
        self._payload_left = entry.payload
        self._padding = -size % BLOCK

    @staticmethod
    def _sparse(entry: Entry, segments: tuple[Segment, ...]) -> None:
        check_map(segments, entry.size, entry.payload, entry.name)
        entry.segments = segments
