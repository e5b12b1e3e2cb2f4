"""One entry of a tar archive, and how a header of 512 bytes says it: fields, numbers, checksum.

Extended headers are `tar_pax`, archives as a whole `tar_read` and `tar_write`. Source: POSIX.1-2024, pax, "ustar
Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass, field

from sampan.errors import InvalidArgument
from sampan.image.name_text import shown
from sampan.image.tar_sparse import Segment

BLOCK = 512
HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_MAX_ID = 0xFFFFFFFE  # 0xffffffff is -1: "leave as it is" to chown(2)
_FARTHEST_S = 1 << 34  # what ext4 can hold (Documentation/filesystems/ext4/inodes.rst)


class Kind(enum.Enum):
    """What an entry makes."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    LINK = "hard link"
    CHARACTER = "character device"
    BLOCK = "block device"
    FIFO = "fifo"


KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.LINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}


@dataclass(slots=True)
class Entry:
    """One entry; `size` counts its file, `payload` the bytes of it in the archive (less when `segments` is given)."""

    name: bytes
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: dict[str, bytes] = field(default_factory=dict)
    segments: tuple[Segment, ...] | None = None
    payload: int = 0


def refuse(sentence: str) -> InvalidArgument:
    """The error for an archive that is damaged or hostile."""
    return InvalidArgument(sentence, remedy="the archive is damaged or made to do harm; take it from its source again")


def split_name(name: bytes) -> list[bytes]:
    """The parts of an entry's name; absolute ones start at the root, `..` is refused."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise refuse(f"entry {shown(name)} goes up with '..'")
    return parts


def parse_number(raw: bytes, what: str) -> int:
    """A number field: octal digits, or base 256 when the first bit is set (GNU tar, star)."""
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big")
        bits = 8 * len(raw)
        return value - (1 << bits) if raw[0] == 0xFF else value & ~(1 << (bits - 1))
    digits = raw.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    if not digits.isdigit():
        raise _no_number(raw, what)
    try:
        return int(digits, 8)
    except ValueError:
        raise _no_number(raw, what) from None


def _no_number(raw: bytes, what: str) -> InvalidArgument:
    shown = raw.decode("ascii", "backslashreplace").encode("unicode_escape").decode()
    return refuse(f"this is no tar archive, or it is damaged: the {what} in a header is no octal number: {shown}")


def text_of(raw: bytes) -> bytes:
    """A text field: what is before the first zero byte."""
    return raw.split(b"\0", 1)[0]


def verify_checksum(block: bytes) -> None:
    """The sum of all bytes with the checksum field as spaces; adler32's low half is that sum plus one, modulo 65521."""
    given = parse_number(block[148:156], "checksum")
    spaced = block[:148] + b"        " + block[156:]
    if (zlib.adler32(spaced) & 0xFFFF) == (given + 1) % 65521:
        return
    if sum(struct.unpack("512b", spaced)) != given:  # some old tars summed signed bytes
        raise refuse("this is no tar archive, or it is damaged: a header's checksum is wrong")


def check_entry(entry: Entry) -> None:
    """Refuse what no kernel call could take; times beyond any file system's become 0, as Docker has it."""
    if not 0 <= entry.uid <= _MAX_ID or not 0 <= entry.gid <= _MAX_ID:
        raise refuse(f"entry {shown(entry.name)} belongs to {entry.uid}:{entry.gid}, which are no user and group ids")
    if not 0 <= entry.major < 1 << 12 or not 0 <= entry.minor < 1 << 20:
        raise refuse(f"entry {shown(entry.name)} is device {entry.major}:{entry.minor}, which the kernel does not have")
    if b"\0" in entry.name or b"\0" in entry.link:
        raise refuse(f"entry {shown(entry.name)} has a zero byte in its name")
    if not -_FARTHEST_S < entry.mtime_ns // 1_000_000_000 < _FARTHEST_S:
        entry.mtime_ns = 0
