"""Every step of a start made to fail in turn: the error names it, and the machine is as it was before.

The tables themselves are the lists of cases, so a new step or act is covered by being in its table.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.groups import groups_matching

from sampan.linux import process
from sampan.linux.mount import MountFlag
from sampan.runtime import init
from sampan.runtime import launch as launching
from sampan.runtime.handshake import Disconnected, StepFailed
from sampan.runtime.join import join
from sampan.runtime.launch import launch
from sampan.runtime.launch_plan import IdMapping, LaunchPlan, MountPlan, OverlayPlan, RootPlan
from sampan.runtime.launched import Stdio
from sampan.runtime.prepare import prepare_sources

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat

STEPS = [step.__name__ for step in init.STEPS]
JOIN_STEPS = [step.__name__ for step in init.JOIN_STEPS]
ACTS = [act.__name__ for act in launching.ACTS]
AT_GATE = STEPS.index("wait_at_gate")


def snapshot() -> dict[str, object]:
    """What a start takes: this process's descriptors, children and namespaces, mounts and cgroups of the machine."""
    return {
        "descriptors": sorted(_descriptors()),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")},
        "mounts": {line.split(" ", 2)[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()},
        "cgroups": sorted(str(path) for path in groups_matching(f"sampan-test-{os.getppid()}-*")),
        "umask": _umask(),
        "signals": sorted(number.name for number in _blocked()),
        "cwd": os.getcwd(),
    }


def left_behind(before: dict[str, Any], after: dict[str, Any]) -> dict[str, object]:
    """What is there that was not; of mounts only new ones count, as the removal of its directory takes any away."""
    changed: dict[str, object] = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    if after["mounts"] <= before["mounts"]:
        changed.pop("mounts", None)
    return changed


def _descriptors() -> Iterator[tuple[int, str]]:
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed them
            yield int(name), os.readlink(f"/proc/self/fd/{name}").split(":")[0]


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _blocked() -> set[Any]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def full_plan(boat: Boat, *, terminal: bool = False) -> LaunchPlan:
    """A plan that has something to do for nearly every step."""
    for name in ("upper", "work", "owned"):
        (boat.directory / name).mkdir(exist_ok=True)
        os.chown(boat.directory / name, 100000, 100000)
    overlay = OverlayPlan((str(boat.root),), str(boat.directory / "upper"), str(boat.directory / "work"))
    bind = MountPlan("data", str(boat.directory / "owned"), "", int(MountFlag.BIND), idmap=IdMapping())
    plan = boat.mapped(boat.process("touch /ran", terminal=terminal))
    return replace(plan, root=RootPlan(str(boat.root), overlay), mounts=(*plan.mounts, bind))


def broken(table: tuple[Callable[..., None], ...], index: int, *, after: bool) -> tuple[Callable[..., None], ...]:
    """The table with one entry that fails, before or after doing its work."""
    whole = table[index]

    def failing(*arguments: Any) -> None:
        if after:
            whole(*arguments)
        raise OSError(errno.EIO, "test: broken", "/some/where")

    failing.__name__ = whole.__name__
    return (*table[:index], failing, *table[index + 1 :])


def attempt(
    boat: Boat, plan: LaunchPlan, steps: tuple[Callable[..., None], ...]
) -> tuple[StepFailed | None, dict[str, object], dict[str, object]]:
    """Launch and go, here; what failed, and the machine before and after."""
    boat.run_here(boat.plan("true"))  # what is opened once for good is open
    init.STEPS = steps  # in this process alone
    before = snapshot()
    failed = None
    with open("/dev/null", "r+b") as null:
        stdio = None if plan.process.terminal else Stdio(*[null.fileno()] * 3)
        try:
            launched = launch(plan, stdio)
            launched.go()
        except StepFailed as error:
            failed = error.with_traceback(None)
            failed.__cause__ = None
        else:
            boat.finish(launched)
    return failed, before, snapshot()


@pytest.mark.parametrize("terminal", [False, True], ids=["pipes", "terminal"])
@pytest.mark.parametrize("index", range(len(STEPS)), ids=STEPS)
def test_a_failing_step_is_named_and_leaves_nothing_behind(boat: Boat, index: int, *, terminal: bool) -> None:
    plan = full_plan(boat, terminal=terminal)
    steps = broken(init.STEPS, index, after=False)
    failed, before, after = boat.call(lambda: attempt(boat, plan, steps))
    assert failed is not None
    assert (failed.step, failed.errno, failed.text) == (STEPS[index], errno.EIO, "test: broken: /some/where")
    assert left_behind(before, after) == {}
    assert not (boat.directory / "upper" / "ran").exists()


@pytest.mark.parametrize("index", range(AT_GATE), ids=STEPS[:AT_GATE])
def test_a_step_that_fails_when_its_work_is_done_leaves_nothing_behind(boat: Boat, index: int) -> None:
    plan = full_plan(boat, terminal=True)
    steps = broken(init.STEPS, index, after=True)
    failed, before, after = boat.call(lambda: attempt(boat, plan, steps))
    assert failed is not None
    assert failed.step == STEPS[index]
    assert left_behind(before, after) == {}


@pytest.mark.parametrize("after_work", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("index", range(len(ACTS)), ids=ACTS)
def test_a_failing_act_of_the_parent_is_named_and_leaves_nothing_behind(
    boat: Boat, index: int, *, after_work: bool
) -> None:
    plan = full_plan(boat, terminal=True)
    original = launching.ACTS

    def attempted() -> tuple[StepFailed | None, dict[str, object], dict[str, object]]:
        boat.run_here(boat.plan("true"))
        launching.ACTS = broken(original, index, after=after_work)
        before = snapshot()
        try:
            launch(plan, None)
        except StepFailed as error:
            failed = error.with_traceback(None)
            failed.__cause__ = None
        return failed, before, snapshot()

    failed, before, after = boat.call(attempted)
    assert failed is not None
    assert (failed.step, failed.errno) == (ACTS[index], errno.EIO)
    assert left_behind(before, after) == {}


@pytest.mark.parametrize("index", range(len(STEPS)), ids=STEPS)
def test_a_child_killed_in_any_step_is_noticed(boat: Boat, index: int) -> None:
    if index > AT_GATE:
        pytest.skip("behind the gate a death looks like a program's own")
    plan = full_plan(boat)

    def dying(*_: Any) -> None:
        os.kill(os.getpid(), 9) if os.getpid() != 1 else os._exit(9)

    dying.__name__ = STEPS[index]
    steps = (*init.STEPS[:index], dying, *init.STEPS[index + 1 :])
    failed, before, after = boat.call(lambda: attempt(boat, plan, steps))
    assert failed is not None
    assert "before it was ready" in failed.text
    assert left_behind(before, after) == {}


@pytest.mark.parametrize("index", range(len(JOIN_STEPS)), ids=JOIN_STEPS)
def test_a_failing_step_of_an_exec_is_named_and_the_container_runs_on(boat: Boat, index: int) -> None:
    plan = boat.mapped("sleep 100")
    steps = broken(init.JOIN_STEPS, index, after=False)

    def attempted() -> tuple[StepFailed | None, bool, bool]:
        launched = boat.start(plan)
        before = snapshot()
        failed = None
        init.JOIN_STEPS = steps  # in this process alone
        try:
            join(launched.pid, launched.pidfd, plan, boat.process("true", terminal=True), None)
        except StepFailed as error:
            failed = error.with_traceback(None)
            failed.__cause__ = None
        same = left_behind(before, snapshot()) == {}
        runs = process.wait_pidfd(launched.pidfd, block=False) is None
        boat.end(launched)
        return failed, same, runs

    failed, same, runs = boat.call(attempted)
    assert failed is not None
    assert (failed.step, failed.errno) == (JOIN_STEPS[index], errno.EIO)
    assert same
    assert runs


def test_a_disconnected_child_says_nothing_and_ends(boat: Boat) -> None:
    def deaf(*_: Any) -> None:
        raise Disconnected

    steps = (*init.STEPS[:3], deaf)
    failed, before, after = boat.call(lambda: attempt(boat, boat.plan("true"), steps))
    assert failed is not None
    assert failed.step == "start"
    assert left_behind(before, after) == {}


def test_sources_made_before_one_that_fails_are_closed(boat: Boat) -> None:
    plan = full_plan(boat)
    missing = MountPlan("x", "/no/such/source", "", int(MountFlag.BIND))
    plan = replace(plan, mounts=(*plan.mounts, missing))

    def attempted() -> bool:
        before = snapshot()
        with pytest.raises(FileNotFoundError), ExitStack() as held:
            prepare_sources(plan, None, held)
        return left_behind(before, snapshot()) == {}

    assert boat.call(attempted)
