"""The code of all modules that a command begins with in one file, so that it begins sooner.

The interpreter looks for each module by itself, asks the system a dozen times for it, and makes a specification of it:
2 ms for the twenty modules of a short command, which takes 10. A file of here is read once; modules come out of it as
they would from their own compiled files, and only if every source has the time and size that it had then. Like those
files it is written by whoever runs the command first and may write there. One holds what all commands share (read by
the program `sampan`), and one for each command what it needs beside that.

Annotations are in quotes: `from __future__` would look for a module before there is a file to take it from.
"""

import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType, ModuleType

    # name, directory of a package or None, source, its time in ns, its size in bytes, code; imported ones come first
    Row = tuple[str, str | None, str, int, int, CodeType]

_gathered: dict[str, tuple[str, ...]] = {}  # files to be written, and the modules for them


def install(rows: "list[Row]") -> bool:
    """Make the modules and run them; nothing at all and False when a source has changed since."""
    stat = posix.stat
    for _, _, source, time_ns, size, _ in rows:
        try:
            status = stat(source)
        except OSError:
            return False
        if status.st_mtime_ns != time_ns or status.st_size != size:
            return False
    modules = sys.modules
    kind = type(sys)
    for name, directory, source, _, _, code in rows:
        if name in modules:
            continue
        parent, _, own_name = name.rpartition(".")
        module = modules[name] = kind(name)
        module.__file__ = source
        module.__package__ = parent if directory is None else name
        if directory is not None:
            module.__path__ = [directory]
        try:
            exec(code, module.__dict__)  # noqa: S102 - as the import system does
        except BaseException:
            del modules[name]
            raise
        if parent:
            setattr(modules[parent], own_name, module)
    return True


def import_command(name: str) -> "ModuleType":
    """The module of this name and what it imports, from their file if it is there and good."""
    if name not in sys.modules:
        package, _, own_name = name.rpartition(".")
        path = f"{sys.modules[package].__path__[0]}/__pycache__/{own_name}.{sys.implementation.cache_tag}.code"
        known = None if _installed(path) else set(sys.modules)
        __import__(name)
        if known is not None:
            gather(path, (one for one in sys.modules if one not in known))
    return sys.modules[name]


def _installed(path: str) -> bool:
    try:
        with open(path, "rb", 0) as file:
            _, rows = marshal.loads(file.read())  # noqa: S302 - ours, like the compiled file of each module
    except (OSError, EOFError, ValueError, TypeError):
        return False
    return install(rows)


def gather(path: str, names: "Iterable[str]") -> None:
    """Note that the file shall hold these modules, which have just been imported, in the order of their ends."""
    _gathered[path] = tuple(names)


def write() -> None:
    """Write what was gathered. Where that cannot be, the next command begins as this one did."""
    for path, names in _gathered.items():
        if not sys.dont_write_bytecode:
            try:
                rows = _rows(names)
            except (OSError, SyntaxError):  # a source has changed or gone meanwhile
                continue
            own = next((row[-1] for row in rows if row[0] == __name__), None)
            _write(path, marshal.dumps((own, rows)))
    _gathered.clear()


def _rows(names: "Iterable[str]") -> "list[Row]":
    rows = []
    for name in names:
        spec = sys.modules[name].__spec__
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue  # a part of the interpreter
        status = posix.stat(spec.origin)  # before it is read, so that a change meanwhile makes the row a stale one
        code = spec.loader.get_code(name)  # type: ignore[union-attr] # the one that read the source has it
        directory = spec.origin.rpartition("/")[0] if spec.submodule_search_locations is not None else None
        rows.append((name, directory, spec.origin, status.st_mtime_ns, status.st_size, code))
    return rows


def _write(path: str, content: bytes) -> None:
    new = f"{path}.{posix.getpid()}"
    try:
        fd = posix.open(new, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o644)
    except OSError:
        return
    try:
        with open(fd, "wb") as file:
            file.write(content)
        posix.rename(new, path)
    except BaseException as error:
        posix.unlink(new)
        if not isinstance(error, OSError):  # the disk is full
            raise
