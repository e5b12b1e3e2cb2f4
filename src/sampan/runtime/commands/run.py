"""`run`: create, start, wait and delete in one process; the container is this process's child."""

from __future__ import annotations

from contextlib import ExitStack

from sampan.runtime.commands.bundle import load_bundle
from sampan.runtime.commands.console import check_console, keep_line_feeds, send_console
from sampan.runtime.commands.create import OPTIONS as CREATE_OPTIONS
from sampan.runtime.commands.create import begin, write_pid_file
from sampan.runtime.commands.delete import destroy
from sampan.runtime.commands.options import SWITCH, Option, Words
from sampan.runtime.commands.verb import Command, Verb, container_id
from sampan.runtime.commands.waiting import Signals, stand_by
from sampan.runtime.state import checked_id

OPTIONS = (
    *CREATE_OPTIONS,
    Option("--detach -d", SWITCH, "do not wait for the container's end"),
    Option("--keep", SWITCH, "do not delete the container after its end"),
)


def run(command: Command, words: Words) -> int:
    """Run a container; the exit code is its own."""
    name = checked_id(container_id(words))
    bundle = load_bundle(name, words)
    socket, detach = words.text("console_socket"), words.has("detach")
    check_console(socket, has_terminal=bundle.plan.process.terminal, stays=not detach)
    with ExitStack() as undo:
        launched = begin(command, bundle, undo)
        console = launched.console
        if console >= 0 and socket:
            send_console(socket, console)
            console = -1
        if console >= 0:
            keep_line_feeds(console)
        write_pid_file(words.text("pid_file"), launched.pid)
        signals = None if detach else Signals()
        launched.go()
        undo.pop_all()
    for warning in launched.warnings:
        command.report.warning(warning)
    if signals is None:
        return 0
    code = stand_by(launched.pidfd, signals, console)
    if not words.has("keep"):
        with command.containers.locked(name):
            destroy(command, command.containers.load(name))
    return code


VERBS = {"run": Verb(run, "[command options] <container-id>", OPTIONS)}
