"""`sampan nsenter`: a command of the host inside chosen namespaces of a container."""

from __future__ import annotations

import posix

from sampan.cli.grammar import Failure
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Run a command of the host in chosen namespaces of a container"
USAGE = ("CONTAINER [--net] [--mount] [...] [COMMAND] [ARG...]",)
DETAILS = """
The tools are the host's, so the container's image need not have them. Without a choice all
namespaces are entered but the mount and user ones. Without a command a shell is started.
Root only, and on the daemon's host."""
WORDS = (1, -1)
INTERSPERSED = False
OPTIONS = (
    ("all", "a", "bool", "", "Enter all of them, the mount namespace too: then the tools are the container's"),
    ("cgroup", "C", "bool", "", "Enter the cgroup namespace"),
    ("ipc", "i", "bool", "", "Enter the IPC namespace"),
    ("mount", "m", "bool", "", "Enter the mount namespace: then the tools are the container's"),
    ("net", "n", "bool", "", "Enter the network namespace"),
    ("pid", "p", "bool", "", "Enter the PID namespace"),
    ("time", "T", "bool", "", "Enter the time namespace"),
    ("user", "U", "bool", "", "Enter the user namespace"),
    ("uts", "u", "bool", "", "Enter the UTS namespace"),
)
# In the order of entering: the user namespace first, for what it allows; the mount namespace last, for what it hides.
KINDS = {"user": "user", "cgroup": "cgroup", "ipc": "ipc", "uts": "uts", "net": "net", "pid": "pid", "time": "time"}
KINDS["mount"] = "mnt"
USUAL = ("cgroup", "ipc", "uts", "net", "pid", "time")


def run(arguments: Arguments, session: Session) -> int:
    """Enter, and become the command, or wait for it where the PID namespace asks for a child."""
    name, *words = arguments.words
    if words:
        from sampan.cli.grammar import parse

        behind = parse(OPTIONS, words, interspersed=False)
        given = {*arguments.names(), *behind.names()}
        command = behind.words
    else:
        given, command = set(arguments.names()), []
    pid = session.call("GET", f"/containers/{quote(name)}/json")["State"]["Pid"]
    if not pid:
        raise Failure(f"container {name} does not run", remedy=f"start it with `sampan start {name}`")
    chosen = list(KINDS) if "all" in given else [option for option in KINDS if option in given] or list(USUAL)
    return enter(pid, chosen, command or ["/bin/sh" if "mount" in chosen else _shell()])


def _shell() -> str:
    """The caller's, which a container's files need not have."""
    return posix.environ.get(b"SHELL", b"/bin/sh").decode("utf-8", "surrogateescape")


def enter(pid: int, chosen: list[str], command: list[str]) -> int:
    """Run `command` in these namespaces of the process; gives its exit code if a child had to be made."""
    import warnings  # noqa: F401 - os.execvp imports it, and in the container's files it would not be found

    from sampan.linux.namespace import KINDS as FLAGS
    from sampan.linux.namespace import open_namespace, setns

    try:
        opened = [(KINDS[option], open_namespace(pid, KINDS[option])) for option in chosen]
        mine = {kind: posix.stat(f"/proc/self/ns/{kind}").st_ino for kind, _ in opened}
        for kind, fd in opened:
            if posix.fstat(fd).st_ino != mine[kind]:
                setns(fd, FLAGS[kind])
    except PermissionError as error:
        raise Failure("only root may enter namespaces", remedy="prefix the command with sudo") from error
    if "pid" in chosen and (child := posix.fork()):
        _, status = posix.waitpid(child, 0)
        return posix.waitstatus_to_exitcode(status) % 256
    return _become(command, inside="mount" in chosen)


def _become(command: list[str], *, inside: bool) -> int:
    import os

    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        other = "the container, or leave --mount out for those of this host"
        if not inside:
            other = "this host, or add --mount for those of the container"
        code, reason = 127, f"not found\n  try: name a program of {other}"
    except OSError as error:
        code, reason = 126, (error.strerror or "").lower()
    os.write(2, f"sampan: {command[0]}: {reason}\n".encode())
    os._exit(code)
