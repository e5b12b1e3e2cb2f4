"""What `sampan stats` and `sampan top` remember of containers between their samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from sampan.cli.commands.stats import Meter
from sampan.cli.usage import HISTORY_LENGTH
from sampan.client.session import Session


class Scripted:
    """Answers for whatever container it is asked for."""

    def call_all(self, _method: str, paths: Sequence[str], _query: object) -> Iterator[Any]:
        for path in paths:
            yield {"id": path.split("/")[2], "name": "/named"}


def test_containers_that_are_no_longer_measured_are_forgotten() -> None:
    meter = Meter(cast("Session", Scripted()))
    for number in range(HISTORY_LENGTH + 1):
        usages = meter.sample([(str(number), ""), ("stays", "")])
    assert [len(usage.cpu_before) for usage in usages] == [1, HISTORY_LENGTH]
    assert [set(kept) for kept in (meter._before, meter._history, meter._asked)] == [{str(number), "stays"}] * 3
