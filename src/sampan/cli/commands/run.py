"""`sampan run`: make a container, start it, and stay with it until it ends."""

from __future__ import annotations

import posix
import sys

from sampan.cli.attaching import attach, stay
from sampan.cli.commands.create import create_container, set_console_size
from sampan.cli.container_options import RUN_ONLY, SHARED
from sampan.cli.grammar import Failure, UsageError
from sampan.cli.request import create_request
from sampan.cli.settings import setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Make a container of an image and run a command in it"
USAGE = ("[OPTIONS] IMAGE [COMMAND] [ARG...]",)
WORDS = (1, -1)
INTERSPERSED = False
OPTIONS = (*SHARED, *RUN_ONLY)


def run(arguments: Arguments, session: Session) -> int:
    """Create, attach, wait, start; then carry bytes until the end, and give the container's exit code."""
    request = create_request(arguments)
    config = request.config
    if arguments.flag("detach"):
        if arguments.items("attach"):
            raise UsageError("--detach and --attach exclude each other", remedy="leave one of them out")
        config["AttachStdin"] = config["AttachStdout"] = config["AttachStderr"] = config["StdinOnce"] = False
    else:
        check_terminal(stdin=config["AttachStdin"], tty=config["Tty"])
    keys = detach_keys(arguments)
    if config["Tty"]:
        set_console_size(request)
    container = create_container(arguments, session, request, 125)
    if not (config["AttachStdin"] or config["AttachStdout"] or config["AttachStderr"]):
        start = Start(arguments, session, container)
        start()
        sys.stdout.write(container + "\n")
        start.show()
        return 0
    return run_attached(arguments, session, container, config, keys)


class Start:
    """Starting a container, and showing afterwards what `--trace` asks for."""

    def __init__(self, arguments: Arguments, session: Session, id: str) -> None:
        self._session = session
        self._id = id
        self._traced = arguments.flag("trace")
        self._phases: list[dict[str, Any]] = []

    def __call__(self) -> None:
        """Start it."""
        if self._traced:
            from sampan.cli.tracing import start_traced

            self._phases = start_traced(self._session, self._id)
        else:
            self._session.call("POST", f"/containers/{self._id}/start")

    def show(self) -> None:
        """Print where the time went, if that was asked for."""
        if self._traced:
            from sampan.cli.tracing import show

            show(self._phases)


def run_attached(arguments: Arguments, session: Session, id: str, config: dict[str, Any], keys: str) -> int:
    """The part of `run` that stays."""
    streams = {name: bool(config[f"Attach{name.capitalize()}"]) for name in ("stdin", "stdout", "stderr")}
    stream = attach(session, id, streams, keys)
    condition = "removed" if arguments.flag("rm") else "next-exit"
    waiting = session.request("POST", f"/containers/{id}/wait", {"condition": condition})
    start = Start(arguments, session, id)
    code = stay(
        session,
        id,
        stream,
        waiting,
        streams,
        tty=config["Tty"],
        proxy=arguments.flag("sig-proxy"),
        keys=keys,
        begin=start,
    )
    start.show()
    return code


_WITHOUT_TERMINAL = "leave -t out where input comes from a pipe or a file"


def check_terminal(*, stdin: bool, tty: bool, remedy: str = _WITHOUT_TERMINAL) -> None:
    """Refuse a terminal for the process when what is typed does not come from one."""
    if stdin and tty and not posix.isatty(0):
        raise Failure("the input is no terminal", remedy=remedy)


def detach_keys(arguments: Arguments) -> str:
    """What --detach-keys or the settings say, checked; "" for the daemon's own."""
    keys = arguments.text("detach-keys") or setting("detachKeys")
    if keys:
        from sampan.cli.terminal import read_keys

        try:
            read_keys(keys)
        except ValueError as error:
            raise UsageError(f"--detach-keys {keys!r}: {error}", code=1) from None
    return keys
