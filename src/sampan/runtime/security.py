"""The child's steps that take things away: masked paths, settings, labels, ids and capabilities, system calls.

What is taken was decided by the plan. Everything in procfs goes through a handle that nobody can have mounted over.
"""

from __future__ import annotations

import errno
import os
import stat

from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux import capability, process, seccomp
from sampan.linux.libc import syscall
from sampan.linux.mount import MountAttr, make_filesystem, mount_setattr, move_mount, open_tree
from sampan.linux.openat import Resolve, open_in_root, openat2
from sampan.linux.seccomp_profile import FilterFlag
from sampan.runtime.child import Child
from sampan.runtime.handshake import Say, describe
from sampan.runtime.hooks import process_state
from sampan.runtime.launch_plan import CapabilitiesPlan, SeccompPlan

_ATTR_RDONLY = int(MountAttr.RDONLY)
_MASK_ATTRIBUTES = int(MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
_OWN_ENTRY = int(Resolve.BENEATH | Resolve.NO_XDEV | Resolve.NO_SYMLINKS)
_SYS_ADMIN = 1 << capability.NAMES.index("CAP_SYS_ADMIN")
_JOIN_SESSION_KEYRING = 1
_NEW_LISTENER = int(FilterFlag.NEW_LISTENER)
_OF_LISTENERS = int(FilterFlag.NEW_LISTENER | FilterFlag.WAIT_KILLABLE_RECV)  # the second needs the first


def new_keyring(child: Child) -> None:
    """A session keyring of its own, so that the host's keys are not the container's (keyctl(2)).

    Before the ids change: the keyring counts against the host's root, whose quota is the large one.
    """
    if not child.plan.new_keyring:
        return
    try:
        syscall("keyctl", _JOIN_SESSION_KEYRING, None)
    except OSError as error:
        if error.errno != errno.ENOSYS:  # a kernel without keys has none to hide
            raise


def write_sysctls(child: Child) -> None:
    """Write the kernel settings of the container's namespaces; the plan has them as paths below /proc/sys."""
    for name, value in child.plan.sysctl:
        try:
            _write_proc(child, f"sys/{name}", value)
        except FileNotFoundError:
            raise InvalidArgument(
                f"sysctl {name.replace('/', '.')}: this kernel has no such setting: no such file or directory",
                remedy="`sysctl -a` on the host lists those that it has",
            ) from None
        except OSError as error:
            raise OSError(error.errno, f"sysctl {name.replace('/', '.')}={value}: {describe(error)}") from None


def make_paths_readonly(child: Child) -> None:
    """Lay a read-only bind of each path over itself; what is not there needs none."""
    for path in child.plan.readonly_paths:
        target_fd = _open_if_there(child, path)
        if target_fd < 0:
            continue
        try:
            copy = open_tree(target_fd, "", clone=True, recursive=True)
            try:
                mount_setattr(copy, set=_ATTR_RDONLY, recursive=True)
                move_mount(copy, target_fd)
            finally:
                os.close(copy)
        finally:
            os.close(target_fd)


def mask_paths(child: Child) -> None:
    """Hide each path: a file behind the null device, a directory behind one empty read-only tmpfs."""
    null, empty = child.sources.null, -1
    attached = {-1}
    for path in child.plan.masked_paths:
        target_fd = _open_if_there(child, path)
        if target_fd < 0:
            continue
        try:
            if stat.S_ISDIR(os.fstat(target_fd).st_mode):
                empty = make_filesystem("tmpfs", (("size", "0"),), _MASK_ATTRIBUTES) if empty < 0 else empty
                cover = empty
            else:
                cover = null
            # the first use attaches it, the others need a copy, which kernels before 6.15 make of attached mounts only
            copy = open_tree(cover, "", clone=True) if cover in attached else cover
            move_mount(copy, target_fd)
            if copy == cover:
                attached.add(cover)
            else:
                os.close(copy)
        finally:
            os.close(target_fd)


def apply_labels(child: Child) -> None:
    """The AppArmor profile and the SELinux label that execve switches to, through a private procfs (CVE-2019-16884)."""
    profile, label = child.process.apparmor_profile, child.process.selinux_label
    if profile:
        try:
            _write_proc(child, child.own_proc_name("attr/apparmor/exec"), f"exec {profile}")
        except FileNotFoundError:
            _apply_label(child, f"exec {profile}", f"AppArmor profile {profile!r}")
    if label:
        _apply_label(child, label, f"SELinux label {label!r}")


def _apply_label(child: Child, text: str, what: str) -> None:
    try:
        _write_proc(child, child.own_proc_name("attr/exec"), text)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOENT}:
            raise
        raise NotImplementedHere(
            f"{what} cannot be applied: the security module is not enabled, or does not know it",
            remedy="leave it out, or load it first",
        ) from None


