"""Which containers a prune removes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sampan.engine.announcer import Announcer
from sampan.engine.config import ContainerConfig
from sampan.engine.container import ContainerRecord, Created, Exited, Running, State
from sampan.engine.containers import Containers
from sampan.engine.layout import Layout
from sampan.engine.pruning import PruneFilter, Pruning
from sampan.engine.store import ContainerStore

RECORD = ContainerRecord(id="c" * 64, name="box", created_at_ns=1, image_id="", config=ContainerConfig())


def pruned(directory: Path, *records: ContainerRecord) -> list[str]:
    """The names of those that a prune removes."""
    removed: list[str] = []

    async def remove(container_id: str) -> None:
        removed.append(container_id)

    pruning = Pruning(
        cast("ContainerStore", SimpleNamespace(all=lambda: records)),
        Layout(str(directory), str(directory)),
        cast("Containers", SimpleNamespace(remove=remove)),
        cast("Announcer", SimpleNamespace(events=SimpleNamespace(publish=lambda *_: None))),
    )
    said = asyncio.run(pruning.prune(PruneFilter()))
    assert list(said.container_ids) == removed
    return removed


@pytest.mark.parametrize("state", [Created(), Exited(0, 1, 2)])
def test_what_a_build_is_about_to_run_or_has_just_run_is_not_pruned(tmp_path: Path, state: State) -> None:
    records = (replace(RECORD, id="a", state=state), replace(RECORD, id="b", state=state, build_step=True))
    assert pruned(tmp_path, *records) == ["a"]


def test_what_runs_is_not_pruned(tmp_path: Path) -> None:
    assert pruned(tmp_path, replace(RECORD, state=Running(1, 2, 3))) == []
