"""The code of all modules of a verb in one file, read at once: looking for each of a hundred modules costs 7 ms.

The file is in `__pycache__` beside the modules' own, made by the first call of a verb and made anew when a source has
changed; it is a cache and nothing else. It is used before anything else is imported, so here are builtins alone.
"""

import _frozen_importlib
import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any

    # path of the source, its time in ns, its size, whether it is a package, the code
    Entry = tuple[str, int, int, bool, CodeType]

_FOLDER = f"{__file__.rpartition('/')[0]}/__pycache__"
_FORMAT = b"1 " + repr(sys.version).encode()


class Modules:
    """What is imported for `verb`: found in its file, and written there when the file is missing or outdated."""

    def __init__(self, verb: str) -> None:
        self._path = f"{_FOLDER}/{verb}.{sys.implementation.cache_tag}.modules"
        self._entries = _read(self._path)
        self._before = frozenset(sys.modules)
        self._wanted: list[str] = []
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> "Any":
        """The module, when the file has it."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        spec = _frozen_importlib.ModuleSpec(name, self, origin=entry[0], is_package=entry[3])  # type: ignore[arg-type]
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(entry[0].rpartition("/")[0])
        spec.has_location = True
        return spec

    def create_module(self, _spec: object) -> None:
        """As the interpreter makes any module."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code in it."""
        exec(self._entries[module.__name__][4], vars(module))  # noqa: S102 -- that is what importing is

    def note(self) -> None:
        """All that the verb needs is imported now; what it asks for later is looked for as usual."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        self._wanted = [name for name, one in sys.modules.items() if name not in self._before and _source(one)]

    def keep(self) -> None:
        """Write the file, when it lacks something; fine when it cannot be written."""
        if sys.dont_write_bytecode or not self._wanted or self._entries.keys() >= set(self._wanted):
            return
        try:
            _write(self._path, {name: _entry(name, sys.modules[name]) for name in self._wanted})
        except (OSError, ImportError, ValueError):
            return


def _source(module: "ModuleType") -> str:
    spec = getattr(module, "__spec__", None)
    origin = getattr(spec, "origin", None) or ""
    return origin if origin.startswith("/") and origin.endswith(".py") else ""


def _entry(name: str, module: "ModuleType") -> "Entry":
    path = _source(module)
    found = posix.stat(path)
    from importlib.machinery import SourceFileLoader

    code = SourceFileLoader(name, path).get_code(name)
    if code is None or posix.stat(path).st_mtime_ns != found.st_mtime_ns:
        raise ImportError(name)
    return path, found.st_mtime_ns, found.st_size, hasattr(module, "__path__"), code


def _read(path: str) -> "dict[str, Entry]":
    """What the file has; nothing when it is missing, of another interpreter, or older than any of the sources."""
    try:
        with open(path, "rb") as file:
            content = file.read()
        if not content.startswith(_FORMAT + b"\n"):
            return {}
        entries: dict[str, Entry] = marshal.loads(memoryview(content)[len(_FORMAT) + 1 :])  # noqa: S302 -- our own
        for source, time_ns, size, _, _ in entries.values():
            found = posix.stat(source)
            if (found.st_mtime_ns, found.st_size) != (time_ns, size):
                return {}
    except (OSError, EOFError, ValueError, TypeError, AttributeError):
        return {}
    return entries


def _write(path: str, entries: "dict[str, Entry]") -> None:
    temporary = f"{path}.{posix.getpid()}"
    fd = posix.open(temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o644)
    try:
        content = _FORMAT + b"\n" + marshal.dumps(entries)
        try:
            while content:
                content = content[posix.write(fd, content) :]
        finally:
            posix.close(fd)
        posix.rename(temporary, path)
    except BaseException:
        posix.unlink(temporary)
        raise
