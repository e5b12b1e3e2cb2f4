"""A further process in a running container."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sampan.cgroup import hierarchies
from sampan.errors import Kind
from sampan.linux import process
from sampan.runtime.handshake import StepFailed
from sampan.runtime.join import join
from sampan.runtime.launch_plan import CapabilitiesPlan, LaunchPlan, NamespaceJoin, RlimitPlan, RootPlan
from sampan.runtime.launched import Launched, Stdio

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat, Outcome

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
SHOW = "; ".join(f"readlink /proc/self/ns/{kind}" for kind in KINDS)


def beside[T](boat: Boat, plan: LaunchPlan, function: Callable[[Launched], T]) -> T:
    """Call `function` with a running container, which is ended afterwards."""

    def both() -> T:
        launched = boat.start(plan)
        try:
            return function(launched)
        finally:
            boat.end(launched)

    return boat.call(both)


def run(boat: Boat, plan: LaunchPlan, script: str, **changes: object) -> Outcome:
    return beside(boat, plan, lambda launched: boat.exec_here(launched, boat.process(script, **changes)))


def namespaces_of(launched: Launched) -> list[str]:
    return [os.readlink(f"/proc/{launched.pid}/ns/{kind}") for kind in KINDS]


def test_an_exec_is_in_every_namespace_of_the_container(boat: Boat) -> None:
    seen, wanted = beside(
        boat,
        boat.plan("sleep 100"),
        lambda launched: (boat.exec_here(launched, boat.process(SHOW)).lines, namespaces_of(launched)),
    )
    assert seen == wanted


def test_an_exec_is_in_the_user_namespace_of_the_container(boat: Boat) -> None:
    seen, wanted = beside(
        boat,
        boat.mapped("sleep 100"),
        lambda launched: (
            boat.exec_here(launched, boat.process(f"{SHOW}; id -u; id -G")).lines,
            namespaces_of(launched),
        ),
    )
    assert seen == [*wanted, "0", "0"]


def test_an_exec_is_in_the_time_namespace_and_those_joined_by_path(boat: Boat) -> None:
    def both() -> tuple[list[str], list[str]]:
        first = boat.start(boat.plan("sleep 100"))
        joins = (NamespaceJoin("net", f"/proc/{first.pid}/ns/net"), NamespaceJoin("ipc", f"/proc/{first.pid}/ns/ipc"))
        names = boat.namespaces(new=frozenset({"mnt", "pid", "time"}), join=joins)
        second = boat.start(boat.plan("sleep 100", namespaces=names, hostname=""))
        seen = boat.exec_here(second, boat.process(SHOW)).lines
        wanted = namespaces_of(second)
        boat.end(second)
        boat.end(first)
        return seen, wanted

    seen, wanted = boat.call(both)
    assert seen == wanted


@pytest.mark.parametrize("less", [(), ("mnt",), ("pid",)])
def test_an_exec_sees_the_containers_root_however_it_was_entered(boat: Boat, less: tuple[str, ...]) -> None:
    (boat.root / "marker").touch()
    plan = boat.plan("sleep 100", namespaces=boat.namespaces(*less))
    for pivot in (True, False):
        try:
            outcome = run(boat, replace(plan, root=RootPlan(str(boat.root), pivot=pivot)), "ls -d /marker /work /root")
        except StepFailed as error:
            if error.kind is Kind.NOT_IMPLEMENTED and less == ("mnt",):
                pytest.skip(error.text)
            raise
        assert outcome.out == "/marker\n"


def test_an_exec_is_in_the_containers_cgroups(boat: Boat) -> None:
    lines = run(boat, boat.plan("sleep 100", namespaces=boat.namespaces("cgroup")), "cat /proc/self/cgroup").lines
    places = {name: path for _, name, path in (line.split(":", 2) for line in lines)}
    known = {one.name for one in hierarchies().hierarchies}
    assert {places[name] for name in known} == {boat.cgroups[0]}


def test_the_code_of_an_exec_is_its_own(boat: Boat) -> None:
    assert run(boat, boat.plan("sleep 100"), "cat; exit 9").code == 9


def test_the_caller_keeps_its_own_namespaces(boat: Boat) -> None:
    def own() -> list[str]:
        return [os.readlink(f"/proc/self/ns/{kind}") for kind in (*KINDS, "pid_for_children", "time_for_children")]

    def before_and_after(launched: Launched) -> tuple[list[str], list[str]]:
        before = own()
        boat.exec_here(launched, boat.process("true"))
        return before, own()

    before, after = beside(boat, boat.plan("sleep 100"), before_and_after)
    assert before == after


def test_user_limits_and_capabilities_of_an_exec_are_its_plans(boat: Boat) -> None:
    (boat.root / "etc/passwd").write_text("sailor:x:1000:1000::/home/sailor:/bin/sh\n")
    (boat.root / "etc/group").write_text("crew:x:50:sailor\n")
    sets = CapabilitiesPlan(0x400, 0, 0, 0, 0)
    outcome = run(
        boat,
        boat.plan("sleep 100"),
        "id -u; id -G; echo $HOME; ulimit -n; cat /proc/self/oom_score_adj; grep CapBnd /proc/self/status; pwd",
        user_spec="sailor",
        rlimits=(RlimitPlan(7, 99, 99),),
        oom_score_adj=5,
        capabilities=sets,
        cwd="/tmp",
    )
    assert outcome.lines == ["1000", "1000 50", "/home/sailor", "99", "5", "CapBnd:\t0000000000000400", "/tmp"]


@pytest.mark.parametrize("name", ["nothing", ""])
def test_a_program_that_is_not_there_is_told(boat: Boat, name: str) -> None:
    with pytest.raises(StepFailed, match=rf'exec: "{name}": executable file not found in \$PATH') as caught:
        beside(boat, boat.plan("sleep 100"), lambda launched: boat.exec_here(launched, boat.process(name, "x")))
    assert caught.value.kind is Kind.COMMAND_NOT_FOUND


def test_an_exec_into_an_ended_container_is_a_conflict(boat: Boat) -> None:
    def late() -> StepFailed | None:
        launched = boat.start(boat.plan("true"))
        os.waitid(os.P_PIDFD, launched.pidfd, os.WEXITED | os.WNOWAIT)
        try:
            join(launched.pid, launched.pidfd, launched.plan, boat.process("true"), None)
        except StepFailed as error:
            return error
        finally:
            boat.finish(launched)
        return None

    error = boat.call(late)
    assert error is not None
    assert (error.kind, error.text) == (Kind.CONFLICT, "the container is not running")


def test_an_exec_has_a_terminal_of_the_containers_own_devpts(boat: Boat) -> None:
    def talk(launched: Launched) -> str:
        own = boat.process("tty; stty size; exit", terminal=True, console_height=11, console_width=22)
        joined = join(launched.pid, launched.pidfd, launched.plan, own, None)
        said = b""
        while b"11 22" not in said:
            said += os.read(joined.console, 1000)
        process.wait_pidfd(joined.pidfd)
        return said.decode()

    assert beside(boat, boat.plan("sleep 100"), talk).split() == ["/dev/pts/0", "11", "22"]


def test_killing_the_container_ends_its_execs_and_they_must_be_reaped_for_it_to_end(boat: Boat) -> None:
    def both() -> tuple[int, bool]:
        launched = boat.start(boat.plan("sleep 100"))
        with open("/dev/null") as null:
            fd = null.fileno()
            joined = join(launched.pid, launched.pidfd, launched.plan, boat.process("sleep 100"), Stdio(fd, fd, fd))
        process.pidfd_send_signal(launched.pidfd, signal.SIGKILL)
        select.select([joined.pidfd], [], [])
        still_there = process.wait_pidfd(launched.pidfd, block=False) is None  # zap_pid_ns_processes waits for us
        ended = process.wait_pidfd(joined.pidfd)
        boat.finish(launched)
        return ended.signal if ended else 0, still_there

    assert boat.call(both) == (signal.SIGKILL, True)
