"""A soak: random operations and disasters on one engine, which has to end up as the model says, with nothing left.

The suite plays a few short games that are the same each time. `--soak-seconds 900` plays others for as long; a game
that fails is named by its number, which `--soak-seed` plays again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import initialize, run_state_machine_as_test
from tests.building import need_busybox
from tests.chaos.soak.cargo import Cargo
from tests.chaos.soak.disasters import Disasters
from tests.chaos.soak.harbour import Harbour
from tests.chaos.soak.ships import Ships
from tests.engine_process import EngineProcess
from tests.private_network import make_private_network

GAMES, STEPS = 3, 30
LONG_GAMES, LONG_STEPS = 8, 60


class Soak(Ships, Cargo, Disasters):
    """Every act, from a table with something of each kind on it."""

    @initialize()
    def begin(self) -> None:
        self.create_network()
        self.create_volume()
        for place in range(2):
            self.create(0, 2 * place, place, with_port=True, start=True)


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    need_busybox()
    network = make_private_network()
    try:
        with EngineProcess(tmp_path, netns_fd=network.netns_fd) as engine:
            found = Harbour(engine, network)
            found.import_base()
            found.note_what_stays()
            yield found
    finally:
        network.close()


def play(harbour: Harbour, number: int, games: int, steps: int) -> None:
    """Some games of one number: the same number is the same games."""

    class Game(Soak):
        def __init__(self) -> None:
            super().__init__(harbour)

    try:
        run_state_machine_as_test(
            seed(number)(Game),
            settings=settings(
                max_examples=games,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=(Phase.generate,),
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except BaseException as error:
        error.add_note(f"game {number}, after {harbour.done} acts; the daemon's log: {harbour.engine.log}")
        raise


def test_the_end_of_every_game_is_the_models(harbour: Harbour, pytestconfig: pytest.Config) -> None:
    number = int(pytestconfig.getoption("--soak-seed"))
    seconds = float(pytestconfig.getoption("--soak-seconds"))
    if not seconds:
        play(harbour, number, GAMES, STEPS)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        play(harbour, number, LONG_GAMES, LONG_STEPS)
        number += 1
