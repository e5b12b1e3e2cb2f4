"""Finding the program that is to be executed, inside the container's root and as the container's user.

Words and kinds of a failure are those that Docker's clients know, down to the exit codes 126 and 127.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from sampan.errors import CommandNotExecutable, CommandNotFound, Kind

_NOT_FOUND = frozenset({errno.ENOENT, errno.ENOTDIR})


def find_program(name: str, environment: Sequence[str]) -> str:
    """The path to execute for argv[0]: itself when it has a slash, else the first executable file of PATH.

    Relative to the caller's root and working directory, checked with its effective ids. Raises CommandNotFound or
    CommandNotExecutable; execve(2) may still refuse.
    """
    if not name:
        raise CommandNotFound('exec: "": executable file not found in $PATH', remedy="name a command")
    if "/" in name:
        _check_file(name)
        return name
    path = next((entry[5:] for entry in reversed(environment) if entry.startswith("PATH=")), "")
    for directory in path.split(":") if path else ():
        candidate = f"{directory or '.'}/{name}"
        if _is_executable(candidate):
            return candidate
    raise CommandNotFound(
        f'exec: "{name}": executable file not found in $PATH',
        remedy="name a program of the image, by its whole path or from a directory in PATH",
    )


def kind_of_failure(number: int) -> Kind:
    """The kind of an errno of execve(2)."""
    return Kind.COMMAND_NOT_FOUND if number in _NOT_FOUND else Kind.NOT_EXECUTABLE


def _check_file(name: str) -> None:
    try:
        mode = os.stat(name).st_mode
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        if error.errno in _NOT_FOUND:
            raise CommandNotFound(f'exec: "{name}": stat {name}: {reason}') from None
        raise CommandNotExecutable(f'exec: "{name}": stat {name}: {reason}') from None
    if stat.S_ISDIR(mode):
        raise CommandNotExecutable(f'exec: "{name}": is a directory')
    if not (mode & 0o111 and os.access(name, os.X_OK, effective_ids=True)):
        raise CommandNotExecutable(f'exec: "{name}": permission denied', remedy="make the file executable (chmod +x)")


def _is_executable(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111) and os.access(path, os.X_OK, effective_ids=True)
