"""The six hooks: where each runs, what it is told, and what a failing one does."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.runtime.handshake import StepFailed
from sampan.runtime.hooks import try_hooks
from sampan.runtime.launch import launch
from sampan.runtime.launch_plan import HookPlan, HooksPlan

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat

PLACES = ("prestart", "create_runtime", "create_container", "poststart", "poststop")


def shell(script: str, *environment: str, timeout_s: int = 0) -> HookPlan:
    return HookPlan("/bin/sh", ("sh", "-c", script), environment, timeout_s)


def test_each_hook_runs_once_in_its_order_and_in_its_namespaces(boat: Boat) -> None:
    log = boat.directory / "log"

    def note(name: str) -> HookPlan:
        return shell(f'echo "{name} $(readlink /proc/self/ns/mnt)" >> {log}')

    inside = HookPlan("/bin/sh", ("sh", "-c", "echo start_container $(readlink /proc/self/ns/mnt) > /told"))
    hooks = HooksPlan(
        prestart=(note("prestart"),),
        create_runtime=(note("create_runtime"), note("second")),
        create_container=(note("create_container"),),
        start_container=(inside,),
        poststart=(note("poststart"),),
    )
    plan = boat.plan("cat /told; readlink /proc/self/ns/mnt", hooks=hooks)
    outcome, own = boat.call(lambda: (boat.run_here(plan), os.readlink("/proc/self/ns/mnt")))
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [name for name, _ in lines] == ["prestart", "create_runtime", "second", "create_container", "poststart"]
    container = outcome.lines[1]
    assert [place == own for _, place in lines] == [True, True, True, False, True]
    assert lines[3][1] == container
    assert outcome.lines[0] == f"start_container {container}"


def test_hooks_before_the_start_run_before_the_program(boat: Boat) -> None:
    hooks = HooksPlan(start_container=(HookPlan("/bin/sh", ("sh", "-c", "test ! -e /ran && touch /hook")),))
    assert boat.run(boat.plan("touch /ran; ls /hook", hooks=hooks)).out == "/hook\n"


def test_a_hook_is_told_the_state_and_has_its_own_environment(boat: Boat) -> None:
    told = boat.directory / "state"
    environment = boat.directory / "environment"
    hook = shell(f"cat > {told}; env > {environment}", "SHIP=sampan")
    plan = boat.plan("true", hooks=HooksPlan(create_runtime=(hook,)), annotations=(("org.example", "x"),))
    boat.run(plan)
    state = json.loads(told.read_text())
    pid = state.pop("pid")
    assert state == {
        "ociVersion": "1.2.0",
        "id": plan.id,
        "status": "creating",
        "bundle": plan.bundle,
        "annotations": {"org.example": "x"},
    }
    assert pid > 1
    assert "SHIP=sampan" in environment.read_text()
    assert "PYTEST" not in environment.read_text()


def test_a_hook_inside_knows_the_pid_of_the_inside(boat: Boat) -> None:
    hook = HookPlan("/bin/sh", ("sh", "-c", "cat > /state; env > /environment"))
    outcome = boat.run(boat.plan("cat /state; echo; cat /environment", hooks=HooksPlan(start_container=(hook,))))
    assert json.loads(outcome.lines[0])["pid"] == 1
    assert not any(line.startswith("PYTEST") for line in outcome.lines)


@pytest.mark.parametrize("kind", ["prestart", "create_runtime", "create_container", "start_container"])
def test_a_failing_hook_stops_the_start_and_its_words_are_told(boat: Boat, kind: str) -> None:
    hooks = replace(HooksPlan(), **{kind: (shell("echo no wind >&2; exit 3"), shell("touch /second"))})
    with pytest.raises(StepFailed, match="error running hook /bin/sh: it exited with 3: no wind") as caught:
        boat.run(boat.plan("touch /ran", hooks=hooks))
    assert caught.value.step.replace(" hook", "").lower() == kind.replace("_", "")
    assert not (boat.root / "ran").exists()
    assert not (boat.root / "second").exists()
    assert not Path("/second").exists()


def test_a_hook_that_does_not_end_is_killed(boat: Boat) -> None:
    hooks = HooksPlan(create_runtime=(shell("sleep 1000", timeout_s=1),))
    with pytest.raises(StepFailed, match="did not end within 1 s"):
        boat.run(boat.plan("true", hooks=hooks))


@pytest.mark.parametrize("kind", ["create_runtime", "start_container"])
def test_a_hook_that_is_not_there_is_named(boat: Boat, kind: str) -> None:
    hooks = replace(HooksPlan(), **{kind: (HookPlan("/no/hook"),)})
    with pytest.raises(StepFailed, match="error running hook /no/hook: no such file or directory"):
        boat.run(boat.plan("true", hooks=hooks))


def test_a_hook_that_leaves_a_child_with_its_output_is_not_waited_for(boat: Boat) -> None:
    hooks = HooksPlan(create_runtime=(shell("sleep 1000 & echo $!"),))
    assert boat.run(boat.plan("echo ran", hooks=hooks)).out == "ran\n"


def test_a_failing_poststart_hook_only_warns(boat: Boat) -> None:
    hooks = HooksPlan(poststart=(shell("exit 4"), shell(f"touch {boat.directory}/second")))

    def both() -> tuple[tuple[str, ...], int]:
        launched = launch(boat.plan("true", hooks=hooks), None)
        launched.go()
        return launched.warnings, boat.finish(launched)

    warnings, code = boat.call(both)
    assert (len(warnings), code) == (1, 0)
    assert "poststart hook: error running hook /bin/sh: it exited with 4" in warnings[0]
    assert (boat.directory / "second").exists()


def test_every_poststop_hook_runs(boat: Boat) -> None:
    done = boat.directory / "done"
    hooks = (shell("kill -9 $$"), shell(f"touch {done}"))
    assert "it was killed by signal 9 (killed)" in try_hooks("poststop", hooks, b"{}")[0]
    assert done.exists()
