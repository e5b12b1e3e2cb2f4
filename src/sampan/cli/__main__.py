"""Where the `sampan` command begins: options before the command, the command's module, and how it ends.

Meant to be run by `python -I -S`; what is imported here every command pays for.
"""

from __future__ import annotations

import gc
import posix
import sys

from sampan.cli import code_cache
from sampan.cli.commands import ALIASES, GROUPS, OPTIONS, TOP_LEVEL, begun_command
from sampan.cli.grammar import Arguments, HelpWanted, parse
from sampan.client.lookup import find_endpoint
from sampan.client.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import NoReturn

_SHARED = ("sampan", "__future__")  # of modules that are there when a command begins; others the interpreter has itself


def main(argv: Sequence[str] | None = None, start_cache: str = "") -> NoReturn:
    """Run the command line and end the process with its exit code, without tearing the interpreter down.

    `start_cache` is the file that shall hold all that has been imported by now, unless it came from there.
    """
    if start_cache and __spec__ is not None:
        code_cache.gather(start_cache, (name for name in sys.modules if name.startswith(_SHARED)))
    _open_standard_descriptors()
    try:
        code = run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # also while it is said what went wrong
        _end_by_signal(2)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        _end_by_signal(13)
    except OSError as error:
        if not code:  # else what went wrong has been said
            from sampan.cli.problem import report

            code = report(error, [])
    try:
        code_cache.write()
    except KeyboardInterrupt:
        _end_by_signal(2)
    posix._exit(code)  # noqa: SLF001 - its documented name


def _open_standard_descriptors() -> None:
    """Put /dev/null where 0, 1 or 2 is closed, lest a socket get the number and be taken for the terminal.

    In the place of standard output it cannot be written to: whoever asked for what goes there is to know of its loss.
    """
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            mode = posix.O_RDONLY if fd == 1 else posix.O_RDWR
            posix.open("/dev/null", mode)  # gets the lowest number that is free, which is this one
            setattr(sys, ("stdin", "stdout", "stderr")[fd], open(fd, "w" if fd else "r", closefd=False))  # noqa: SIM115


def run(argv: Sequence[str]) -> int:
    """Run the command line and return its exit code; what went wrong has been said on standard error."""
    name: list[str] = []
    debug = False
    try:
        options = parse(OPTIONS, argv, interspersed=False)
        debug = options.flag("debug")
        if options.given("config"):
            posix.environ[b"DOCKER_CONFIG"] = options.text("config").encode("utf-8", "surrogateescape")
        if options.flag("version"):
            from sampan.version import VERSION

            sys.stdout.write(f"sampan version {VERSION}\n")
            return 0
        module, name, words = find_command(options.words)
        arguments = parse_command(module, words, " ".join(name))
        session = open_session(options) if getattr(module, "NEEDS_DAEMON", True) else None
        _begin_to_collect()
        code: int = module.run(arguments, session)
        return code
    except HelpWanted:
        from sampan.cli.help import show_help

        return show_help(name or _given_name(argv))
    except BrokenPipeError:
        _end_by_signal(13)
    except Exception as error:
        if debug:
            raise
        from sampan.cli.problem import report

        return report(error, name or _given_name(argv))


def _begin_to_collect() -> None:
    """Collect garbage from now on where the program that started us does without: while modules come, there is none."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def find_command(words: Sequence[str]) -> tuple[ModuleType, list[str], list[str]]:
    """The module of the command that `words` begin with, the command's name, and the words after it."""
    if not words or words[0] == "help":
        if words[1:]:
            find_command(words[1:])  # which says so when there is no such command
        raise HelpWanted
    first = words[0]
    if first in TOP_LEVEL and first not in GROUPS:
        return begun_command(TOP_LEVEL[first]), [first], list(words[1:])
    if first not in GROUPS:
        from sampan.cli.unknown import unknown_command

        raise unknown_command((first,), [*TOP_LEVEL, *GROUPS])
    if len(words) == 1 or words[1].startswith("-"):
        raise HelpWanted
    second = ALIASES.get(f"{first} {words[1]}", f"{first} {words[1]}").partition(" ")[2]
    commands = GROUPS[first][1]
    if second not in commands:
        from sampan.cli.unknown import unknown_command

        raise unknown_command((first, second), commands)
    return begun_command(commands[second]), [first, second], list(words[2:])


def parse_command(module: ModuleType, words: Sequence[str], name: str) -> Arguments:
    """The command's arguments, their number checked."""
    arguments = parse(module.OPTIONS, words, interspersed=getattr(module, "INTERSPERSED", True))
    least, most = module.WORDS
    count = len(arguments.words)
    if count < least or 0 <= most < count:
        from sampan.cli.unknown import wrong_number

        forms = " or ".join(f"sampan {name} {form}".rstrip() for form in module.USAGE)
        raise wrong_number(name, module.WORDS, count, f"{forms} (more: sampan {name} --help)")
    return arguments


def open_session(options: Arguments) -> Session:
    """The session with the daemon that the options name; nothing is connected yet."""
    endpoint, default = find_endpoint(options.text("host"), options.text("context"))
    if options.flag("tls") or options.flag("tlsverify"):
        from sampan.client.tls import TlsFiles

        authority, certificate, key = (options.text(name) for name in ("tlscacert", "tlscert", "tlskey"))
        endpoint.tls = TlsFiles(authority, certificate, key, verify=options.flag("tlsverify"))
    return Session(endpoint, may_start=default)


def _given_name(argv: Sequence[str]) -> list[str]:
    """The command that a help was asked of, as far as the words name one."""
    words = [word for word in argv if not word.startswith("-") and word != "help"]
    if words and words[0] in GROUPS:
        return words[:2] if words[1:2] and words[1] in GROUPS[words[0]][1] else words[:1]
    return words[:1] if words and words[0] in TOP_LEVEL else []


def _end_by_signal(number: int) -> NoReturn:
    """End as a program does that does not catch the signal, so that a shell sees why."""
    import _signal  # type: ignore[import-not-found] # signal costs 4 ms

    _signal.signal(number, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)  # noqa: SLF001 - its documented name


if __name__ == "__main__":
    main()
