"""Programs that start the interpreter bare: `python -m sampan.cli.programs DIRECTORY` writes them.

What pip installs starts Python with `site`, which looks through all packages: half as much again for each command.
These have the two directories that count in them, and the command's modules come from the file of their code
(`code_cache`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig

MOST_SHEBANG_BYTES = 255  # execve(2), and the newline
_BEGIN = """#!{python} -IS
import sys
sys.path[:0] = {path!r}
"""
_COMMAND = """\
import gc, marshal
gc.disable()
cache = {cache!r} + sys.implementation.cache_tag + ".code"
try:
    with open(cache, "rb", 0) as file:
        own, rows = marshal.loads(file.read())
    exec(own)
    install(rows)
except (OSError, EOFError, ValueError, TypeError):
    pass
from sampan.cli.__main__ import main
main(start_cache=cache)
"""
_OTHER = """\
from {module} import main
sys.exit(main())
"""


def programs(python: str, source: str, packages: list[str]) -> dict[str, str]:
    """The text of each program by its name; `source` is the directory that has the package sampan in it.

    Raises ValueError for an interpreter that the kernel cannot be told of in a script.
    """
    if " " in python or len(f"#!{python} -IS\n".encode()) > MOST_SHEBANG_BYTES:
        raise ValueError(f"a script cannot name {python!r} as its interpreter")
    begin = _BEGIN.format(python=python, path=list(dict.fromkeys([source, *packages])))
    return {
        "sampan": begin + _COMMAND.format(cache=f"{source}/sampan/cli/__pycache__/start."),
        "sampand": begin + _OTHER.format(module="sampan.daemon"),
        "sampan-runtime": begin + _OTHER.format(module="sampan.runtime.__main__"),
    }


def write(directory: str, texts: dict[str, str]) -> None:
    """Write the programs, each whole or not at all, in place of what has their names. Raises OSError."""
    for name, text in texts.items():
        new = os.path.join(directory, f".{name}.new")
        try:
            with open(new, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o755)
            os.replace(new, os.path.join(directory, name))
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise


def main(argv: list[str]) -> int:
    """Write the programs of the interpreter that runs this."""
    if len(argv) != 1 or argv[0].startswith("-"):
        sys.stderr.write("usage: python -m sampan.cli.programs DIRECTORY\n")
        return 2
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    packages = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    try:
        write(argv[0], programs(sys.executable, os.path.dirname(package), packages))
    except ValueError as error:
        sys.stderr.write(f"sampan: {error}\n  try: make the virtual environment at a shorter path without spaces\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"sampan: programs cannot be written to {argv[0]}: {(error.strerror or str(error)).lower()}\n")
        sys.stderr.write("  try: name a directory that is there and yours to write: /usr/local/bin, as root\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
