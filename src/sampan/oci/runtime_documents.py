"""Reading config.json, process.json and resources of the OCI runtime specification.

The way from bytes to the structs of `runtime_spec`; a document of the wrong shape is refused here with the place of
the fault, a value that cannot be is refused later by `runtime.plan`.
"""

from __future__ import annotations

import msgspec

from sampan.errors import InvalidArgument, as_an_end, reason_of
from sampan.oci.documents import decode_document
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
        return decode_document(content, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{name}: {as_an_end(reason_of(error))}") from None
