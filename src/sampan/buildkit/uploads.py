"""An archive that a client uploads as its context: `docker build - <archive` (Upload/Pull)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

from grpclib.client import StreamStreamMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from sampan.buildkit.errors import reason
from sampan.buildkit.proto.control_pb2 import BytesMessage
from sampan.buildkit.sessions import Session
from sampan.errors import InvalidArgument

UPLOADS = "http://buildkit-session/"
_METHOD = "/moby.upload.v1.Upload/Pull"


async def uploaded(session: Session, address: str) -> AsyncGenerator[bytes]:
    """What the client has under an address that begins with UPLOADS. Raises InvalidArgument with what it says."""
    parts = urlsplit(address)
    call = StreamStreamMethod(session.caller, _METHOD, BytesMessage, BytesMessage)
    try:
        async with call.open(metadata=[("urlpath", parts.path), ("urlhost", parts.netloc)]) as stream:
            await stream.send_request(end=True)
            async for message in stream:
                yield message.data
    except (GRPCError, StreamTerminatedError) as error:
        raise InvalidArgument(f"the context cannot be read: {reason(error)}") from error
