from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.linux import capability, process

if TYPE_CHECKING:
    from tests.kernel.conftest import PrivateHost

CHOWN, KILL, NET_RAW, CHECKPOINT = (
    capability.mask_of([f"CAP_{name}"]) for name in ("CHOWN", "KILL", "NET_RAW", "CHECKPOINT_RESTORE")
)


def shown(pid: int | str = "self") -> dict[str, int]:
    """The five sets as /proc shows them."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line[3:6]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}


def after_execve(uid: int) -> dict[str, int]:
    """The sets of a program executed from here."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write_end, 1)
        process.execve("/bin/cat", ["cat", "/proc/self/status"], [])
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        lines = pipe.read().splitlines()
    process.wait_pid(pid)
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in lines
    return {line[3:6]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}


def test_three_sets_are_set_on_both_sides_of_bit_32(host: PrivateHost) -> None:
    def check() -> tuple[dict[str, int], capability.CapabilitySets]:
        capability.set_capabilities(CHOWN | CHECKPOINT, CHOWN | KILL | CHECKPOINT, KILL | CHECKPOINT)
        return shown(), capability.get_capabilities()

    sets, got = host.run(check)
    assert sets["Eff"] == CHOWN | CHECKPOINT == got.effective
    assert sets["Prm"] == CHOWN | KILL | CHECKPOINT == got.permitted
    assert sets["Inh"] == KILL | CHECKPOINT == got.inheritable


def test_what_is_given_up_is_not_to_be_had_again(host: PrivateHost) -> None:
    def check() -> None:
        capability.set_capabilities(CHOWN, CHOWN, 0)
        capability.set_capabilities(CHOWN | KILL, CHOWN | KILL, 0)

    with pytest.raises(PermissionError, match="capset"):
        host.run(check)


def test_the_bounding_set_keeps_what_is_named_and_binds_root(host: PrivateHost) -> None:
    def check() -> tuple[int, int, dict[str, int]]:
        before = capability.get_bounding()
        capability.drop_bounding(CHOWN | CHECKPOINT)
        return before, capability.get_bounding(), after_execve(0)

    before, after, executed = host.run(check)
    assert after == before & (CHOWN | CHECKPOINT)
    assert executed["Prm"] == executed["Eff"] == executed["Bnd"] == after


def test_dropping_nothing_keeps_everything(host: PrivateHost) -> None:
    def check() -> tuple[int, int]:
        before = capability.get_bounding()
        capability.drop_bounding((1 << 64) - 1)
        return before, capability.get_bounding()

    before, after = host.run(check)
    assert before == after


def test_the_bounding_set_is_not_for_those_without_the_privilege(host: PrivateHost) -> None:
    def check() -> None:
        capability.set_capabilities(CHOWN, CHOWN, 0)
        capability.drop_bounding(0)

    with pytest.raises(PermissionError):
        host.run(check)


def test_ambient_capabilities_pass_to_a_program_of_another_user(host: PrivateHost) -> None:
    def check() -> tuple[dict[str, int], int, dict[str, int]]:
        process.set_keep_capabilities(True)
        process.set_ids(1000, 1000, [])
        capability.set_capabilities(KILL | NET_RAW, KILL | NET_RAW, KILL | NET_RAW)
        capability.raise_ambient(NET_RAW)
        raised = capability.get_ambient()
        first = after_execve(1000)
        capability.clear_ambient()
        return first, raised, after_execve(1000)

    with_ambient, raised, without = host.run(check)
    assert raised == NET_RAW
    assert with_ambient["Amb"] == with_ambient["Eff"] == with_ambient["Prm"] == NET_RAW
    assert without["Amb"] == without["Eff"] == without["Prm"] == 0


def test_what_is_not_inheritable_cannot_be_ambient(host: PrivateHost) -> None:
    def check() -> None:
        capability.set_capabilities(KILL, KILL, 0)
        capability.raise_ambient(KILL)

    with pytest.raises(PermissionError):
        host.run(check)


def test_a_capability_the_kernel_does_not_know_cannot_be_ambient(host: PrivateHost) -> None:
    with pytest.raises(OSError, match="prctl") as caught:
        host.run(lambda: capability.raise_ambient(1 << 63))
    assert caught.value.errno == errno.EINVAL


def test_capabilities_are_lost_with_the_user_id_unless_kept(host: PrivateHost) -> None:
    def check(*, keep: bool) -> int:
        process.set_keep_capabilities(keep)
        process.set_ids(1000, 1000, [])
        return capability.get_capabilities().permitted

    assert host.run(lambda: check(keep=False)) == 0
    assert host.run(lambda: check(keep=True)) == capability.get_capabilities().permitted


def test_ids_are_changed_for_good_and_in_the_order_that_works(host: PrivateHost) -> None:
    def check() -> tuple[tuple[int, ...], tuple[int, ...], list[int], int]:
        process.set_ids(1000, 1001, [1002, 1003])
        try:
            os.setresuid(0, 0, 0)
        except PermissionError as error:
            return os.getresuid(), os.getresgid(), os.getgroups(), error.errno or 0
        return os.getresuid(), os.getresgid(), os.getgroups(), 0

    assert host.run(check) == ((1000,) * 3, (1001,) * 3, [1002, 1003], errno.EPERM)


def test_groups_are_emptied(host: PrivateHost) -> None:
    def check() -> list[int]:
        process.set_supplementary_groups([1, 2, 3])
        process.set_ids(1000, 1000, [])
        return os.getgroups()

    assert host.run(check) == []
