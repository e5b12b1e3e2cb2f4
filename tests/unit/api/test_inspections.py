"""Kept inspect documents: how long they are, and for whom."""

from __future__ import annotations

import dataclasses
import json

import pytest

from sampan.api import inspections
from sampan.api.inspections import Inspections
from sampan.api.versions import MAXIMUM
from sampan.engine.config import ContainerConfig
from sampan.engine.container import ContainerRecord, Exited
from sampan.engine.health import Health
from sampan.engine.layout import Layout


def _record(name: str) -> ContainerRecord:
    return ContainerRecord(id=name * 8, name=name, created_at_ns=1, image_id="", config=ContainerConfig())


@pytest.fixture
def kept() -> Inspections:
    return Inspections(Layout("/data", "/run"))


def test_what_has_not_changed_is_not_made_again(kept: Inspections) -> None:
    record = _record("a")
    first = kept.of(record, Health(), ["e"], MAXIMUM)
    assert kept.of(record, Health(), ["e"], MAXIMUM) is first


def test_whatever_changes_is_told(kept: Inspections) -> None:
    record = _record("a")
    kept.of(record, None, [], MAXIMUM)
    assert json.loads(kept.of(record, None, ["e"], MAXIMUM))["ExecIDs"] == ["e"]
    assert json.loads(kept.of(record, Health("healthy"), [], MAXIMUM))["State"]["Health"]["Status"] == "healthy"
    ended = record.with_state(Exited(3, 1, 2))
    assert json.loads(kept.of(ended, None, [], MAXIMUM))["State"]["ExitCode"] == 3
    named = dataclasses.replace(ended, name="b")
    assert json.loads(kept.of(named, None, [], MAXIMUM))["Name"] == "/b"


def test_the_oldest_go_when_all_are_large(kept: Inspections, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [_record(name) for name in "abc"]
    size = len(kept.of(records[0], None, [], MAXIMUM))
    monkeypatch.setattr(inspections, "MAX_BYTES", size * 2)
    first = kept.of(records[0], None, [], MAXIMUM)
    second = kept.of(records[1], None, [], MAXIMUM)
    third = kept.of(records[2], None, [], MAXIMUM)
    assert kept.of(records[2], None, [], MAXIMUM) is third
    assert kept.of(records[1], None, [], MAXIMUM) is second
    assert kept.of(records[0], None, [], MAXIMUM) is not first


def test_one_that_is_larger_than_all_may_be_is_told_all_the_same(
    kept: Inspections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspections, "MAX_BYTES", 10)
    record = _record("a")
    assert kept.of(record, None, [], MAXIMUM) == kept.of(record, None, [], MAXIMUM)
