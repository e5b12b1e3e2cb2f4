"""From the `mounts` and `root` of a specification to mount plans: what each option word means to the kernel.

Pure: no path is looked at. Words that are no mount options are the file system's own and go to it as they are.
"""

from __future__ import annotations

import dataclasses
import itertools
import os.path
from typing import TYPE_CHECKING

from sampan.runtime.launch_plan import IdMap, IdMapping, MountPlan, RootPlan
from sampan.runtime.plan_problems import Problems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.oci import runtime_spec

# MS_* of mount(2). Plain numbers: an IntFlag costs a microsecond an operation, and this is on the way of every start.
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _SYNCHRONOUS, _REMOUNT, _MANDLOCK, _DIRSYNC, _NOSYMFOLLOW = (
    1 << bit for bit in range(9)
)
_NOATIME, _NODIRATIME, _BIND, _REC, _SILENT, _POSIXACL = 1 << 10, 1 << 11, 1 << 12, 1 << 14, 1 << 15, 1 << 16
_UNBINDABLE, _PRIVATE, _SLAVE, _SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
_RELATIME, _I_VERSION, _STRICTATIME, _LAZYTIME = 1 << 21, 1 << 23, 1 << 24, 1 << 25

_SET: dict[str, int] = {
    "acl": _POSIXACL,
    "bind": _BIND,
    "defaults": 0,
    "dirsync": _DIRSYNC,
    "iversion": _I_VERSION,
    "lazytime": _LAZYTIME,
    "mand": _MANDLOCK,
    "noatime": _NOATIME,
    "nodev": _NODEV,
    "nodiratime": _NODIRATIME,
    "noexec": _NOEXEC,
    "nosuid": _NOSUID,
    "nosymfollow": _NOSYMFOLLOW,
    "rbind": _BIND | _REC,
    "relatime": _RELATIME,
    "remount": _REMOUNT,
    "ro": _RDONLY,
    "silent": _SILENT,
    "strictatime": _STRICTATIME,
    "sync": _SYNCHRONOUS,
}
_CLEAR: dict[str, int] = {
    "async": _SYNCHRONOUS,
    "atime": _NOATIME,
    "dev": _NODEV,
    "diratime": _NODIRATIME,
    "exec": _NOEXEC,
    "loud": _SILENT,
    "noacl": _POSIXACL,
    "noiversion": _I_VERSION,
    "nolazytime": _LAZYTIME,
    "nomand": _MANDLOCK,
    "norelatime": _RELATIME,
    "nostrictatime": _STRICTATIME,
    "rw": _RDONLY,
    "suid": _NOSUID,
    "symfollow": _NOSYMFOLLOW,
}
_PROPAGATION: dict[str, int] = {
    "private": _PRIVATE,
    "rprivate": _PRIVATE | _REC,
    "rshared": _SHARED | _REC,
    "rslave": _SLAVE | _REC,
    "runbindable": _UNBINDABLE | _REC,
    "shared": _SHARED,
    "slave": _SLAVE,
    "unbindable": _UNBINDABLE,
}
# MOUNT_ATTR_* of mount_setattr(2): word -> (set, clear). The access times are one field of several bits: to set one
# value the whole field must be cleared.
_ATTR_RDONLY, _ATIME_FIELD = 0x1, 0x70
_RECURSIVE: dict[str, tuple[int, int]] = {
    "ratime": (0, _ATIME_FIELD),
    "rdev": (0, 0x4),
    "rdiratime": (0, 0x80),
    "rexec": (0, 0x8),
    "rnoatime": (0x10, _ATIME_FIELD),
    "rnodev": (0x4, 0),
    "rnodiratime": (0x80, 0),
    "rnoexec": (0x8, 0),
    "rnorelatime": (0, _ATIME_FIELD),
    "rnostrictatime": (0, _ATIME_FIELD),
    "rnosuid": (0x2, 0),
    "rnosymfollow": (0x200000, 0),
    "rrelatime": (0, _ATIME_FIELD),
    "rro": (_ATTR_RDONLY, 0),
    "rrw": (0, _ATTR_RDONLY),
    "rstrictatime": (0x20, _ATIME_FIELD),
    "rsuid": (0, 0x2),
    "rsymfollow": (0, 0x200000),
}
_SPECIAL = ("idmap", "ridmap", "tmpcopyup")
OPTION_NAMES: tuple[str, ...] = tuple(sorted([*_SET, *_CLEAR, *_PROPAGATION, *_RECURSIVE, *_SPECIAL]))

