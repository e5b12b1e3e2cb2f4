"""Volumes of the driver `local`: a directory each, below one folder, and what is done to them.

    volumes/<name>/_data     what containers see; beside it what is `filling`'s and `snapshots`'
    volumes/.removed-<hex>   no volume any more; its disk is freed in the background
    volumes/.renaming-<hex>  a link that leads to OLD/NEW: the volume OLD is to have the name NEW

Who uses a volume is the engine's to know: whoever calls `remove` has asked. Making and removing take microseconds and
are made from the event loop's thread; copies are for threads.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sampan.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    NotImplementedHere,
    SampanError,
    SystemFailure,
    of_kind,
)
from sampan.linux.filesystem import spread_below
from sampan.linux.quota import bound_of, unbound
from sampan.volume.filling import DATA, settle
from sampan.volume.options import size_of, source_of
from sampan.volume.records import State, Volume, VolumeRecords
from sampan.volume.room import check_room, make_with_room
from sampan.volume.snapshots import settle_snapshots

log = logging.getLogger("sampan.volume")

DRIVER = "local"
ANONYMOUS_LABEL = "com.docker.volume.anonymous"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_REMOVED = ".removed-"
_RENAMING = ".renaming-"
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes below one folder; `dispose` frees the disk of a path, now or later."""

    records: VolumeRecords
    path: str
    dispose: Callable[[str], None]

    def get(self, name: str) -> Volume:
        """The volume of this name. Raises NotFound."""
        volume = self.records.get(name)
        if volume is None or volume.state is not State.READY:
            raise NotFound(f"get {name}: no such volume", remedy="`sampan volume ls` lists the volumes")
        return volume

    def all(self) -> list[Volume]:
        """Every volume, by name."""
        return [volume for volume in self.records.all() if volume.state is State.READY]

    def directory(self, name: str) -> str:
        """The folder of a volume."""
        return f"{self.path}/{name}"

    def data(self, name: str) -> str:
        """Where the content of a volume is on the host."""
        return f"{self.path}/{name}/{DATA}"

    def create(
        self,
        name: str = "",
        options: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        *,
        state: State = State.READY,
    ) -> tuple[Volume, bool]:
        """A volume, and whether it is new: with a name that is taken it is the one that is there, as Docker has it.

        Without a name it is anonymous. With the state FILLING a name that is taken is refused, and the volume shows
        after `finish` only. Raises InvalidArgument for name or options, Conflict, SystemFailure for the disk,
        NotImplementedHere for a size where there are no project quotas.
        """
        if name:
            check_name(name)
            known = self.records.get(name)
            if known and (state is not State.READY or known.state is not State.READY):
                raise Conflict(f"create {name}: a volume of this name exists or is being made", remedy="choose another")
            if known:
                return known, False
        try:
            source_of(options or {})
            check_room(self.path, size_of(options or {}))
        except SampanError as error:
            raise of_kind(error.kind, f"create {name}: {error}" if name else str(error), remedy=error.remedy) from error
        labels = dict(labels or {}) if name else {**(labels or {}), ANONYMOUS_LABEL: ""}
        volume = Volume(name or secrets.token_hex(32), time.time_ns(), not name, dict(options or {}), labels, state)
        self.records.save(volume)
        try:
            self._make(volume)
        except OSError as error:
            with suppress(OSError):
                self.throw_away(self.directory(volume.name))
            self.records.remove(volume.name)
            raise SystemFailure(
                f"create {volume.name}: {error.strerror}: {error.filename}", remedy="make room where the data root is"
            ) from error
        return volume, True

    def add_foreign(self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> Volume:
        """Know a volume that a plugin keeps; nothing of it is below this folder."""
        return self.records.save(Volume(name, time.time_ns(), options=options, labels=labels, driver=driver))

    def finish(self, volume: Volume) -> Volume:
        """Show a volume that was being filled."""
        return self.records.save(dataclasses.replace(volume, state=State.READY))

    def remove(self, name: str) -> None:
        """Remove a volume that nobody uses, with all that is in it. Raises NotFound, SystemFailure."""
        volume = self.records.get(name)
        if volume is None:
            raise NotFound(f"get {name}: no such volume", remedy="`sampan volume ls` lists the volumes")
        self.records.save(dataclasses.replace(volume, state=State.REMOVING))
        try:
            self.throw_away(self.directory(name))
        except OSError as error:
            self.records.save(volume)
            raise SystemFailure(f"remove {name}: {error.strerror}: {self.directory(name)}") from error
        self.records.remove(name)

    def rename(self, name: str, new_name: str) -> Volume:
        """Give a volume that nobody uses another name; an anonymous one stops being that. Raises Conflict, NotFound."""
        volume = self.get(name)
        if volume.driver != DRIVER:
            raise NotImplementedHere(
                f"volume {name} is kept by the plugin {volume.driver}, which has no word for another name",
                remedy="make a volume of the other name, and copy",
            )
        check_name(new_name)
        if self.records.get(new_name) is not None:
            raise Conflict(f"rename {name}: a volume {new_name} exists", remedy="choose another name")
        mark = f"{self.path}/{_RENAMING}{secrets.token_hex(8)}"
        os.symlink(f"{name}/{new_name}", mark)
        os.rename(self.directory(name), self.directory(new_name))
        renamed = self._renamed(volume, new_name)
        os.unlink(mark)
        return renamed

    def _renamed(self, volume: Volume, new_name: str) -> Volume:
        labels = {key: value for key, value in volume.labels.items() if key != ANONYMOUS_LABEL}
        renamed = dataclasses.replace(volume, name=new_name, anonymous=False, labels=labels)
        self.records.rename(volume, renamed)
        return renamed

    def throw_away(self, path: str) -> None:
        """Move a path of ours out of the way, to be removed in the background; nothing happens when there is none."""
        rubbish = f"{self.path}/{_REMOVED}{secrets.token_hex(8)}"
        with suppress(FileNotFoundError):
            os.rename(path, rubbish)
            self._dispose(rubbish)

    def _dispose(self, rubbish: str) -> None:
        unbound(f"{rubbish}/{DATA}")
        self.dispose(rubbish)

    def recover(self) -> None:
        """Make folder and records agree: end what a crash cut off, and know volumes whose record was lost."""
        os.makedirs(self.path, exist_ok=True)
        os.chmod(self.path, 0o700)  # a setuid file that a container makes is not a host user's to run (CVE-2021-41091)
        with suppress(OSError):  # not every file system has places apart
            spread_below(self.path)
        found = set(os.listdir(self.path))
        for name in found:
            if name.startswith(_REMOVED):
                self._dispose(f"{self.path}/{name}")
            elif name.startswith(_RENAMING):
                self._settle_renaming(name)
        for volume in self.records.all():
            if volume.state is not State.READY:
                self.remove(volume.name)
                continue
            if volume.driver != DRIVER:
                continue
            self._make(volume)
            settle(self.directory(volume.name), self.throw_away)
            settle_snapshots(self.directory(volume.name), self.throw_away)
        for name in found:
            if _NAME.fullmatch(name) and self.records.get(name) is None and os.path.isdir(self.data(name)):
                self._adopt(name)

    def _settle_renaming(self, mark: str) -> None:
        """A rename that a crash cut off: it has happened when the folder has."""
        name, _, new_name = os.readlink(f"{self.path}/{mark}").partition("/")
        new_name = new_name or mark.removeprefix(_RENAMING)  # as it was written until 2026
        volume = self.records.get(name)
        if volume is not None and os.path.isdir(self.directory(new_name)) and self.records.get(new_name) is None:
            self._renamed(volume, new_name)
        os.unlink(f"{self.path}/{mark}")

    def _adopt(self, name: str) -> None:
        """A folder without a record: content is never thrown away by guess, an empty one is nothing."""
        if not os.listdir(self.data(name)):
            self.throw_away(self.directory(name))
            return
        size = bound_of(self.data(name))
        options = {"size": str(size)} if size else {}
        self.records.save(Volume(name, os.stat(self.directory(name)).st_mtime_ns, options=options))

    def _make(self, volume: Volume) -> None:
        directory, data = self.directory(volume.name), self.data(volume.name)
        size = size_of(volume.options)
        if os.path.isdir(data):
            if size and not bound_of(data):
                log.warning("%s has no limit on its file system any more, of the volume's size %d", data, size)
            return
        os.makedirs(directory, 0o701, exist_ok=True)
        make_with_room(data, size, self.throw_away)


def check_name(name: str) -> None:
    """Raise InvalidArgument, in Docker's words, for what is no name of a volume."""
    if len(name) == 1:
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters",
            remedy="choose a longer name",
        )
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
            remedy="choose another name, or begin a path of the host with /",
        )
