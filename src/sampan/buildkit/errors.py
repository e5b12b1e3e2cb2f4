"""Errors on their way through gRPC: ours become a status, with the place in the Dockerfile as clients show it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status as StatusMessage
from grpclib.const import Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError

from sampan.build.commands import StepFailed
from sampan.build.lines import cut
from sampan.errors import InvalidArgument, SampanError

log = logging.getLogger("sampan.buildkit")

_LARGEST_SOURCE = 4 << 20  # of a Dockerfile that is sent with an error: clients in Go take headers up to 16 MiB
_SOURCE = "github.com/moby/buildkit/errdefs.Source+json"


class Details(StatusDetailsCodecBase):
    """Details of a status as containerd's typeurl has them: each a name, and JSON."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        """A google.rpc.Status."""
        made = StatusMessage(code=status.value, message=message or "")
        for name, document in (details or {}).items():
            made.details.append(AnyMessage(type_url=name, value=json.dumps(document).encode()))
        content: bytes = made.SerializeToString()
        return content

    def decode(self, status: Status, message: str | None, data: bytes) -> None:
        """What a client says beside its sentence is nothing to us."""


def as_status(error: SampanError, source: bytes = b"") -> GRPCError:
    """The status for an error; `source` is the Dockerfile whose lines its place speaks of.

    It is UNKNOWN for all of them: BuildKit's clients show the bare sentence of that, others with the status before it.
    """
    sentence = f"{error.sentence} ({error.remedy})" if error.remedy else error.sentence
    return GRPCError(Status.UNKNOWN, sentence, _details(error, source))


def in_buildkits_words(error: SampanError) -> None:
    """Say what its users know by heart, and their scripts look for, as BuildKit says it."""
    if isinstance(error, StepFailed):
        command = json.dumps(error.command, ensure_ascii=False)
        error.sentence = f"process {command} did not complete successfully: exit code: {error.code}"


def _details(error: SampanError, source: bytes) -> dict[str, Any]:
    place = error.place or error.sentence.partition(": ")[0]
    name, _, line = place.rpartition(":")
    if not line.isdigit() or not 0 < len(source) <= _LARGEST_SOURCE:
        return {}
    info = {"filename": name, "data": base64.b64encode(source).decode(), "language": "Dockerfile"}
    lines = {"start": {"line": int(line)}, "end": {"line": _last_line(source, int(line))}}
    return {_SOURCE: {"info": info, "ranges": [lines]}}


def _last_line(source: bytes, first: int) -> int:
    """Where the instruction ends that begins at a line of a Dockerfile."""
    with contextlib.suppress(InvalidArgument):
        for one in cut(source, name="").lines:
            if one.position.line == first:
                return one.position.end_line
    return first


def told[Self](handler: Callable[[Self, Any], Awaitable[None]]) -> Callable[[Self, Any], Awaitable[None]]:
    """A handler whose errors reach the client as statuses; what nobody foresaw is logged whole."""

    @functools.wraps(handler)
    async def telling(self: Self, stream: Any) -> None:
        try:
            await handler(self, stream)
        except Exception as error:
            if _has_left(stream):
                raise asyncio.CancelledError from error  # nobody is there to be told; grpclib takes another for a fault
            if isinstance(error, SampanError):
                raise as_status(error) from error
            if isinstance(error, GRPCError | StreamTerminatedError):
                raise
            raise unforeseen(error) from error

    return telling


def _has_left(stream: Any) -> bool:
    """Whether grpclib cancels the call because its client gave it up, or is gone."""
    wrapper = stream._stream.wrapper  # noqa: SLF001
    return wrapper is not None and bool(wrapper.cancelled)


async def received(stream: Any) -> Any:
    """The message that a call begins with. Raises InvalidArgument for what is none."""
    try:
        message = await stream.recv_message()
    except DecodeError as error:
        raise InvalidArgument(f"the message cannot be read: {error}") from error
    if message is None:
        raise InvalidArgument("the call has no message")
    return message


def unforeseen(error: Exception) -> GRPCError:
    """The status for what is a fault of ours, and logged whole."""
    log.error("a call failed in a way that was not foreseen", exc_info=error)
    return GRPCError(Status.UNKNOWN, f"internal error: {type(error).__name__}: {error}")


def reason(error: GRPCError | StreamTerminatedError) -> str:
    """What a client said when it was asked for something and could not."""
    if isinstance(error, GRPCError):
        return error.message or error.status.name.lower()
    return "the client has left"
