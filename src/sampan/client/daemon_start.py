"""Starting the daemon because someone needs it: once, however many clients ask at the same moment.

The daemon is made by a short-lived helper process, so that it is nobody's child and no zombie is left in a program
that only wanted a client. Its words go to a log file beside the socket.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import time

from sampan.client.endpoint import Endpoint
from sampan.client.failure import DaemonUnreachable

START_TIMEOUT_S = 20.0
_HELPER = """
import os, sys
pid = os.fork()
if pid:
    sys.stdout.write(str(pid))
    sys.stdout.flush()
    os._exit(0)
os.setsid()
null, log = os.open("/dev/null", os.O_RDWR), int(sys.argv[1])
os.dup2(null, 0); os.dup2(log, 1); os.dup2(log, 2)
os.closerange(3, 256)
os.chdir("/")
os.execv(sys.argv[2], sys.argv[2:])
"""


def daemon_command() -> list[str]:
    """The program that is the daemon: `sampand` beside the command or the interpreter, else our own module."""
    for beside in (sys.argv[0] if sys.argv else "", sys.executable):
        path = os.path.join(os.path.dirname(os.path.abspath(beside)), "sampand") if beside else ""
        if path and os.access(path, os.X_OK):
            return [path]
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = f"import sys; sys.path.insert(0, {source!r}); from sampan.daemon import main; sys.exit(main())"
    return [sys.executable, "-I", "-c", program]


def start_daemon(endpoint: Endpoint, command: list[str] | None = None, *, timeout_s: float = START_TIMEOUT_S) -> None:
    """Return when a daemon listens on the unix socket of `endpoint`, having started one if there was none.

    Raises DaemonUnreachable: it could not be started, or ended, or does not listen in time; the message names its log.
    """
    folder = os.path.dirname(endpoint.path)
    log_path = os.path.join(folder, "sampand.log")
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        lock = os.open(f"{endpoint.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise DaemonUnreachable(
            f"no daemon listens at {endpoint}, and this user may not start one ({error.filename}: "
            f"{(error.strerror or '').lower()})",
            remedy="start it as root: `sudo sampand`, or prefix this command with sudo",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _listens(endpoint):
            pid = _spawn([*(command or daemon_command()), "-H", str(endpoint)], log)
            _await(endpoint, pid, log_path, timeout_s)
    finally:
        os.close(lock)
        os.close(log)


def _listens(endpoint: Endpoint) -> bool:
    try:
        endpoint.connect().close()
    except DaemonUnreachable:
        return False
    return True


def _spawn(command: list[str], log: int) -> int:
    """Start `command` as a child of init and return its pid."""
    receive, send = os.pipe()
    os.set_inheritable(log, True)  # noqa: FBT003
    try:
        helper = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _HELPER, str(log), *command],
            dict(os.environ),
            file_actions=[(os.POSIX_SPAWN_DUP2, send, 1)],
        )
        os.close(send)
        send = -1
        text = os.read(receive, 32)
        os.waitpid(helper, 0)
    finally:
        os.set_inheritable(log, False)  # noqa: FBT003
        os.close(receive)
        if send >= 0:
            os.close(send)
    if not text:
        raise DaemonUnreachable(f"the daemon could not be started: {command[0]} was not executed")
    return int(text)


def _await(endpoint: Endpoint, pid: int, log_path: str, timeout_s: float) -> None:
    """Try to connect, ever more rarely, until it works, `pid` is gone or the time is up."""
    deadline = time.monotonic() + timeout_s
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        raise _ended(log_path) from None
    try:
        watch = select.poll()
        watch.register(process, select.POLLIN)
        pause_ms = 2.0
        while not _listens(endpoint):
            if watch.poll(pause_ms):
                raise _ended(log_path)
            if time.monotonic() > deadline:
                raise DaemonUnreachable(
                    f"the daemon (pid {pid}) does not listen at {endpoint} after {timeout_s:g} s",
                    remedy=f"read its log, {log_path}",
                )
            pause_ms = min(pause_ms * 1.3, 50.0)
    finally:
        os.close(process)


def _ended(log_path: str) -> DaemonUnreachable:
    """What a daemon that is gone said last: its sentence, with the remedy where it gave one, and the log's name."""
    try:
        with open(log_path, "rb") as file:
            file.seek(max(os.path.getsize(log_path) - 2000, 0))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    read = f"read its log, {log_path}"
    tried = lines.pop().strip().removeprefix("try: ") if len(lines) > 1 and lines[-1].startswith("  try: ") else ""
    says = f": {lines[-1].removeprefix('sampand: ')}" if lines else ""
    return DaemonUnreachable(
        f"the daemon ended while it was starting{says}", remedy=f"{tried}; or {read}" if tried else read
    )
