"""Private pieces of a real kernel for tests: functions that run in a child with namespaces of its own.

`host` is the fixture; a test that needs less than mounts asks for `host.run(…, mnt=False)`. Nothing outlives a run: the
child and all that it leaves behind are killed, and the child dies with the test when the test is killed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.child import run_in_child

from sampan.linux import capability, mount, namespace, process


class PrivateHost:
    """Runs functions in forked children with new namespaces; `root` is an empty tmpfs inside each of them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run[T](
        self,
        function: Callable[[], T],
        *,
        mnt: bool = True,
        pid: bool = False,
        net: bool = False,
        user: bool = False,
        uts: bool = False,
        ipc: bool = False,
        cgroup: bool = False,
    ) -> T:
        """Call `function` in a child and return what it returns, or raise what it raises; both must be picklable.

        With `pid` the child is pid 1 of its namespace and has a /proc for it; with `user` ids 0 to 65535 inside are
        100000 and on outside, and it is root inside.
        """
        wanted = {"mnt": mnt, "pid": pid, "net": net, "uts": uts, "ipc": ipc, "cgroup": cgroup}
        flags = 0
        for kind, is_wanted in wanted.items():
            flags |= namespace.KINDS[kind] if is_wanted else 0
        return run_in_child(lambda: self._enter(function, flags, user=user))

    def _enter[T](self, function: Callable[[], T], flags: int, *, user: bool) -> T:
        if user:
            self._open_the_way()
            owned = namespace.make_user_namespace([(0, 100000, 65536)], [(0, 100000, 65536)])
            namespace.setns(owned, namespace.CloneFlag.NEWUSER)
            os.close(owned)
            process.set_ids(0, 0, ())
        namespace.unshare(flags)
        if flags & namespace.CloneFlag.NEWPID:
            return run_in_child(lambda: self._settle(function, flags))
        return self._settle(function, flags)

    def _open_the_way(self) -> None:
        """Make the path to `root` one that others than root may walk: the test runner's own directory is closed."""
        namespace.unshare(namespace.CloneFlag.NEWNS)
        mount.mount("", "/", "", mount.MountFlag.REC | mount.MountFlag.PRIVATE)
        mount.mount("tmpfs", "/" + self.root.parts[1], "tmpfs", 0, "mode=0755")
        self.root.mkdir(parents=True)

    def _settle[T](self, function: Callable[[], T], flags: int) -> T:
        if flags & namespace.CloneFlag.NEWNS:
            mount.mount("", "/", "", mount.MountFlag.REC | mount.MountFlag.PRIVATE)
            mount.mount("tmpfs", str(self.root), "tmpfs", 0, "mode=0755")
            if flags & namespace.CloneFlag.NEWPID:
                mount.mount("proc", "/proc", "proc")
            os.chdir(self.root)
        return function()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PrivateHost]:
    """A PrivateHost; skips where the kernel or the caller's capabilities do not allow private mount namespaces."""
    needed = capability.mask_of(["CAP_SYS_ADMIN"])
    if not capability.get_capabilities().effective & needed:
        pytest.skip("needs CAP_SYS_ADMIN")
    yield PrivateHost(tmp_path)
    leftovers = [line.target for line in mount.mountinfo() if line.target.startswith(str(tmp_path))]
    assert not leftovers, f"mounts left behind: {leftovers}"
