"""One directory of one hierarchy: made, read, written and removed, its files reached through a held descriptor.

Knows the file system of cgroups and its errors, but no controller and no limit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator

from sampan.cgroup.host import Hierarchy

_READ_SIZE = 65536


@contextlib.contextmanager
def unless_gone() -> Iterator[None]:
    """Leave the block in peace when the group turns out to have been removed: before (ENOENT), or meanwhile (ENODEV).

    Not for what takes numbers of devices: ENODEV means them there.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


class Directory:
    """A directory below the root of `hierarchy`; the descriptor is opened at the first use and kept until close()."""

    __slots__ = ("_descriptor", "hierarchy", "location")

    def __init__(self, hierarchy: Hierarchy, location: str) -> None:
        self.hierarchy = hierarchy
        self.location = location
        self._descriptor = -1

    @property
    def descriptor(self) -> int:
        """An O_PATH descriptor of it, owned by this object. FileNotFoundError when it does not exist."""
        if self._descriptor < 0:
            self._descriptor = os.open(self.location, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._descriptor

    def close(self) -> None:
        """Give the descriptor back; the next use opens it anew."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def exists(self) -> bool:
        """Whether it is there now, whatever this object holds."""
        return os.path.isdir(self.location)

    def has(self, file: str) -> bool:
        """Whether it has `file`."""
        try:
            os.stat(file, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def open(self, file: str, flags: int) -> int:
        """A descriptor of `file`, close-on-exec, the caller's to close."""
        try:
            return os.open(file, flags | os.O_CLOEXEC, dir_fd=self.descriptor)
        except OSError as error:
            raise self._named(error, file) from None

    def read(self, file: str) -> str:
        """The text of `file`."""
        descriptor = self.open(file, os.O_RDONLY)
        try:
            content = os.read(descriptor, _READ_SIZE)
            while content and (more := os.read(descriptor, _READ_SIZE)):
                content += more
        except OSError as error:
            raise self._named(error, file) from None
        finally:
            os.close(descriptor)
        return content.decode()

    def write(self, file: str, value: str) -> None:
        """Write `value` in one write(2), as the kernel's handlers demand."""
        descriptor = self.open(file, os.O_WRONLY)
        try:
            os.write(descriptor, value.encode())
        except OSError as error:
            raise self._named(error, file) from None
        finally:
            os.close(descriptor)

    def numbers(self, file: str) -> dict[str, int]:
        """A flat keyed file ("key value" on each line)."""
        pairs = (line.split() for line in self.read(file).splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}

    def make(self, ready: Callable[[Directory], None]) -> list[Directory]:
        """Make it and what is missing above it; `ready` is called for each one made, from the top down.

        Returns those that were made, the top first: empty when it existed. On failure what it made is removed.
        """
        made: list[Directory] = []
        try:
            self._make(ready, made)
        except BaseException:
            for one in reversed(made):
                with contextlib.suppress(OSError):
                    os.rmdir(one.location)
            raise
        return made

    def _make(self, ready: Callable[[Directory], None], made: list[Directory], attempts: int = 10) -> None:
        try:
            os.mkdir(self.location, 0o755)
        except FileExistsError:
            return
        except FileNotFoundError:
            # A parent that exists may be removed by someone else's undo before the child is made: try again.
            if not attempts or self.location == self.hierarchy.mount_point:
                raise
            above = self.parent()
            try:
                above._make(ready, made, attempts - 1)
            finally:
                above.close()  # `ready` may have opened it
            self._make(ready, made, attempts - 1)
            return
        made.append(self)
        self.close()
        ready(self)

    def parent(self) -> Directory:
        """The directory above; that of the hierarchy's root is the root itself."""
        at_root = self.location == self.hierarchy.mount_point
        return Directory(self.hierarchy, self.location if at_root else os.path.dirname(self.location))

    def children(self) -> list[Directory]:
        """The groups directly below; empty when it is gone."""
        try:
            with os.scandir(self.location) as entries:
                paths = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [Directory(self.hierarchy, path) for path in paths]

    def remove(self, deadline: float) -> None:
        """Remove it with the groups below it; what is gone already is fine.

        Busy groups are tried again until time.monotonic() reaches `deadline`, then OSError(EBUSY) is raised.
        """
        self.close()
        pause = 0.0002
        while True:
            try:
                os.rmdir(self.location)
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                    raise
                for child in self.children():
                    child.remove(deadline)
                if time.monotonic() >= deadline:
                    raise
                time.sleep(pause)
                pause = min(pause * 2, 0.02)
            else:
                return

    def processes(self, file: str = "cgroup.procs") -> set[int]:
        """The pids in it and in every group below it; empty when it is gone."""
        found: set[int] = set()
        try:
            found.update(int(line) for line in self.read(file).split())
        except OSError as error:
            # ENOENT, ENODEV: removed meanwhile. EOPNOTSUPP: a threaded group of v2, its threaded domain lists them.
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                raise
        for child in self.children():
            try:
                found |= child.processes(file)
            finally:
                child.close()
        return found

    def _named(self, error: OSError, file: str) -> OSError:
        return type(error)(error.errno, error.strerror, os.path.join(self.location, file))
