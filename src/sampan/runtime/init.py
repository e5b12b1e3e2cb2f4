"""What happens between clone and execve: a table of steps, each with a name that a failure reports.

A step is a function of the Child; those about mounts are in `rootfs`, those that take things away in `security`, those
that come last in `settle`. Each may be called alone in a test. Nothing is imported from here on: the interpreter's
files are out of reach after enter_root.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn

from sampan.linux import process, uts
from sampan.linux.loopback import wake_loopback
from sampan.linux.namespace import CloneFlag, setns, unshare
from sampan.runtime.child import Child, foreign_ranges
from sampan.runtime.handshake import Disconnected, Say
from sampan.runtime.hooks import run_hooks, state_document
from sampan.runtime.rootfs import (
    attach_root,
    enter_root,
    isolate_mounts,
    make_cwd,
    make_devices,
    mount_filesystems,
    open_console,
    protect_mounts,
    set_root_propagation,
)
from sampan.runtime.security import (
    apply_labels,
    become_user,
    drop_bounding_set,
    forbid_new_privileges,
    load_filter,
    make_paths_readonly,
    mask_paths,
    new_keyring,
    write_sysctls,
)
from sampan.runtime.settle import (
    FAILED_CODE,
    UMASK,
    arrange_descriptors,
    attach_stdio,
    enter_cwd,
    enter_cwd_as_user,
    execute,
    look_for_program,
    resolve_user,
    run_start_hooks,
    set_execution_domain,
    set_rlimits,
    tell_failure,
    tie_to_parent,
    wait_at_gate,
)

Step = Callable[[Child], None]


def shut_descriptors(child: Child) -> None:
    """Close every descriptor that is the parent's business, and let nobody look in (CVE-2016-9962)."""
    process.set_dumpable(False)
    for first, last in child.foreign or foreign_ranges(child.inherited()):
        process.close_range(first, last)
    process.set_name("sampan-start")


def reset_signals(_child: Child) -> None:
    """Default dispositions, nothing blocked: the interpreter ignores SIGPIPE and SIGXFSZ, which execve would keep."""
    signal.set_wakeup_fd(-1)
    process.reset_signals()
    os.umask(UMASK)


def start_session(_child: Child) -> None:
    """A session of its own, without a controlling terminal yet."""
    with suppress(PermissionError):  # already a leader
        os.setsid()


def join_cgroup(child: Child) -> None:
    """Enter the cgroup of every v1 hierarchy; the unified one was entered by clone3."""
    for fd in child.task_fds:
        os.write(fd, b"0")
        os.close(fd)


def wait_for_birth(child: Child) -> None:
    """Hear the own pid as the host counts it, which also says that ids are mapped; then be root in there."""
    child.host_pid = int(child.channel.expect(Say.BORN).words[0])
    if child.mapped and child.target_fd < 0:
        _become_root()


def join_namespaces(child: Child) -> None:
    """Enter all namespaces of a running container in one call, and its root."""
    setns(child.target_fd, child.target_flags)
    if child.mapped:
        _become_root()
    if child.target_root_fd >= 0:
        os.fchdir(child.target_root_fd)
        os.chroot(".")
    child.root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def set_up_loopback(child: Child) -> None:
    """The loopback of a new network namespace is down; every program expects it up, as runc and crun leave it."""
    if "net" in child.plan.namespaces.new:
        wake_loopback()


def enter_cgroup_namespace(child: Child) -> None:
    """A cgroup namespace whose root is the container's own cgroup, or the one that exists."""
    if "cgroup" in child.plan.namespaces.new:
        unshare(CloneFlag.NEWCGROUP)
    elif child.cgroup_namespace_fd >= 0:
        setns(child.cgroup_namespace_fd, CloneFlag.NEWCGROUP)


def run_early_hooks(child: Child) -> None:
    """Let the parent run prestart and createRuntime hooks, then run createContainer hooks here, before the pivot."""
    hooks = child.plan.hooks
    if hooks.prestart or hooks.create_runtime:
        child.channel.tell(Say.PREPARED)
        child.channel.expect(Say.HOOKED)
    if hooks.create_container:
        os.fchdir(child.root_fd)  # runc's and crun's hooks find the root there
        state = state_document(child.plan, "creating", os.getpid())
        run_hooks("createContainer", hooks.create_container, state)


def set_names(child: Child) -> None:
    """Host and domain name."""
    if child.plan.hostname:
        uts.set_host_name(child.plan.hostname)
    if child.plan.domainname:
        uts.set_domain_name(child.plan.domainname)


SETTLE: tuple[Step, ...] = (
    resolve_user,
    enter_cwd,
    attach_stdio,
    apply_labels,
    drop_bounding_set,
    become_user,
    enter_cwd_as_user,
    set_execution_domain,
    look_for_program,
    arrange_descriptors,
    tie_to_parent,
    set_rlimits,
    wait_at_gate,
    forbid_new_privileges,
    run_start_hooks,
    load_filter,
    execute,
)
MAKE: tuple[Step, ...] = (
    attach_root,
    mount_filesystems,
    make_devices,
    open_console,
    run_early_hooks,
    set_names,
    write_sysctls,
    make_paths_readonly,
    mask_paths,
    make_cwd,
    protect_mounts,
    enter_root,
    set_root_propagation,
    *SETTLE,
)
STEPS: tuple[Step, ...] = (
    shut_descriptors,
    reset_signals,
    start_session,
    new_keyring,
    join_cgroup,
    wait_for_birth,
    enter_cgroup_namespace,
    set_up_loopback,
    isolate_mounts,
    *MAKE,
)
JOIN_STEPS: tuple[Step, ...] = (
    shut_descriptors,
    reset_signals,
    start_session,
    new_keyring,
    join_cgroup,
    wait_for_birth,
    join_namespaces,
    open_console,
    *SETTLE,
)


def become(child: Child, steps: Iterable[Step]) -> NoReturn:
    """Go through the steps, and never come back: the last one executes the program, or a failure is told."""
    gc.disable()  # a collection would touch, and so copy, the whole heap
    try:
        for step in steps:
            child.step = step.__name__
            if child.plan.traced and child.target_fd < 0:
                child.marks.append((child.step, time.monotonic_ns()))
            step(child)
    except Disconnected:
        pass  # the parent is gone: nobody is left to tell
    except BaseException as error:  # noqa: BLE001 -- nothing may return into the parent's code
        tell_failure(child, error)
    finally:
        os._exit(FAILED_CODE)


def _become_root() -> None:
    """Be root of the user namespace, which the child entered with an id of the host."""
    process.set_ids(0, 0, ())
    process.set_dumpable(False)