_ROOT_PROPAGATION = _PROPAGATION | {"": 0}
_LABELLED = frozenset({"tmpfs", "devpts", "mqueue"})  # file systems that take SELinux's context as an option
_MAX_ID = 2**32 - 1
_MAX_MAPS = 340  # since Linux 4.15 (user_namespaces(7))


class _Options:
    """What the option words of one mount add up to; of contradicting words the last one holds."""

    def __init__(self, words: Sequence[str]) -> None:
        self.flags = self.clear = self.propagation = self.attributes_set = self.attributes_clear = 0
        self.data: list[tuple[str, str | None]] = []
        self.special: set[str] = set()
        for word in words:
            self._take(word)

    def _take(self, word: str) -> None:
        if word in _SET:
            self.flags |= _SET[word]
            self.clear &= ~_SET[word]
        elif word in _CLEAR:
            self.clear |= _CLEAR[word]
            self.flags &= ~_CLEAR[word]
        elif word in _PROPAGATION:
            self.propagation = _PROPAGATION[word]
        elif word in _RECURSIVE:
            set_, clear = _RECURSIVE[word]
            self.attributes_set = self.attributes_set & ~(clear | set_) | set_
            self.attributes_clear = self.attributes_clear & ~set_ | clear
        elif word in _SPECIAL:
            self.special.add(word)
        elif word:
            key, separator, value = word.partition("=")
            self.data.append((key, value if separator else None))


def plan_mounts(spec: runtime_spec.RuntimeSpec, bundle: str, problems: Problems) -> tuple[MountPlan, ...]:
    """The mounts in the specification's order; sources of binds are absolute, targets relative to the root."""
    linux = spec.linux
    has_user_namespace = linux is not None and any(one.type == "user" for one in linux.namespaces)
    label = linux.mount_label if linux else ""
    return tuple(
        _plan_mount(mount, f"mounts[{index}]", bundle, label, problems, has_user_namespace=has_user_namespace)
        for index, mount in enumerate(spec.mounts)
    )


def _plan_mount(
    mount: runtime_spec.Mount, where: str, bundle: str, label: str, problems: Problems, *, has_user_namespace: bool
) -> MountPlan:
    options = _Options(mount.options)
    if mount.type == "bind":
        options.flags |= _BIND
    is_bind = bool(options.flags & _BIND)
    if not is_bind and options.attributes_set & _ATTR_RDONLY:  # nothing lies below a new file system
        options.flags |= _RDONLY
        options.attributes_set &= ~_ATTR_RDONLY
    if label and mount.type in _LABELLED and not is_bind:
        options.data.append(("context", label))
    _check_mount(mount, options, where, problems)
    return MountPlan(
        target=target_of(mount.destination),
        source=os.path.normpath(os.path.join(bundle, mount.source)) if is_bind else mount.source,
        fstype="" if is_bind else mount.type,
        flags=options.flags,
        clear=options.clear,
        data=() if is_bind else tuple(options.data),
        propagation=options.propagation,
        attributes_set=options.attributes_set,
        attributes_clear=options.attributes_clear,
        idmap=_idmap(mount, options, where, problems, has_user_namespace=has_user_namespace),
        copy_up="tmpcopyup" in options.special,
    )


def target_of(destination: str) -> str:
    """A path of the container relative to its root; "" is the root itself."""
    return os.path.normpath(f"/{destination}").strip("/")


