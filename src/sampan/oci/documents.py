"""JSON documents as programs in Go write and read them: where nothing is set they may leave null, which is absent."""

from __future__ import annotations

import msgspec


def decode_document[Document: msgspec.Struct](content: bytes, kind: type[Document]) -> Document:
    """The document in `content`. Raises msgspec.DecodeError, UnicodeDecodeError, and RecursionError for a deep one."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError:
        if b"null" not in content:  # only documents that have one are read twice
            raise
    return msgspec.convert(_without_nulls(msgspec.json.decode(content)), kind)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
