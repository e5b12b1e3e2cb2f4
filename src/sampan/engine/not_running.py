"""The refusal of what only a running container can be asked, in Docker's words."""

from __future__ import annotations

from sampan.engine.container import ContainerRecord, Restarting
from sampan.errors import Conflict


def not_running(record: ContainerRecord) -> Conflict:
    """The error for a container that does not run, to be raised."""
    if isinstance(record.state, Restarting):
        return Conflict(
            f"Container {record.id} is restarting, wait until the container is running",
            remedy=f"`sampan logs {record.name}` may say why it ends; `sampan start {record.name}` starts it at once",
        )
    return Conflict(f"container {record.id} is not running", remedy=f"start it with `sampan start {record.name}`")
