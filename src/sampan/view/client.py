"""The daemon's end of the view process: starting it, finding it again, and asking whether it answers.

Synchronous and bounded in time: a process that does not answer is ended, which frees whoever reads from it. The
listening socket is the daemon's own making and handed over, so that whoever comes later can connect.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
from pathlib import Path

from sampan.errors import NotImplementedHere, SystemFailure
from sampan.view.provider import Provided

_PROGRAM = """import sys
sys.path.insert(0, sys.argv[1])
from sampan.runtime import quick_dataclasses
quick_dataclasses.install()  # half of the time that its imports take: the first container waits for it
from sampan.view.server import main
main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
"""
_PACKET = 1 << 16
_START_PATIENCE_S = 15.0
_ANSWER_PATIENCE_S = 1.0
_FIND_PATIENCE_S = 3.0  # nobody has watched it until now; a machine that is starting everything is slow
_RENEWAL_PATIENCE_S = 25.0
_LISTENER, _CONTROL = 3, 4  # descriptors in the process
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}


class ViewProcess:
    """A conversation with the view process of the engine whose runtime directory is `directory`."""

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/view.sock"
        self._pid_path = f"{directory}/view.pid"
        self._place = f"{directory}/view"
        self._control: socket.socket | None = None
        self._child = 0  # its pid, when we have started it
        self._pings = 0

    def find(self) -> Provided | None:
        """Where the files are of one that an earlier daemon started, None when none answers (and then none is left)."""
        self.close()
        if not self._connect():
            return None
        try:
            return self._welcomed(_FIND_PATIENCE_S)
        except SystemFailure:  # it hangs, and is ended
            return None

    def start(self) -> Provided:
        """Find it or start it, and say where its files are.

        Raises NotImplementedHere where the kernel has no FUSE, SystemFailure when it does not come up.
        """
        found = self.find()
        if found is None:
            self._spawn()
            found = self._welcomed(_START_PATIENCE_S)
        return found

    def answers(self) -> bool:
        """Whether it does within a second. One that does not is ended, so that its readers get on."""
        if self._control is None:
            return False
        self._pings += 1
        try:
            self._control.send(json.dumps({"ping": self._pings}).encode())
            self._hear("pong", _ANSWER_PATIENCE_S)
        except (OSError, ValueError):
            self._end()
            return False
        return True

    def renew(self, pids: list[int], paths: tuple[str, ...]) -> None:
        """Have its files laid into the containers of these first processes; returns when that is done.

        Raises SystemFailure when it goes away meanwhile.
        """
        if self._control is None:
            raise SystemFailure("the view process does not run", remedy="it is started again with the next container")
        try:
            self._control.send(json.dumps({"renew": pids, "paths": paths}).encode())
            self._hear("renewed", _RENEWAL_PATIENCE_S)
        except (OSError, ValueError) as error:
            raise SystemFailure(
                f"the view process did not renew the files of containers: {error}", remedy="start the containers again"
            ) from error

    def fileno(self) -> int:
        """The connection's descriptor, readable when the process has gone; -1 without one."""
        return -1 if self._control is None else self._control.fileno()

    def close(self) -> None:
        """End the conversation; the process goes on as long as a container reads from it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        self._reap(os.WNOHANG)

    def _connect(self) -> bool:
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        control.settimeout(_ANSWER_PATIENCE_S)
        try:
            control.connect(self._path)
        except OSError:
            control.close()
            return False
        self._control = control
        return True

    def _welcomed(self, patience_s: float) -> Provided:
        assert self._control is not None  # noqa: S101 -- found or spawned
        try:
            told = self._hear("", patience_s)
        except (OSError, ValueError) as error:
            self._end()
            raise SystemFailure(f"the view process did not come up: {error}", remedy="see the daemon's log") from error
        if "error" in told:
            self.close()
            raise NotImplementedHere(
                f"containers cannot have a view of their own here: {told['error']}",
                remedy="load the kernel's fuse module, or say --resource-view host",
            )
        pid, paths = told["pid"], told["paths"]
        assert isinstance(pid, int) and isinstance(paths, list)  # noqa: S101, PT018 -- our own process's words
        return Provided(f"/proc/{pid}/ns/mnt", self._place, tuple(paths), pid)

    def _hear(self, wanted: str, patience_s: float) -> dict[str, object]:
        assert self._control is not None  # noqa: S101 -- the caller has looked
        self._control.settimeout(patience_s)
        while True:
            packet = self._control.recv(_PACKET)
            if not packet:
                raise ConnectionResetError("it has ended")
            message: dict[str, object] = json.loads(packet)
            if not wanted or wanted in message:
                return message

    def _end(self) -> None:
        """Kill it, whoever started it: the kernel then ends its connection, and every read on it."""
        pid = self._child or self._found_pid()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reap(0)
        self.close()

    def _found_pid(self) -> int:
        """The pid of one that an earlier daemon has started; 0 when it is not that any more."""
        try:
            pid = int(Path(self._pid_path).read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return 0
        return pid if os.fsencode(self._place) in words else 0

    def _reap(self, options: int) -> None:
        if self._child:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self._child, options)[0] == 0:
                    return
            self._child = 0

    def _spawn(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        os.makedirs(self._place, mode=0o700, exist_ok=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, theirs:
            listener.bind(self._path)
            os.chmod(self._path, 0o600)
            listener.listen(4)
            self._child = self._execute(listener.fileno(), theirs.fileno())
        Path(self._pid_path).write_text(f"{self._child}\n")
        self._control = ours

    def _execute(self, listener: int, control: int) -> int:
        """The pid of the process; it has its descriptors as _LISTENER and _CONTROL."""
        high = [
            fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (listener, control)
        ]  # so that neither is in the way
        try:
            return os.posix_spawn(
                sys.executable,
                [
                    *(sys.executable, "-I", "-S", "-c", _PROGRAM, str(Path(__file__).parents[2])),
                    *(str(_LISTENER), str(_CONTROL), self._place),
                ],
                _ENVIRONMENT,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    (os.POSIX_SPAWN_DUP2, high[0], _LISTENER),
                    (os.POSIX_SPAWN_DUP2, high[1], _CONTROL),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE),
            )
        finally:
            for fd in high:
                os.close(fd)
