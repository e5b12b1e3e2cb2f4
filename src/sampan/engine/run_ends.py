"""How a run ended, from what a monitor told or left, in the record's words; and the end of what is left of it.

What comes of an end is `lifecycle`'s.
"""

from __future__ import annotations

import time

from sampan.cgroup import open_cgroup
from sampan.engine.container import ContainerRecord, Endpoint, MemoryKill
from sampan.engine.threads import to_its_end
from sampan.errors import SystemFailure
from sampan.monitor import protocol

LOST_CODE = 137


def released(record: ContainerRecord) -> dict[str, Endpoint]:
    """The endpoints of a container that does not run: the networks stay, the addresses go."""
    return {
        name: Endpoint(network_id=endpoint.network_id, dns_names=endpoint.dns_names)
        for name, endpoint in record.endpoints.items()
    }


def memory_kills(kills: tuple[protocol.Kill, ...]) -> tuple[MemoryKill, ...]:
    """What a monitor tells of kills, as the record keeps it."""
    return tuple(MemoryKill(*kill) for kill in kills)


def lost_exit(directory: str, code: int = LOST_CODE) -> protocol.Exited:
    """The exit record that a monitor left, or one that says it was killed together with its container."""
    try:
        with open(f"{directory}/exit.json", "rb") as file:
            message = protocol.decode(file.read())
    except (OSError, ValueError):
        message = None
    if isinstance(message, protocol.Exited):
        return message
    return protocol.Exited(code=code, signal=9, at_ns=time.time_ns())


async def remove_cgroup(path: str) -> None:
    """End whoever is in the cgroup, and remove it; nothing happens when there is none. Raises SystemFailure."""
    cgroup = open_cgroup(path)
    try:
        if cgroup.exists():
            if cgroup.processes():
                await to_its_end(cgroup.kill_all)  # one that hangs in the kernel is waited for
            cgroup.remove()
    except OSError as error:
        raise SystemFailure(
            f"cannot remove the cgroup {cgroup.path}: {error}", remedy="end its processes, then start again"
        ) from error
    finally:
        cgroup.close()
