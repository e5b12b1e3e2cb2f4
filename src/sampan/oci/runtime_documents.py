"""Reading config.json, process.json and resources of the OCI runtime specification.

The way from bytes to the structs of `runtime_spec`; a document of the wrong shape is refused here with the place of
the fault, a value that cannot be is refused later by `runtime.plan`.
"""

from __future__ import annotations

import msgspec

from sampan.errors import InvalidArgument, as_an_end, reason_of
from sampan.oci.runtime_resources import Resources
from sampan.oci.runtime_spec import Process, RuntimeSpec


def decode_spec(content: bytes, name: str = "config.json") -> RuntimeSpec:
    """The specification in `content`; `name` says in the error which file it was. Raises InvalidArgument."""
    return _decode(content, RuntimeSpec, name)


def decode_process(content: bytes, name: str = "process.json") -> Process:
    """The `process` object in `content`, as `exec --process` takes it. Raises InvalidArgument."""
    return _decode(content, Process, name)


def decode_resources(content: bytes, name: str = "resources") -> Resources:
    """The `linux.resources` object in `content`, as `update --resources` takes it. Raises InvalidArgument."""
    return _decode(content, Resources, name)


def _decode[Document: (RuntimeSpec, Process, Resources)](content: bytes, kind: type[Document], name: str) -> Document:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        # Writers in Go leave null where nothing is set, and read it so: absent. Only such documents come here twice.
        if b"null" not in content:
            raise _refusal(name, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(name, error) from None
    try:
        return msgspec.convert(_without_nulls(msgspec.json.decode(content)), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _refusal(name, error) from None


def _refusal(name: str, error: Exception) -> InvalidArgument:
    return InvalidArgument(f"{name}: {as_an_end(reason_of(error))}")


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
