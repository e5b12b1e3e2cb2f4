"""Names of files, which are bytes, as people are told them."""

from __future__ import annotations


def shown(name: bytes | str | int | None) -> str:
    r"""In quotes, what is no text as \xff; "a file" for None and for the descriptors that OSError may have."""
    import re  # only a failure needs it

    if not isinstance(name, bytes | str):
        return "a file"
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", repr(text))