def _check_mount(mount: runtime_spec.Mount, options: _Options, where: str, problems: Problems) -> None:
    where = f"{where} at {mount.destination!r}"
    is_bind = bool(options.flags & _BIND)
    if not mount.destination:
        problems.invalid(f"{where}: destination is empty")
    elif not target_of(mount.destination):
        problems.invalid(f"{where}: the root itself can't be a mount's destination", "change root.path instead")
    if "\0" in mount.destination + mount.source + mount.type + "".join(mount.options):
        problems.invalid(f"{where}: there is a NUL byte in it")
    if is_bind and not mount.source:
        problems.invalid(f"{where}: a bind mount has no source")
    if not is_bind and not mount.type and not options.flags & _REMOUNT:
        problems.invalid(f"{where}: neither a type nor one of the options bind and rbind is given")
    if "tmpcopyup" in options.special and mount.type != "tmpfs":
        problems.invalid(f"{where}: tmpcopyup is for mounts of type tmpfs, not {mount.type!r}")


def _idmap(
    mount: runtime_spec.Mount, options: _Options, where: str, problems: Problems, *, has_user_namespace: bool
) -> IdMapping | None:
    asked = options.special & {"idmap", "ridmap"}
    if not asked and not mount.uid_mappings and not mount.gid_mappings:
        return None
    where = f"{where} at {mount.destination!r}"
    if bool(mount.uid_mappings) != bool(mount.gid_mappings):
        problems.invalid(f"{where}: uidMappings and gidMappings must be given together")
    if not mount.uid_mappings and not mount.gid_mappings and not has_user_namespace:
        problems.invalid(
            f"{where}: an idmapped mount needs mappings",
            "give uidMappings and gidMappings, or the container a user namespace",
        )
    return IdMapping(
        uid_maps=plan_maps(mount.uid_mappings, f"{where}: uidMappings", problems),
        gid_maps=plan_maps(mount.gid_mappings, f"{where}: gidMappings", problems),
        recursive="ridmap" in asked,
    )


def plan_maps(maps: tuple[runtime_spec.IdMapping, ...], where: str, problems: Problems) -> tuple[IdMap, ...]:
    """The lines of a uid_map or gid_map; what the kernel would answer with EINVAL is said in words."""
    planned = tuple(IdMap(one.container_id, one.host_id, one.size) for one in maps)
    if len(planned) > _MAX_MAPS:
        problems.invalid(f"{where} has {len(planned)} ranges, the kernel takes {_MAX_MAPS}")
    for one in planned:
        if one.count < 1 or one.inside < 0 or one.outside < 0 or max(one.inside, one.outside) + one.count > _MAX_ID + 1:
            problems.invalid(f"{where}: the range {one.inside} {one.outside} {one.count} is not within 0 and {_MAX_ID}")
    for name in ("inside", "outside"):
        starts = sorted((getattr(one, name), one.count) for one in planned)
        for (start, count), (following, _) in itertools.pairwise(starts):
            if start + count > following:
                problems.invalid(f"{where}: ranges overlap {name} at {following}")
    return planned


def plan_root(spec: runtime_spec.RuntimeSpec, bundle: str, problems: Problems, *, pivot: bool) -> RootPlan:
    """The root as the specification has it: a directory, relative to the bundle or absolute."""
    path = spec.root.path if spec.root else ""
    if not path:
        problems.invalid("root.path is empty", "name the directory that is the container's root")
    elif "\0" in path:
        problems.invalid(f"root.path has a NUL byte: {path!r}")
    return RootPlan(
        path=os.path.normpath(os.path.join(bundle, path)),
        readonly=bool(spec.root and spec.root.readonly),
        propagation=root_propagation(spec, problems),
        pivot=pivot,
    )


def propagated(root: RootPlan, spec: runtime_spec.RuntimeSpec, problems: Problems) -> RootPlan:
    """A root that was planned elsewhere, with the propagation that the specification wants."""
    propagation = root_propagation(spec, problems)
    return dataclasses.replace(root, propagation=propagation) if propagation else root


def root_propagation(spec: runtime_spec.RuntimeSpec, problems: Problems) -> int:
    """The MS_* flags of linux.rootfsPropagation; 0 when it says nothing."""
    word = spec.linux.rootfs_propagation if spec.linux else ""
    if word not in _ROOT_PROPAGATION:
        problems.invalid(
            f"linux.rootfsPropagation: unknown value {word!r}", "one of shared, slave, private, unbindable"
        )
    return _ROOT_PROPAGATION.get(word, 0)
