"""Where the engine's things are on disk and in /run (design.md, section 5); nothing here makes or removes them."""

from __future__ import annotations

from dataclasses import dataclass

OWN_CGROUP = "/sampan"  # the cgroup of all containers, unless the daemon is told of another


@dataclass(frozen=True, slots=True)
class Layout:
    """The two roots that dockerd's words --data-root and --exec-root name."""

    data_root: str = "/var/lib/sampan"
    exec_root: str = "/run/sampan"

    @property
    def database(self) -> str:
        """The state of the engine."""
        return f"{self.data_root}/sampan.db"

    @property
    def containers(self) -> str:
        """The folder of all containers' own folders."""
        return f"{self.data_root}/containers"

    def container(self, container_id: str) -> str:
        """What one container keeps while it exists: upper and work, log, exit record, the files of its network."""
        return f"{self.containers}/{container_id}"

    def run(self, container_id: str) -> str:
        """What one container has while it runs: its monitor's socket."""
        return f"{self.exec_root}/{container_id}"

    def log(self, container_id: str) -> str:
        """The container's log, where Docker's inspect would show it."""
        return f"{self.container(container_id)}/{container_id}-json.log"
