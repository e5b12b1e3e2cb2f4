"""What a child does that was cloned ahead of its plan: the first of init's steps, the wait, and then the others.

As in `init`, nothing is imported from clone to execve. Apart from that table, because `sampan-runtime` never has such a
child, and what unpickles a plan would cost it time.
"""

from __future__ import annotations

import _pickle
import os
from contextlib import suppress

from sampan.linux.memory import populate
from sampan.linux.mount import AT_FDCWD, MountAttr, make_filesystem, move_mount
from sampan.linux.namespace import CloneFlag, open_time_offsets, setns, unshare, write_opened_time_offsets
from sampan.runtime import init
from sampan.runtime.child import Child
from sampan.runtime.handshake import Say
from sampan.runtime.rootfs import isolate_mounts, make_own_filesystems, take_as_root
from sampan.runtime.security import drop_bounding_set, new_keyring
from sampan.runtime.spawn import not_joined, path_joined, time_offsets


def leave_host(child: Child) -> None:
    """Have an empty root instead of the host's, for the container's to lie on: `enter_root` finds its work done.

    Whoever takes mounts away waits until every processor has taken note (RCU), for a tenth of a millisecond and more.
    """
    if "time" in child.plan.namespaces.new:
        child.clocks_fd = open_time_offsets("self")
    root_fd = make_filesystem("tmpfs", (("source", "none"), ("mode", "755")), int(MountAttr.RDONLY))
    move_mount(root_fd, (AT_FDCWD, "/"))
    take_as_root(root_fd)
    os.close(root_fd)
    child.has_empty_root = True


def await_plan(child: Child) -> None:
    """Be ready for a plan, hear it, and take what comes with it; its descriptors have other numbers here."""
    with suppress(OSError):
        populate(child.pages)
    (fd,) = child.channel.expect(Say.PLAN).descriptors
    child.plan = _pickle.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    os.close(fd)
    child.process = child.plan.process
    heard = child.channel.expect(Say.SOURCES)
    sent, sources, stdio, network_fd, child.die_with_parent = _pickle.loads("\0".join(heard.words).encode("latin-1"))
    numbers = dict(zip(sent, heard.descriptors, strict=True))
    child.sources = sources.renumbered(numbers)
    child.stdio = stdio and tuple(numbers.get(fd, fd) for fd in stdio)
    child.network_fd = numbers.get(network_fd, -1)


def enter_network(child: Child) -> None:
    """Enter the network namespace that an earlier container has left; a new one's loopback is to be set up."""
    if child.network_fd < 0:
        init.set_up_loopback(child)
        return
    setns(child.network_fd, CloneFlag.NEWNET)
    os.close(child.network_fd)
    child.network_fd = -1


def set_clocks(child: Child) -> None:
    """Make the namespace of the clocks, which the program enters; who is cloned with a plan is born in it."""
    if "time" in child.plan.namespaces.new:
        unshare(CloneFlag.NEWTIME)
        if child.plan.namespaces.time_offsets:
            write_opened_time_offsets(child.clocks_fd, time_offsets(child.plan.namespaces))
        os.close(child.clocks_fd)


def join_network(child: Child) -> None:
    """Enter the network namespace that the plan names, which who is cloned with a plan is born in."""
    if child.network_fd >= 0:
        try:
            setns(child.network_fd, CloneFlag.NEWNET)
        except OSError as error:
            raise not_joined("net", path_joined(child.plan.namespaces, "net"), error) from None
        os.close(child.network_fd)


AHEAD_STEPS: tuple[init.Step, ...] = (
    init.shut_descriptors,
    init.reset_signals,
    init.start_session,
    init.join_cgroup,
    init.enter_cgroup_namespace,
    enter_network,
    isolate_mounts,
    make_own_filesystems,
    leave_host,
    drop_bounding_set,
    await_plan,
    set_clocks,
    join_network,
    new_keyring,
    init.wait_for_birth,
    *init.MAKE,
)
