from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sampan.engine.config import ContainerConfig
from sampan.engine.container import ContainerRecord, Created, Exited, MountPoint, Running
from sampan.engine.store import ContainerStore, open_database

STEP = ContainerRecord(
    id="c" * 64, name="step", created_at_ns=1, image_id="", config=ContainerConfig(), build_step=True
)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "sampan.db")


def on_disk(database: str) -> ContainerRecord:
    """What the next daemon would find."""
    connection = open_database(database)
    try:
        return ContainerStore(connection).find(STEP.id)
    finally:
        connection.close()


def test_how_the_step_of_a_build_goes_on_is_not_written(database: str) -> None:
    connection = open_database(database)
    store = ContainerStore(connection)
    store.add(STEP)
    store.foretell(STEP.with_state(Running(1, 2, 3)))
    assert store.find(STEP.id).state == Created()
    store.save(STEP.with_state(Running(1, 2, 3)))
    assert store.find(STEP.id).state == Running(1, 2, 3)
    connection.close()
    assert on_disk(database) == STEP


def test_a_step_that_is_kept_is_written_as_it_is(database: str) -> None:
    connection = open_database(database)
    store = ContainerStore(connection)
    store.add(STEP)
    ended = store.save(STEP.with_state(Exited(1, 2, 3)))
    kept = store.save(dataclasses.replace(ended, build_step=False))
    connection.close()
    assert on_disk(database) == kept
    assert kept.state == Exited(1, 2, 3)


def test_what_a_step_has_mounted_is_written_as_it_must_be_given_back(database: str) -> None:
    connection = open_database(database)
    store = ContainerStore(connection)
    store.add(STEP)
    point = MountPoint("volume", "/data", name="v", driver="plugin", source="/somewhere")
    store.foretell(dataclasses.replace(STEP, mounts=(point,)).with_state(Running(1, 2, 3)))
    connection.close()
    assert on_disk(database).mounts == (point,)
