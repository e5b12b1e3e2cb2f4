"""Mounts put into a running container's mount namespace, and taken out of it.

The kernel's side of `sampan update --mount` and `--unmount`; what is remembered is `live_mounts`' matter. Each call
does its work in a thread of its own. The container's programs go on meanwhile, so a target is reached by descriptors
below its root, and what is taken out must be what the mount table has at that very place.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from sampan.engine.container import Running
from sampan.engine.trees import open_mounts
from sampan.errors import Conflict, NotFound, SystemFailure, reason_of
from sampan.linux.apart import in_mounts_of
from sampan.linux.mount import MountInfo, UmountFlag, move_mount, open_tree, parse_mountinfo, umount
from sampan.linux.namespace import open_namespace
from sampan.linux.openat import make_directories_in_root, make_file_in_root, open_in_root
from sampan.linux.statfs import Magic, filesystem_type
from sampan.runtime.filesystems import copy_of_file, make_mount
from sampan.runtime.launch_plan import MountPlan, RootPlan
from sampan.runtime.prepare import open_bind
from sampan.runtime.sources import open_overlay

_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_CONFINING = frozenset({"proc", "sys", "dev"})  # below these the runtime's own mounts keep the container in
_MOST_USERS = 5
_TRIES, _PAUSE_S = 100, 0.03
_REMEDIES = {
    errno.EROFS: "choose a target that exists, for the root is read-only",
    errno.ENOTDIR: "choose a directory as target, for a directory is to be mounted",
    errno.EISDIR: "choose a file as target, for a file is to be mounted",
}


def attach(running: Running, plan: MountPlan) -> None:
    """Mount what the plan says at its target, which is made when it is missing.

    Raises Conflict when something is mounted there already or the target cannot be, SystemFailure for the source.
    """
    own = open_namespace("self", "mnt")
    try:
        fd = in_mounts_of(own, lambda: _open_source(plan))
    finally:
        os.close(own)
    try:
        _inside(running, lambda there: there.attach(fd, f"/{plan.target}"))
    finally:
        os.close(fd)


def detach(running: Running, target: str) -> None:
    """Take out what is mounted at a target, with all that is mounted below it, or nothing of it.

    Raises NotFound when nothing is mounted there, Conflict when something of the container uses it.
    """
    _inside(running, lambda there: there.detach(target))


def mounted(running: Running, targets: Sequence[str]) -> set[str]:
    """Which of these paths have a mount in the container."""
    return _inside(running, lambda there: {target for target in targets if there.find(target) is not None})


def busy(target: str) -> Conflict:
    """The refusal of a target where something is mounted."""
    return Conflict(f"{target} is busy: something is mounted there", remedy="choose another target")


def _inside[T](running: Running, function: Callable[[_Inside], T]) -> T:
    with ExitStack() as held:
        namespace = open_mounts(running)
        held.callback(os.close, namespace)
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, proc)

        def call() -> T:
            root = os.open("/", _PLACE)
            held.callback(os.close, root)
            return function(_Inside(root, proc))

        try:
            return in_mounts_of(namespace, call)
        except OSError as error:
            raise SystemFailure(f"cannot change the mounts of the running container: {reason_of(error)}") from error


def _open_source(plan: MountPlan) -> int:
    try:
        if plan.file_copy is not None:
            return copy_of_file(plan)
        if plan.overlay is not None:
            return open_overlay(plan)
        return make_mount(plan) if plan.fstype else open_bind(plan, RootPlan("", propagation=plan.propagation))
    except OSError as error:
        raise SystemFailure(
            f"cannot mount {plan.source or plan.fstype} at /{plan.target}: {error.strerror}",
            remedy="see that the source exists and may be mounted",
        ) from error


@dataclass(frozen=True, slots=True)
class _Found:
    path: str  # without symbolic links
    entry: MountInfo


@dataclass(frozen=True, slots=True)
class _Inside:
    """A thread inside the container's mounts: their root, and the host's /proc, which is not below it."""

    root: int
    proc: int

    def attach(self, fd: int, target: str) -> None:
        if self.find(target) is not None:
            raise busy(target)
        place = self._make_target(target, is_directory=stat.S_ISDIR(os.fstat(fd).st_mode))
        try:
            here, top = os.fstat(place), os.fstat(self.root)
            # a symbolic link of the container's may lead to its root or its /proc (CVE-2019-16884)
            if (here.st_dev, here.st_ino) == (top.st_dev, top.st_ino) or filesystem_type(place) == Magic.PROC:
                raise Conflict(
                    f"cannot mount at {target}: it leads to the root or into /proc", remedy="choose another target"
                )
            move_mount(fd, place)
        finally:
            os.close(place)

    def _make_target(self, target: str, *, is_directory: bool) -> int:
        try:
            return (make_directories_in_root if is_directory else make_file_in_root)(self.root, target)
        except OSError as error:
            raise Conflict(
                f"cannot mount at {target}: {error.strerror}",
                remedy=_REMEDIES.get(error.errno or 0, "choose another target"),
            ) from error

    def find(self, target: str) -> _Found | None:
        """The topmost mount at a path; None when there is none."""
        try:
            place = open_in_root(self.root, target, os.O_PATH)
        except OSError:
            return None
        try:
            number = self._mount_id(f"fdinfo/{place}")
            path = os.readlink(f"thread-self/fd/{place}", dir_fd=self.proc)
        finally:
            os.close(place)
        entry = self._table().get(number)
        return _Found(path, entry) if entry is not None and entry.target == path else None

    def detach(self, target: str) -> None:
        found = self.find(target)
        if found is None:
            raise NotFound(f"nothing is mounted at {target}", remedy="`sampan inspect` lists the mounts")
        if found.path.split("/")[1] in _CONFINING - {target.split("/")[1]}:
            raise Conflict(
                f"{target} leads to {found.path} now, which is the runtime's own mount",
                remedy="see what made a symbolic link of it",
            )
        with ExitStack() as held, ExitStack() as undo:
            for entry in self._below(found.entry):
                self._take_out(entry, held, undo)
            undo.pop_all()

    def _take_out(self, entry: MountInfo, held: ExitStack, undo: ExitStack) -> None:
        before, _, name = entry.target.rpartition("/")
        parent = open_in_root(self.root, before, _PLACE)
        held.callback(os.close, parent)
        copy = open_tree(parent, name, clone=True, follow=False)
        held.callback(os.close, copy)
        os.fchdir(parent)
        self._unmount(entry, name)
        undo.callback(move_mount, copy, (parent, name))

    def _unmount(self, entry: MountInfo, name: str) -> None:
        """umount2(2). A start that has just ended may hold its mounts for a moment: what nobody uses is tried again."""
        for attempt in range(_TRIES):
            try:
                umount(name, UmountFlag.NOFOLLOW)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise SystemFailure(f"cannot unmount {entry.target}: {error.strerror}") from error
                users = ", ".join(self._users(entry.id))
                if users or attempt == _TRIES - 1:
                    raise Conflict(
                        f"{entry.target} is busy" + (f": used by {users}" if users else ""),
                        remedy="end what uses it, or leave its directory",
                    ) from error
                time.sleep(_PAUSE_S)
            else:
                return

    def _below(self, top: MountInfo) -> list[MountInfo]:
        """A mount and all that lie on it, those that lie on top of others first."""
        known, found = {top.id}, [top]
        for entry in self._table().values():
            if entry.parent in known and entry.id != top.id:
                known.add(entry.id)
                found.append(entry)
        return found[::-1]

    def _table(self) -> dict[int, MountInfo]:
        with open(os.open("thread-self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc), "rb") as file:
            return {entry.id: entry for entry in parse_mountinfo(file.read())}

    def _mount_id(self, fdinfo: str, process: str = "thread-self") -> int:
        with open(os.open(f"{process}/{fdinfo}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)) as file:
            return next((int(line.split()[1]) for line in file if line.startswith("mnt_id:")), -1)

    def _users(self, number: int) -> Iterator[str]:
        """Who of the container uses a mount: a few processes, by pid and name."""
        count = 0
        here = os.stat("thread-self/ns/mnt", dir_fd=self.proc).st_ino
        for process in filter(str.isdecimal, os.listdir(self.proc)):
            with suppress(OSError):
                is_inside = os.stat(f"{process}/ns/mnt", dir_fd=self.proc).st_ino == here
                if is_inside and count < _MOST_USERS and self._uses(process, number):
                    count += 1
                    with open(os.open(f"{process}/comm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)) as file:
                        yield f"{file.read().strip()} (pid {process})"

    def _uses(self, process: str, number: int) -> bool:
        place = os.open(f"{process}/cwd", _PLACE, dir_fd=self.proc)
        try:
            if self._mount_id(f"fdinfo/{place}") == number:
                return True
        finally:
            os.close(place)
        inside = os.open(f"{process}/fdinfo", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.proc)
        try:
            return any(self._mount_id(f"fdinfo/{name}", process) == number for name in os.listdir(inside))
        finally:
            os.close(inside)
