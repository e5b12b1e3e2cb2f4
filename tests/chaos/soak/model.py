"""What the soak believes: ships, images, networks and volumes as they have to be after what the engine was told.

Here is no engine: a model is changed by what was answered, and says what a list has to show.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BASE = "ship:base"


@dataclass
class Ship:
    """One container. `marks` is how many lines its own file has, which it tells by the exit code of an exec."""

    id: str
    name: str
    image: str  # the id of its image
    state: str = "created"
    networks: set[str] = field(default_factory=set)
    volume: str = ""
    port: int = 0
    marks: int = 0

    @property
    def is_alive(self) -> bool:
        return self.state in {"running", "paused"}


@dataclass
class Fleet:
    """Everything that there is, by name (ships by id)."""

    ships: dict[str, Ship] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)  # tag -> id of an image
    marks: dict[str, int] = field(default_factory=dict)  # id of an image -> lines of its file
    networks: dict[str, str] = field(default_factory=dict)  # name -> id
    volumes: dict[str, int] = field(default_factory=dict)  # name -> lines of its file

    def listed(self) -> dict[str, tuple[str, str]]:
        """What the list of containers has to show: id -> name and state."""
        return {ship.id: (f"/{ship.name}", ship.state) for ship in self.ships.values()}

    def alive(self) -> list[Ship]:
        return [ship for ship in self.ships.values() if ship.is_alive]

    def on(self, network: str) -> list[Ship]:
        return [ship for ship in self.ships.values() if network in ship.networks]

    def users_of(self, volume: str) -> list[Ship]:
        return [ship for ship in self.ships.values() if ship.volume == volume]

    def from_image(self, image: str) -> list[Ship]:
        return [ship for ship in self.ships.values() if ship.image == image]

    def ports(self) -> set[int]:
        """The ports that are published now: those of ships that are alive and on a network."""
        return {ship.port for ship in self.alive() if ship.port and ship.networks}