def drop_bounding_set(child: Child) -> None:
    """Take from the bounding set what the program must never have; needs CAP_SETPCAP, so before the ids change."""
    capability.clear_ambient()
    wanted = _sets(child).bounding
    capability.drop_bounding(wanted, of=child.bounding)
    child.bounding &= wanted


def become_user(child: Child) -> None:
    """Take the ids, then exactly the capabilities of the plan; the inheritable set is empty unless it says otherwise.

    A filter without no_new_privs needs CAP_SYS_ADMIN until it is loaded: it stays in the permitted and effective sets,
    which execve computes anew from the bounding and ambient ones (capabilities(7)), so that nothing needs to be
    called to give it back behind the filter.
    """
    sets = _granted(_sets(child))
    identity = child.identity
    more = _SYS_ADMIN if child.process.seccomp is not None and not child.process.no_new_privileges else 0
    if identity.uid:
        process.set_keep_capabilities(True)
    process.set_ids(identity.uid, identity.gid, identity.groups)
    if identity.uid:
        process.set_keep_capabilities(False)
    process.set_dumpable(False)
    capability.set_capabilities(sets.effective | more, sets.permitted | more, sets.inheritable)
    capability.raise_ambient(sets.ambient)


def _granted(sets: CapabilitiesPlan) -> CapabilitiesPlan:
    """The sets without what the runtime itself does not have: that is no failure (config.md, Linux Process)."""
    own = capability.get_capabilities().permitted
    return CapabilitiesPlan(
        sets.bounding, sets.effective & own, sets.permitted & own, sets.inheritable & own, sets.ambient & own
    )


def forbid_new_privileges(child: Child) -> None:
    """PR_SET_NO_NEW_PRIVS, when the plan says so."""
    if child.process.no_new_privileges:
        process.set_no_new_privileges()


def load_filter(child: Child) -> None:
    """Load the seccomp filter, the last act but execve; its listener's descriptor goes to the parent.

    From here on only what the filter lets through works: sendmsg when there is a listener, execve, and exit.
    """
    plan = child.process.seccomp
    if plan is None:
        return
    if plan.answered:
        _load_answered(child, plan)
        return
    if not plan.listener_path:
        seccomp.load(plan.program, plan.flags)
        return
    state = process_state(child.plan, child.process, child.host_pid).decode()
    child.channel.tell(Say.FILTERING)
    listener = seccomp.load(plan.program, plan.flags | _NEW_LISTENER)
    if listener is not None:
        child.channel.tell(Say.LISTENER, plan.listener_path, state, descriptors=(listener,))


def load_hook_filter(child: Child) -> None:
    """Load the same filter into a hook's process, without a listener: what that would answer fails with ENOSYS."""
    plan = child.process.seccomp
    if plan is not None:
        seccomp.load(plan.unanswered if plan.answered else plan.program, plan.flags & ~_OF_LISTENERS)


def _load_answered(child: Child, plan: SeccompPlan) -> None:
    """The same, with a listener that is the parent's own."""
    child.channel.tell(Say.FILTERING)
    try:
        listener = seccomp.load(plan.program, plan.flags | _NEW_LISTENER)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        listener = None
        seccomp.load(plan.unanswered, plan.flags)
    if listener is None:
        child.channel.tell(Say.UNHEARD)
    else:
        child.channel.tell(Say.LISTENER, "", "", descriptors=(listener,))


def _sets(child: Child) -> CapabilitiesPlan:
    return child.process.capabilities or CapabilitiesPlan()


def _open_if_there(child: Child, path: str) -> int:
    try:
        return open_in_root(child.root_fd, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return -1


def _write_proc(child: Child, name: str, value: str) -> None:
    fd = openat2(child.proc(), name, os.O_WRONLY | os.O_NOFOLLOW, 0, _OWN_ENTRY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
