"""How a run ended, from what a monitor told or left, in the record's words. What comes of an end is `lifecycle`'s."""

from __future__ import annotations

import time

from sampan.engine.container import ContainerRecord, Endpoint, MemoryKill
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
