"""How a daemon starts its launcher; imports nothing of what the launcher itself needs."""

from __future__ import annotations

import os
import signal
import socket
import sys

from sampan.linux.process import sealed_executable

_PROGRAM = """import sys
sys.path.insert(0, sys.argv[1])
from sampan.runtime import quick_dataclasses
quick_dataclasses.install()
from sampan.launcher.forking import main
main(int(sys.argv[2]))
"""
_CONNECTION = 3  # the descriptor of the daemon's connection in the launcher

_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}


def spawn_launcher() -> tuple[int, socket.socket]:
    """Start a launcher: its pid, to be reaped when its connection ends, and the connection (SOCK_SEQPACKET).

    The interpreter is executed bare (-I -S) through a descriptor that no container can write through, as containers'
    processes are forks of it (CVE-2019-5736). Safe to call where there are threads.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    executable = sealed_executable()
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        pid = os.posix_spawn(
            f"/proc/self/fd/{executable}",
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", _PROGRAM, source, str(_CONNECTION)],
            _ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), _CONNECTION),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE),
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(executable)
    return pid, ours
