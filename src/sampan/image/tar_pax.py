"""Extended headers of pax archives: records of `length key=value`, and what they overrule in an entry.

Source: POSIX.1-2024, pax, "pax Extended Header"; extended attributes as star writes them (SCHILY.xattr). The sparse
files' own records are `tar_sparse`.
"""

from __future__ import annotations

from sampan.image.tar_entry import Entry, refuse

XATTR = b"SCHILY.xattr."
_FIELDS = {b"uid": "uid", b"gid": "gid", b"SCHILY.devmajor": "major", b"SCHILY.devminor": "minor"}
_TEXTS = {b"path": "name", b"linkpath": "link"}


def pax_records(data: bytes) -> list[tuple[bytes, bytes]]:
    """The `length key=value` records of a pax header, in order."""
    records = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 12)
        digits = data[at:space] if space > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        end = at + length
        equals = data.find(b"=", space, end)
        if end > len(data) or equals < 0 or data[end - 1 : end] != b"\n":
            if not data[at:].strip(b"\0"):
                break  # some writers pad inside the size
            raise refuse("a pax header is malformed")
        records.append((data[space + 1 : equals], data[equals + 1 : end - 1]))
        at = end
    return records


def apply_records(entry: Entry, records: list[tuple[bytes, bytes]], size: int) -> int:
    """Let pax records overrule the header; returns the size."""
    for key, value in records:
        if key.startswith(XATTR):
            entry.xattrs[key[len(XATTR) :].decode("utf-8", "surrogateescape")] = value
        elif not value:
            continue  # an empty value takes an earlier record back
        elif key in _TEXTS:
            setattr(entry, _TEXTS[key], value)
        elif key in _FIELDS:
            setattr(entry, _FIELDS[key], _decimal(key, value))
        elif key == b"size":
            size = _decimal(key, value)
        elif key == b"mtime":
            entry.mtime_ns = _time_ns(value)
    return size


def _decimal(key: bytes, value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise refuse(f"the pax record {key.decode('latin-1')} is {value[:40]!r}, which is no number")
    return int(value)


def _time_ns(value: bytes) -> int:
    """Seconds with any number of decimals, rounded down to nanoseconds."""
    negative = value.startswith(b"-")
    whole, _, part = value.lstrip(b"-").partition(b".")
    if len(value) > 64 or not whole.isdigit() or (part and not part.isdigit()):
        raise refuse(f"the pax record mtime is {value[:40]!r}, which is no time")
    nanoseconds = int(whole) * 1_000_000_000 + int(part[:9].ljust(9, b"0"))
    return -nanoseconds if negative else nanoseconds
