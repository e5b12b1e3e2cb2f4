"""Snapshots of a volume's content, and putting one back: whole copies, whatever is cut off meanwhile.

    <name>/snapshots/<snapshot>/_data   a snapshot; its folder was made when it was taken
    <name>/snapshotting                 one that is not whole yet: worthless
    <name>/restoring                    what is to become _data, or was it: the two swap their names in one step

Copies share their blocks with the original where the file system can. Who may take or restore one is the engine's to
know.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.linux.filesystem import exchange, syncfs
from sampan.linux.quota import unbound
from sampan.volume.filling import DATA, copy_into
from sampan.volume.room import bound_alike

_SNAPSHOTS = "snapshots"
_TAKING = "snapshotting"
_RESTORING = "restoring"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A volume's content as it was; `path` is where on the host."""

    name: str
    taken_at_ns: int
    path: str


def check_snapshot_name(name: str) -> None:
    """Raise InvalidArgument for what is no name of a snapshot."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"invalid name of a snapshot: {name!r}",
            remedy="use letters, digits, _, . and -, a letter or digit first, 128 at most",
        )


def snapshots(volume: str) -> list[Snapshot]:
    """The snapshots of the volume at a path, the oldest first."""
    folder = f"{volume}/{_SNAPSHOTS}"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = [Snapshot(name, os.stat(f"{folder}/{name}").st_mtime_ns, f"{folder}/{name}/{DATA}") for name in names]
    return sorted(found, key=lambda snapshot: (snapshot.taken_at_ns, snapshot.name))


def find_snapshot(volume: str, name: str) -> Snapshot:
    """The snapshot of this name. Raises NotFound."""
    for snapshot in snapshots(volume):
        if snapshot.name == name:
            return snapshot
    raise NotFound(
        f"volume {os.path.basename(volume)} has no snapshot {name}", remedy="`sampan volume snapshots` lists them"
    )


def take(volume: str, name: str) -> Snapshot:
    """Copy the content of the volume at a path. Raises Conflict when the name is taken."""
    check_snapshot_name(name)
    if any(snapshot.name == name for snapshot in snapshots(volume)):
        raise Conflict(f"volume {os.path.basename(volume)} has a snapshot {name}", remedy="choose another name")
    staging = f"{volume}/{_TAKING}"
    os.mkdir(staging, 0o701)
    os.mkdir(f"{staging}/{DATA}", 0o700)
    copy_directory(f"{volume}/{DATA}", f"{staging}/{DATA}")
    os.makedirs(f"{volume}/{_SNAPSHOTS}", 0o701, exist_ok=True)
    os.rename(staging, f"{volume}/{_SNAPSHOTS}/{name}")
    return find_snapshot(volume, name)


def restore(volume: str, name: str, throw_away: Callable[[str], None]) -> None:
    """Make the content of the volume what it was; the snapshot stays. Raises NotFound.

    Who has the volume mounted keeps what it was until now.
    """
    snapshot = find_snapshot(volume, name)
    staging = f"{volume}/{_RESTORING}"
    os.mkdir(staging, 0o700)
    bound_alike(staging, f"{volume}/{DATA}")
    copy_directory(snapshot.path, staging)
    exchange(staging, f"{volume}/{DATA}")
    unbound(staging)
    throw_away(staging)


def forget(volume: str, name: str, throw_away: Callable[[str], None]) -> None:
    """Remove a snapshot. Raises NotFound."""
    find_snapshot(volume, name)
    throw_away(f"{volume}/{_SNAPSHOTS}/{name}")


def settle_snapshots(volume: str, throw_away: Callable[[str], None]) -> None:
    """Throw away what a crash, or a full disk, left half-way."""
    throw_away(f"{volume}/{_TAKING}")
    unbound(f"{volume}/{_RESTORING}")
    throw_away(f"{volume}/{_RESTORING}")


def copy_directory(source: str, target: str) -> None:
    """Copy the content and attributes of a directory into one that is empty, and wait until it is on the disk."""
    source_fd = os.open(source, _DIRECTORY)
    try:
        copy_into(source_fd, target)
    finally:
        os.close(source_fd)
    target_fd = os.open(target, _DIRECTORY)
    try:
        syncfs(target_fd)
    finally:
        os.close(target_fd)
