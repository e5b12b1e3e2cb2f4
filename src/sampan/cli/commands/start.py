"""`sampan start`: start containers that are there already, and stay with one if asked."""

from __future__ import annotations

import sys

from sampan.cli.attaching import attach, stay
from sampan.cli.commands.run import Start, check_terminal, detach_keys
from sampan.cli.grammar import Failure
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Start containers that do not run"
USAGE = ("[OPTIONS] CONTAINER [CONTAINER...]",)
WORDS = (1, -1)
OPTIONS = (
    ("attach", "a", "bool", "", "Show the output, and pass signals on"),
    ("detach-keys", "", "string", "", "Keys that leave the container running, by default ctrl-p,ctrl-q"),
    ("interactive", "i", "bool", "", "Pass input on"),
    ("trace", "", "bool", "", "Show where the time of the start went"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Start all of them, or one and stay with it."""
    if arguments.flag("trace") and len(arguments.words) > 1:
        raise Failure("one start can be traced only", remedy="name one container")
    if not (arguments.flag("attach") or arguments.flag("interactive")):
        if arguments.flag("trace"):
            start = Start(arguments, session, quote(arguments.words[0]))
            start()
            sys.stdout.write(arguments.words[0] + "\n")
            start.show()
            return 0
        from sampan.cli.each import each

        return each(session, "POST", arguments.words, "/containers/{}/start")
    if len(arguments.words) > 1:
        raise Failure("one can stay with one container only", remedy="leave -a and -i out, or name one container")
    return _start_attached(arguments, session)


def _start_attached(arguments: Arguments, session: Session) -> int:
    container = session.call("GET", f"/containers/{quote(arguments.words[0])}/json")
    config = container["Config"]
    tty = bool(config["Tty"])
    attached = arguments.flag("attach")
    stdin = arguments.flag("interactive") and bool(config["OpenStdin"])
    check_terminal(stdin=stdin, tty=tty, remedy="leave -i out where input comes from a pipe or a file")
    keys = detach_keys(arguments)
    streams = {"stdin": stdin, "stdout": True, "stderr": True}
    stream = attach(session, container["Id"], streams, keys)
    condition = "removed" if container["HostConfig"].get("AutoRemove") else "next-exit"
    waiting = session.request("POST", f"/containers/{container['Id']}/wait", {"condition": condition})
    start = Start(arguments, session, container["Id"])
    code = stay(
        session,
        container["Id"],
        stream,
        waiting,
        streams,
        tty=tty,
        proxy=attached and not tty,
        keys=keys,
        begin=start,
    )
    start.show()
    return code
