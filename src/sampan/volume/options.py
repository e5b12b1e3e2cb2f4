"""The options of the driver `local`, as Docker has them: type, device and o, which are mount(8)'s words, or size.

Without the first three a volume is a directory of its own, of `size` bytes at most. With them it is whatever mount(2)
makes of them, mounted in the containers alone, never on the host. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.errors import InvalidArgument
from sampan.sizes import read_size

_KNOWN = ("type", "device", "o", "size")


@dataclass(frozen=True, slots=True)
class Source:
    """What a volume with options is: a bind of `device`, or a file system of `fstype` on it; `words` as in fstab(5)."""

    fstype: str
    device: str
    words: tuple[str, ...]

    @property
    def is_bind(self) -> bool:
        """Whether it is a directory of the host."""
        return "bind" in self.words or "rbind" in self.words


def source_of(options: dict[str, str]) -> Source | None:
    """What the options say; None when they say nothing. Raises InvalidArgument in Docker's words."""
    for key, value in options.items():
        if key not in _KNOWN:
            raise InvalidArgument(f'invalid option: "{key}"', remedy="the driver local knows type, device, o and size")
        if key != "o" and not value:
            raise InvalidArgument(f"invalid option: {key!r} has no value", remedy=f"as in --opt {key}=VALUE")
    if size_of(options) and len(options) > 1:
        raise InvalidArgument(
            f"size={options['size']} is of a volume that is a directory of the engine's own, not of a mount",
            remedy="for a tmpfs give --opt o=size=BYTES; what else is mounted has the size that it has",
        )
    if not options.keys() - {"size"}:
        return None
    for needed, other in (("device", "type"), ("type", "device")):
        if needed not in options:
            raise InvalidArgument(f'missing required option: "{needed}"', remedy=f"{other} alone is not enough")
    source = Source(options["type"], options["device"], tuple(word for word in options.get("o", "").split(",") if word))
    if source.is_bind and not source.device.startswith("/"):
        raise InvalidArgument(f"invalid device of a bind: {source.device!r}", remedy="give an absolute path")
    if any("\0" in text for text in (source.fstype, source.device, *source.words)):
        raise InvalidArgument("an option of the volume has a NUL byte in it")
    return source


def size_of(options: dict[str, str]) -> int:
    """How many bytes the volume may take; 0 is any number. Raises InvalidArgument."""
    try:
        return read_size(options.get("size", "0"))
    except ValueError as error:
        raise InvalidArgument(f"invalid size: {options['size']!r}: {error}", remedy="write it as 10G or 500m") from None
