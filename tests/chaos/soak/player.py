"""Who plays on an engine and keeps count: asks, compares every list after each act, and clears the table in the end.

The acts themselves are in `ships`, `cargo` and `disasters`.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant
from tests.chaos.soak.harbour import PATIENCE_S, Harbour, check_kernel, check_lists, elements
from tests.chaos.soak.model import BASE, Fleet, Ship
from tests.waiting import until

PICK = st.integers(0, 63)
VERBS = ("start", "stop?t=1", "kill", "pause", "unpause", "restart?t=0")
AFTER = {
    "start": "running",
    "stop": "exited",
    "kill": "exited",
    "pause": "paused",
    "unpause": "running",
    "restart": "running",
}
# What the daemon has from its first need on, which may come later than the first look: three network namespaces that
# stand by, netlink sockets for rules, servers of names and views; and connections that it keeps for a while.
SPARE_DESCRIPTORS = 16
Act = Callable[..., None]


def picked[Thing](things: Sequence[Thing], pick: int) -> Thing:
    return things[pick % len(things)]


def when(holds: Callable[[Any], object]) -> Callable[[Act], Act]:
    """An act that is nothing unless this holds.

    hypothesis' own preconditions must not depend on how a race ended: the same choices have to make the same game.
    """

    def wrap(act: Act) -> Act:
        @functools.wraps(act)
        def act_if(self: Player, *words: Any, **named: Any) -> None:
            if holds(self):
                act(self, *words, **named)

        return act_if

    return wrap


class Player(RuleBasedStateMachine):
    """One example: a fleet from nothing to nothing on an engine that has seen others before."""

    def __init__(self, harbour: Harbour) -> None:
        super().__init__()
        self.harbour, self.engine = harbour, harbour.engine
        self.fleet = Fleet()
        base = harbour.image_id(BASE)
        self.fleet.tags[BASE], self.fleet.marks[base] = base, 0
        self.number = 0

    def new_name(self, word: str) -> str:
        """A name that was never used before."""
        self.number += 1
        return f"{word}{self.number}"

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        self.harbour.done += 1
        status, content = self.engine.request(method, path, body)
        assert status < 500, (method, path, status, content)
        text = content.decode(errors="replace")
        return status, json.loads(text) if text[:1] in {"{", "["} and "\n" not in text.strip() else text

    def expect(self, method: str, path: str, expected: int, body: Any = None) -> Any:
        status, content = self.ask(method, path, body)
        assert status == expected, (method, path, status, expected, content)
        return content

    def ships_in(self, *states: str) -> list[Ship]:
        return [ship for ship in self.fleet.ships.values() if not states or ship.state in states]

    @invariant()
    def the_list_is_the_models(self) -> None:
        assert self.harbour.listed() == self.fleet.listed()

    def teardown(self) -> None:
        """The end state is the model's; then everything goes, and nothing may be left."""
        try:
            if sys.exception() is None:
                check_lists(self.harbour, self.fleet)
                check_kernel(self.harbour, self.fleet)
        finally:
            self._clear()
        if sys.exception() is None:
            self.fleet = Fleet(tags={BASE: self.fleet.tags[BASE]})
            check_lists(self.harbour, self.fleet)
            check_kernel(self.harbour, self.fleet)
            left = elements(self.harbour)
            assert left == self.harbour.elements, left
            self._check_descriptors()

    def _check_descriptors(self) -> None:
        """A daemon with nothing has as many as when it first had nothing."""
        pid = self.engine.pid
        first = self.harbour.descriptors.setdefault(pid, len(os.listdir(f"/proc/{pid}/fd")))
        most = first + SPARE_DESCRIPTORS
        try:
            until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= most, PATIENCE_S)
        except AssertionError as error:
            error.add_note(f"{first} at first, now: {' '.join(descriptors(pid))}")
            raise

    def _clear(self) -> None:
        for ship_id in self.harbour.listed():
            self.ask("DELETE", f"/containers/{ship_id}?force=1&v=1")
        for tag in self.harbour.tags() - {BASE}:
            self.ask("DELETE", f"/images/{tag}?force=1")
        for path in (
            "/networks/prune",
            "/volumes/prune?filters={%22all%22:[%22true%22]}",
            "/images/prune",
            "/build/prune",
        ):
            self.ask("POST", path)


def descriptors(pid: int) -> list[str]:
    """What a process has open, as proc(5) names it."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):  # closed meanwhile
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sorted(found)


def together(acts: list[Callable[[], None]]) -> None:
    """Do all at once; the first failure is raised."""
    failed: list[BaseException] = []

    def attempt(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread that asked
            failed.append(error)

    threads = [threading.Thread(target=attempt, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
