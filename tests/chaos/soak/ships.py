"""Acts on ships: they are made, changed, looked at and let go, and every answer is the one that its state asks for."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.chaos.soak.harbour import PATIENCE_S
from tests.chaos.soak.model import Ship
from tests.chaos.soak.player import AFTER, PICK, VERBS, Player, picked, together, when
from tests.waiting import until

MOST_SHIPS = 8
# a ship ends with 7 when it is asked to; a TERM that comes before the trap is set finds a pid 1 that does not heed it
LIFE = ["sh", "-c", 'trap "exit 7" TERM; while :; do sleep 1000 & wait; done']
MARK = "echo x >> /mark; [ ! -d /data ] || echo x >> /data/log; exit $(wc -l < /mark)"
# what a verb answers to a ship in each state, and whether it changes it
ANSWERS: dict[str, dict[str, int]] = {
    "start": {"created": 204, "exited": 204, "running": 304, "paused": 409},
    "stop": {"created": 304, "exited": 304, "running": 204, "paused": 204},
    "kill": {"created": 409, "exited": 409, "running": 204, "paused": 204},
    "pause": {"created": 409, "exited": 409, "running": 204, "paused": 409},
    "unpause": {"created": 409, "exited": 409, "running": 409, "paused": 204},
    "restart": {"created": 204, "exited": 204, "running": 204, "paused": 204},
}


class Ships(Player):
    """What is done to one container, or to all of them."""

    @rule(image=PICK, network=PICK, volume=PICK, with_port=st.booleans(), start=st.booleans())
    @when(lambda self: len(self.fleet.ships) < MOST_SHIPS)
    def create(self, image: int, network: int, volume: int, *, with_port: bool, start: bool) -> None:
        tag = picked(sorted(self.fleet.tags), image)
        mode = picked(["none", "bridge", *sorted(self.fleet.networks)], network)
        kept = picked(["", *sorted(self.fleet.volumes)], volume)
        ship = Ship("", self.new_name("c"), self.fleet.tags[tag], volume=kept)
        ship.networks = set() if mode == "none" else {mode}
        host: dict[str, Any] = {"NetworkMode": mode}
        if kept:
            host["Binds"] = [f"{kept}:/data"]
        if with_port and ship.networks:
            ship.port = 20000 + self.number
            host["PortBindings"] = {"80/tcp": [{"HostPort": str(ship.port)}]}
        body = {"Image": tag, "Cmd": LIFE, "HostConfig": host}
        ship.id = self.expect("POST", f"/containers/create?name={ship.name}", 201, body)["Id"]
        ship.marks = self.fleet.marks[ship.image]
        self.fleet.ships[ship.id] = ship
        self.harbour.ids.add(ship.id)
        if start:
            self.expect("POST", f"/containers/{ship.id}/start", 204)
            ship.state = "running"

    @rule(pick=PICK, verb=st.sampled_from(VERBS))
    @when(lambda self: self.fleet.ships)
    def change(self, pick: int, verb: str) -> None:
        ship = picked(self.ships_in(), pick)
        name = verb.partition("?")[0]
        expected = ANSWERS[name][ship.state]
        self.expect("POST", f"/containers/{ship.id}/{verb}", expected)
        if expected == 204:
            ship.state = AFTER[name]
        if name == "kill" and expected == 204:
            self.expect("POST", f"/containers/{ship.id}/wait", 200)

    @rule(pick=PICK)
    @when(lambda self: self.ships_in("running"))
    def let_end(self, pick: int) -> None:
        """A ship that was asked to end, by its own trap; asked anew as long as the trap is not set."""
        ship = picked(self.ships_in("running"), pick)

        def has_ended() -> bool:
            self.ask("POST", f"/containers/{ship.id}/kill?signal=TERM")
            return bool(self.engine.inspect(ship.id)["State"]["Status"] == "exited")

        until(has_ended, PATIENCE_S)
        assert self.engine.inspect(ship.id)["State"]["ExitCode"] == 7
        ship.state = "exited"

    @rule(pick=PICK)
    @when(lambda self: self.ships_in("running"))
    def execute(self, pick: int) -> None:
        ship = picked(self.ships_in("running"), pick)
        made = self.expect("POST", f"/containers/{ship.id}/exec", 201, {"Cmd": ["sh", "-c", MARK]})
        self.expect("POST", f"/exec/{made['Id']}/start", 200, {"Detach": True})
        until(lambda: self.engine.json("GET", f"/exec/{made['Id']}/json")["ExitCode"] is not None, PATIENCE_S)
        ship.marks += 1
        if ship.volume:
            self.fleet.volumes[ship.volume] += 1
        assert self.engine.json("GET", f"/exec/{made['Id']}/json")["ExitCode"] == ship.marks % 256

    @rule(pick=PICK)
    @when(lambda self: self.ships_in("paused", "exited", "created"))
    def execute_where_nothing_runs(self, pick: int) -> None:
        ship = picked(self.ships_in("paused", "exited", "created"), pick)
        self.expect("POST", f"/containers/{ship.id}/exec", 409, {"Cmd": ["true"]})

    @rule(pick=PICK, other=PICK)
    @when(lambda self: self.fleet.ships)
    def rename(self, pick: int, other: int) -> None:
        ship, rival = picked(self.ships_in(), pick), picked(self.ships_in(), other)
        self.expect("POST", f"/containers/{ship.id}/rename?name={rival.name}", 409 if rival is not ship else 400)
        name = self.new_name("r")
        self.expect("POST", f"/containers/{ship.id}/rename?name={name}", 204)
        ship.name = name

    @rule(pick=PICK, force=st.booleans())
    @when(lambda self: self.fleet.ships)
    def remove(self, pick: int, *, force: bool) -> None:
        ship = picked(self.ships_in(), pick)
        refused = ship.is_alive and not force
        self.expect("DELETE", f"/containers/{ship.name}?force={int(force)}", 409 if refused else 204)
        if not refused:
            del self.fleet.ships[ship.id]

    @rule()
    def prune_containers(self) -> None:
        told = self.expect("POST", "/containers/prune", 200)
        idle = {ship.id for ship in self.ships_in("created", "exited")}
        assert set(told["ContainersDeleted"] or ()) == idle
        self.fleet.ships = {ship_id: ship for ship_id, ship in self.fleet.ships.items() if ship_id not in idle}

    @rule(pick=PICK)
    @when(lambda self: self.fleet.ships)
    def look(self, pick: int) -> None:
        """What only reads answers in every state."""
        ship = picked(self.ships_in(), pick)
        for path in ("json?size=1", "logs?stdout=1", "changes", "stats?stream=0&one-shot=1"):
            self.expect("GET", f"/containers/{ship.id}/{path}", 200)
        self.expect("GET", f"/containers/{ship.id}/archive?path=/bin/sh", 200)
        self.expect("GET", f"/containers/{ship.id}/top", 200 if ship.is_alive else 409)
        for path in ("/system/df", "/info", "/images/json?all=1"):
            self.expect("GET", path, 200)

    @rule()
    @when(lambda self: len(self.fleet.ships) > 1)
    def all_at_once(self) -> None:
        """Every ship is restarted, at the same time."""
        ships = self.ships_in()
        answers: dict[str, int] = {}

        def restart(ship: Ship) -> None:
            answers[ship.id] = self.engine.request("POST", f"/containers/{ship.id}/restart?t=0")[0]

        together([lambda ship=ship: restart(ship) for ship in ships])  # type: ignore[misc]
        assert answers == {ship.id: 204 for ship in ships}
        for ship in ships:
            ship.state = "running"
