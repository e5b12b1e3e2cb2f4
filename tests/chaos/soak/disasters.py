"""Acts that nobody wishes for: daemon, launcher and monitors are killed, and verbs race with each other."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.chaos.soak.harbour import PATIENCE_S, check_kernel, check_lists
from tests.chaos.soak.model import Ship
from tests.chaos.soak.player import AFTER, PICK, VERBS, Player, picked, together, when
from tests.waiting import until

_GONE = (OSError, http.client.HTTPException)


class Disasters(Player):
    """After each of them the model is as it was, or as one of those who were cut off or raced has it."""

    @rule(pick=PICK, whom=st.sampled_from(("daemon", "daemon in order", "launcher", "monitor", "daemon and launcher")))
    def kill_one_of_ours(self, pick: int, whom: str) -> None:
        if whom == "monitor":
            self._kill_a_monitor(pick)
        if whom.endswith("launcher"):
            self._kill_the_launcher()
        if whom == "daemon in order":
            self.engine.stop()
        elif whom.startswith("daemon"):
            self.engine.kill()
        if whom.startswith("daemon"):
            self.engine.start()
            check_lists(self.harbour, self.fleet)
            check_kernel(self.harbour, self.fleet)

    def _kill_the_launcher(self) -> None:
        for pid in children(self.engine.pid, "sampan-launcher"):
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: pid not in children(self.engine.pid, "sampan-launcher"), PATIENCE_S)  # type: ignore[misc]

    def _kill_a_monitor(self, pick: int) -> None:
        if ships := self.ships_in("running"):
            ship = picked(ships, pick)
            os.kill(self.engine.monitor_pid(ship.id), signal.SIGKILL)
            until(lambda: self.engine.inspect(ship.id)["State"]["Status"] == "exited", PATIENCE_S)
            ship.state = "exited"

    @rule(pick=PICK, verb=st.sampled_from((*VERBS, "remove")), after_ms=st.integers(0, 40))
    @when(lambda self: self.fleet.ships)
    def cut_off(self, pick: int, verb: str, after_ms: int) -> None:
        """The daemon dies in the middle of a verb: what was is so, or what was asked for."""
        ship = picked(self.ships_in(), pick)
        asking = threading.Thread(target=self._whatever, args=(ship, verb))
        asking.start()
        time.sleep(after_ms / 1000)
        self.engine.kill()
        asking.join(PATIENCE_S)
        self.engine.start()
        self._adopt(ship, _possible(ship, verb))

    @rule(pick=PICK, first=st.sampled_from((*VERBS, "remove")), second=st.sampled_from((*VERBS, "remove")))
    @when(lambda self: self.fleet.ships)
    def race(self, pick: int, first: str, second: str) -> None:
        """Two verbs at the same ship at once: it ends up as one of them has it."""
        ship = picked(self.ships_in(), pick)
        together([lambda: self._whatever(ship, first), lambda: self._whatever(ship, second)])
        self._adopt(ship, _possible(ship, first) | _possible(ship, second))

    def _whatever(self, ship: Ship, verb: str) -> None:
        """Ask for it; the answer may be any but a fault, and none when the daemon dies."""
        self.harbour.done += 1
        way = ("DELETE", f"/containers/{ship.id}?force=1") if verb == "remove" else None
        try:
            status, content = self.engine.request(*(way or ("POST", f"/containers/{ship.id}/{verb}")))
        except _GONE:
            return
        assert status < 500, (verb, status, content)

    def _adopt(self, ship: Ship, possible: set[str]) -> None:
        """Take the state of one ship from the engine, if it is a possible one."""

        def state() -> str:
            status, content = self.engine.request("GET", f"/containers/{ship.id}/json")
            return json.loads(content)["State"]["Status"] if status == 200 else "gone"

        until(lambda: state() not in {"removing", "restarting"}, PATIENCE_S)
        ship.state = state()
        assert ship.state in possible, (ship, possible)
        if ship.state == "gone":
            del self.fleet.ships[ship.id]


def _possible(ship: Ship, verb: str) -> set[str]:
    """What a ship may be after a verb that was cut off or that had a rival; every state on the way is one."""
    name = verb.partition("?")[0]
    ended = {"exited"} if name in {"remove", "restart"} and ship.state != "created" else set()
    return {ship.state, "gone" if name == "remove" else AFTER[name]} | ended


def children(pid: int, name: str) -> list[int]:
    """Children of a process whose name begins so; threads and children that end meanwhile are passed over."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in (task / "children").read_text().split():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if Path(f"/proc/{child}/comm").read_text().startswith(name):
                        found.append(int(child))
    return found
