"""`sampan exec`: a further process in a running container."""

from __future__ import annotations

import posix

from sampan.cli.attaching import say_detached
from sampan.cli.commands.run import check_terminal, detach_keys
from sampan.cli.relay import Relay, Target
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Run a command in a running container"
USAGE = ("[OPTIONS] CONTAINER COMMAND [ARG...]",)
WORDS = (2, -1)
INTERSPERSED = False
OPTIONS = (
    ("detach", "d", "bool", "", "Leave it running"),
    ("detach-keys", "", "string", "", "Keys that leave the command running, by default ctrl-p,ctrl-q"),
    ("env", "e", "list", "", "Set an environment variable; NAME alone takes the value from here"),
    ("env-file", "", "list", "", "Set the environment variables in this file"),
    ("interactive", "i", "bool", "", "Pass input on"),
    ("privileged", "", "bool", "", "Give the command all rights"),
    ("tty", "t", "bool", "", "Give it a terminal"),
    ("user", "u", "string", "", "Run as this user (name or number, with :group)"),
    ("workdir", "w", "string", "", "Directory to start in"),
)
_UNSTARTED = frozenset({126, 127})  # what a program that could not be started ends with; others may too


def run(arguments: Arguments, session: Session) -> int:
    """Make it, start it, carry bytes until it ends, and give its exit code."""
    detach, tty = arguments.flag("detach"), arguments.flag("tty")
    stdin = arguments.flag("interactive") and not detach
    if not detach:
        check_terminal(stdin=stdin, tty=tty)
    keys = detach_keys(arguments)
    size = console_size() if tty and not detach else None
    document = exec_document(arguments, stdin=stdin, keys=keys)
    begin: dict[str, Any] = {"Detach": detach, "Tty": tty}
    if size:
        document["ConsoleSize"] = begin["ConsoleSize"] = size
    made: str = session.call("POST", f"/containers/{quote(arguments.words[0])}/exec", None, document)["Id"]
    if detach:
        session.call("POST", f"/exec/{made}/start", None, begin)
        return 0
    return _stay(session, made, begin, stdin=stdin, keys=keys)


def exec_document(arguments: Arguments, *, stdin: bool, keys: str) -> dict[str, Any]:
    """What POST /containers/NAME/exec takes, field for field as docker's CLI sends it."""
    environment: list[str] = []
    if arguments.given("env") or arguments.given("env-file"):
        from sampan.cli.request.environment import environment_of

        environment = environment_of(arguments)
    shown = not arguments.flag("detach")
    return {
        "User": arguments.text("user"),
        "Privileged": arguments.flag("privileged"),
        "Tty": arguments.flag("tty"),
        "AttachStdin": stdin,
        "AttachStderr": shown,
        "AttachStdout": shown,
        "Detach": not shown,
        "DetachKeys": keys,
        "Env": environment or None,
        "WorkingDir": arguments.text("workdir"),
        "Cmd": arguments.words[1:],
    }


def console_size() -> list[int] | None:
    """[rows, columns] of the terminal that output goes to."""
    if not posix.isatty(1):
        return None
    from sampan.cli.terminal import window_size

    return list(window_size(1))


def _stay(session: Session, made: str, begin: dict[str, Any], *, stdin: bool, keys: str) -> int:
    stream = session.hijack(f"/exec/{made}/start", None, begin)
    target = Target(session, "exec", made)
    relay = Relay(stream, target, stdin=stdin, tty=begin["Tty"], outputs=True, proxy=False)
    try:
        relay.prepare(keys)
        if "ConsoleSize" in begin:
            target.resize(*begin["ConsoleSize"])
        relay.run()
    finally:
        relay.finish()
    if relay.detached:
        say_detached()
        return 0
    stream.close()
    code: int | None = session.call("GET", f"/exec/{made}/json")["ExitCode"]
    if code in _UNSTARTED:
        from sampan.cli.unstarted import show_remedy

        show_remedy(relay.last)
    return code or 0
