"""Where the time of a start went: phases out of marks, and the table of them."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.cli.tracing import table
from sampan.engine.tracing import Phase, Trace


def test_a_phase_ends_where_the_next_of_its_process_begins_or_with_the_start() -> None:
    trace = Trace([("engine", "plan", 100), ("engine", "wait", 300), ("engine", "end", 1000)])
    trace.marks += [("monitor", "clone", 350), ("monitor", "ready", 600), ("pid 1", "become", 400)]
    assert list(trace.phases()) == [
        Phase("engine", "plan", 0, 200),
        Phase("engine", "wait", 200, 700),
        Phase("monitor", "clone", 250, 250),
        Phase("pid 1", "become", 300, 600),
        Phase("monitor", "ready", 500, 400),
    ]


def test_without_marks_there_are_no_phases() -> None:
    assert list(Trace().phases()) == []
    assert table([]) == ["the daemon told no phases of this start"]


def phase(process: str, name: str, began_ms: float, took_ms: float) -> dict[str, Any]:
    return {"Process": process, "Name": name, "Began": int(began_ms * 1e6), "Took": int(took_ms * 1e6)}


def test_the_table_lays_the_steps_beside_each_other_in_time() -> None:
    lines = table([phase("engine", "plan", 0, 5), phase("pid 1", "enter_root", 5, 5), phase("engine", "go", 10, 0)], 80)
    assert lines == [
        "BEGAN ms  TOOK ms  PROCESS  STEP",
        "    0.00     5.00  engine   plan        " + "█" * 20,
        "    5.00     5.00  pid 1    enter root  " + " " * 20 + "░" * 20,
        "   10.00     0.00  engine   go          " + " " * 39 + "▏",
        "   10.00 ms in all: the engine's steps, and within its wait those of the others",
        "at work: engine 5.00, pid 1 0.00 ms; ░ waits for another",
    ]


def test_short_steps_of_one_process_that_follow_each_other_share_a_line() -> None:
    steps = [phase("pid 1", name, 10 + number / 100, 0.01) for number, name in enumerate(("set_names", "b", "mask_it"))]
    lines = table(
        [phase("engine", "plan", 0, 10), *steps, phase("engine", "b", 10.03, 0.02), phase("pid 1", "c", 11, 9)]
    )
    assert [line[:48].split() for line in lines[1:5]] == [
        ["0.00", "10.00", "engine", "plan", *lines[1][:48].split()[4:]],
        ["10.00", "0.03", "pid", "1", "set", "names", "+", "2", "more"],
        ["10.03", "0.02", "engine", "b"],
        ["11.00", "9.00", "pid", "1", "c"],
    ]


@pytest.mark.parametrize("width", [20, 40, 71, 72, 80, 200])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    names = ("prepare_root,_files_and_plan", "wait_for_the_container", "a_name_that_is_much_longer_than_any_other_one")
    lines = table([phase("monitor", name, number, 100) for number, name in enumerate(names * 9)], width)
    assert max(map(len, lines[:-2])) <= width
    assert max(map(len, lines)) <= 80 or width == 200


def test_the_time_at_work_is_what_is_spent_in_no_wait() -> None:
    phases = [
        phase("engine", "plan", 0, 2),
        phase("engine", "wait for the container", 2, 8),
        phase("monitor", "make_cgroup", 3, 3),
        phase("monitor", "tell_ready", 6, 6),
        phase("engine", "tell_of_it", 10, 2),
    ]
    assert table(phases)[-1] == "at work: engine 4.00, monitor 3.00 ms; ░ waits for another"
