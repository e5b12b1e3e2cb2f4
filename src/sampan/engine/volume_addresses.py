"""File servers that a volume's options call by name: nfs and cifs want an address, and the kernel asks no name server.

Looked up anew for every mount, as Docker does it; what a container's record says stays a name.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket

from sampan.engine.container import ContainerRecord, MountPoint
from sampan.errors import SystemFailure
from sampan.network.addresses import is_address

_ADDRESS = "addr="
_NFS = {"nfs", "nfs4"}
_CIFS = {"cifs", "smb3"}


async def with_addresses(record: ContainerRecord) -> ContainerRecord:
    """The record, for a plan, with addresses where its volumes' options name servers. Raises SystemFailure."""
    if not any(map(server_of, record.mounts)):
        return record
    points = await asyncio.gather(*(asyncio.to_thread(with_address, point) for point in record.mounts))
    return dataclasses.replace(record, mounts=tuple(points))


def with_address(point: MountPoint) -> MountPoint:
    """The mount with its server's address in place of the name; for a thread. Raises SystemFailure."""
    name = server_of(point)
    return at_address(point, _look_up(name, point)) if name else point


def server_of(point: MountPoint) -> str:
    """The name of the server whose address a mount wants; "" when it wants none."""
    if point.kind != "volume" or point.fstype not in _NFS | _CIFS:
        return ""
    named = [word.removeprefix(_ADDRESS) for word in point.options.split(",") if word.startswith(_ADDRESS)]
    if not named and point.fstype in _CIFS and point.device.startswith("//"):
        named = [point.device[2:].partition("/")[0]]
    return named[0] if named and not is_address(named[0]) else ""


def at_address(point: MountPoint, address: str) -> MountPoint:
    """The mount with an address in place of its server's name."""
    words = point.options.split(",")
    for index, word in enumerate(words):
        if word.startswith(_ADDRESS):
            words[index] = f"{_ADDRESS}{address}"
            return dataclasses.replace(point, options=",".join(words))
    path = point.device[2:].partition("/")[2]
    return dataclasses.replace(point, device=f"//{address}/{path}")


def _look_up(name: str, point: MountPoint) -> str:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SystemFailure(
            f"cannot mount volume {point.name}: error resolving passed in network volume address: {name}: {reason}",
            remedy="see that the name is known to this machine, or give addr=ADDRESS in the option o",
        ) from error
    return str(found[0][4][0])
