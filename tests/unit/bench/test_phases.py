"""The bench's table of a start's steps, out of traces that are made up."""

from __future__ import annotations

from typing import Any

from bench.phases import steps


def trace(plan_ms: float) -> list[dict[str, Any]]:
    """Two steps of the engine and one of the container, the last too short to be seen."""
    return [
        {"Process": "engine", "Name": "plan", "Began": 0, "Took": int(plan_ms * 1e6)},
        {"Process": "pid 1", "Name": "enter_root", "Began": int(plan_ms * 1e6), "Took": 2_000_000},
        {"Process": "engine", "Name": "tell", "Began": int((plan_ms + 2) * 1e6), "Took": 10_000},
    ]


def test_a_step_is_told_by_its_median_and_its_quarters() -> None:
    lines = list(steps([trace(1), trace(2), trace(9)]))
    assert "| engine | plan | 2.00 | 1.00 to 9.00 |" in lines
    assert "| pid 1 | enter root | 2.00 | 2.00 to 2.00 |" in lines


def test_what_is_too_short_to_be_seen_is_in_a_sum_and_the_whole_in_the_last_line() -> None:
    lines = list(steps([trace(1), trace(2), trace(9)]))
    assert not any("| tell |" in line for line in lines)
    assert "| engine | all that take less than 0.05 ms | 0.01 | |" in lines
    assert lines[-1] == "| | **from the first step to the last** | 4.01 | |"


def test_one_trace_is_enough() -> None:
    assert "| engine | plan | 1.00 | 1.00 to 1.00 |" in list(steps([trace(1)]))
