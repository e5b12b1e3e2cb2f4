"""The containers that `sampan-runtime` knows, on disk: a directory for each below --root, with its state and its spec.

    ROOT/ID/state.json    what the container is; replaced as a whole, never half
    ROOT/ID/config.json   the specification it was created with: later changes of the bundle's do not touch it
    ROOT/ID/gate          the unix socket at which the first process waits for `start`, which takes it away

Whether a container runs is asked of the kernel each time: a pid counts only together with its start time, for the
kernel gives pids again. The engine keeps its containers elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from sampan.errors import Conflict, InvalidArgument, NotFound, SystemFailure
from sampan.linux.process import start_time
from sampan.runtime.json_text import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_MAX_ID = 255  # NAME_MAX: it names a directory
_GATE = "gate"
_TAKEN_GATE = "gate.taken"
_DEAD = frozenset("ZX")
CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What is known of a container; `pid` is 0 while `creator` makes it. `created` is RFC 3339.

    Start times are in clock ticks since boot (proc_pid_stat(5)).
    """

    id: str
    bundle: str
    rootfs: str
    cgroup_path: str
    created: str
    oci_version: str
    pid: int = 0
    start_time: int = 0
    creator: int = 0
    creator_start_time: int = 0
    owner: str = ""
    owns_cgroup: bool = True  # it was made for this container, and goes with it
    made_directories: tuple[str, ...] = ()  # of groups above its own, made with it: absolute, the deepest first
    annotations: tuple[tuple[str, str], ...] = ()

    def born(self, pid: int) -> ContainerState:
        """The same with its first process, which must be alive. ProcessLookupError when it is gone."""
        return replace(self, pid=pid, start_time=start_time(pid))


class Containers:
    """All containers below one root directory."""

    def __init__(self, root: str) -> None:
        self._root = root

    def directory(self, id: str) -> str:
        """Where the container's files are. InvalidArgument when `id` cannot name one."""
        return os.path.join(self._root, checked_id(id))

    @contextlib.contextmanager
    def gate(self, id: str) -> Iterator[str]:
        """A path of the socket at which the first process waits: short enough for an address, whatever --root is."""
        fd = self._open(id)
        try:
            yield f"/proc/self/fd/{fd}/{_GATE}"
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def taken_gate(self, id: str) -> Iterator[str]:
        """The same for whoever opens it, once: from here on the container counts as started."""
        fd = self._open(id)
        try:
            os.rename(_GATE, _TAKEN_GATE, src_dir_fd=fd, dst_dir_fd=fd)
            yield f"/proc/self/fd/{fd}/{_TAKEN_GATE}"
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_TAKEN_GATE, dir_fd=fd)
            os.close(fd)

    def ids(self) -> list[str]:
        """The ids of all containers, sorted."""
        try:
            names = os.listdir(self._root)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if os.path.exists(os.path.join(self._root, name, "state.json")))

    def create(self, state: ContainerState, config: bytes) -> None:
        """Take the id: from here on the container is "creating". Conflict when it is taken already."""
        os.makedirs(self._root, 0o711, exist_ok=True)
        directory = self.directory(state.id)
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            raise _taken(state.id) from None
        try:
            _replace(os.path.join(directory, "config.json"), config)
            self.save(state)
        except BaseException:
            self.remove(state.id)
            raise

    def refuse_known(self, id: str) -> None:
        """Conflict when the id is taken."""
        if os.path.exists(self.directory(id)):
            raise _taken(id)

    def save(self, state: ContainerState) -> None:
        """Replace the container's state."""
        _replace(os.path.join(self.directory(state.id), "state.json"), dumps(asdict(state), 2).encode())

    def load(self, id: str) -> ContainerState:
        """The state of a container. NotFound when there is none."""
        path = os.path.join(self.directory(id), "state.json")
        content = _read(path, id)
        try:
            values = loads(content)
            known = [field.name for field in fields(ContainerState) if field.name in values]
            return ContainerState(**{name: _frozen(values[name]) for name in known})
        except (ValueError, TypeError) as error:
            raise SystemFailure(
                f"{path} is damaged: {error}", remedy="remove the container's directory when its processes are gone"
            ) from None

    def config(self, id: str) -> bytes:
        """The specification the container was created with. NotFound when there is none."""
        return _read(os.path.join(self.directory(id), "config.json"), id)

    def remove(self, id: str) -> None:
        """Forget the container; fine when it is not known."""
        directory = self.directory(id)
        with contextlib.suppress(FileNotFoundError):
            # the state goes last: until then the container can be deleted again
            for name in sorted(os.listdir(directory), key=lambda name: name == "state.json"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(directory, name))
            os.rmdir(directory)

    @contextlib.contextmanager
    def locked(self, id: str) -> Iterator[None]:
        """Keep other commands from changing the container meanwhile. NotFound when there is none."""
        fd = self._open(id)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _open(self, id: str) -> int:
        try:
            return os.open(self.directory(id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise _no_such(id) from None

    def status(self, state: ContainerState) -> str:
        """One of CREATING, CREATED, RUNNING and STOPPED; whether it is paused, its cgroup knows."""
        if not state.pid:
            return CREATING if is_alive(state.creator, state.creator_start_time) else STOPPED
        if not is_alive(state.pid, state.start_time):
            return STOPPED
        return CREATED if os.path.exists(os.path.join(self.directory(state.id), _GATE)) else RUNNING


def is_alive(pid: int, started: int) -> bool:
    """Whether the process that started then still runs; a zombie does not."""
    try:
        if start_time(pid) != started:
            return False
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1].decode() not in _DEAD
    except (ProcessLookupError, FileNotFoundError):
        return False


def checked_id(id: str) -> str:
    """`id` itself. InvalidArgument when it cannot name a container (a name of letters, digits and _+-.)."""
    wrong = next((letter for letter in id if letter not in _ID_LETTERS), "")
    if wrong:
        raise InvalidArgument(
            f"invalid container id format: {id!r}: invalid character `{wrong}` in the ID",
            remedy="use letters, digits, _, +, - and .",
        )
    if not id or id in {".", ".."} or len(id) > _MAX_ID:
        raise InvalidArgument(f"invalid container id format: {id!r}", remedy=f"use 1 to {_MAX_ID} letters and digits")
    return id


def mentions(config: bytes, name: str) -> bool:
    """Whether a specification can have a field of that name, told without reading it: a letter may be escaped."""
    return name.encode() in config or b"\\u" in config


def _frozen(value: object) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _taken(id: str) -> Conflict:
    return Conflict(f"container with id exists: {id}", remedy="delete it first, or choose another id")


def _no_such(id: str) -> NotFound:
    return NotFound(f"container does not exist: {id}", remedy="`list` shows those that do")


def _read(path: str, id: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise _no_such(id) from None


def _replace(path: str, content: bytes) -> None:
    """Write a file whole: a reader sees the old content or the new, also when the writer is killed.

    It need not reach the disk: after a power loss no container is there that it could be about.
    """
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, 0o600)) as file:
            file.write(content)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
