"""Stand-ins for modules of the standard library that are slow to import, for a command that lives for 30 ms.

`enum`, `typing`, `collections`, `functools`, `signal` and `socket` cost 9 ms together, most of it for what is never
used here. While a verb's modules are imported, `install` lets them find the few names that they use; `withdraw` takes
the stand-ins away again, and whatever is imported later gets the standard modules. They go out of the way by themselves
before a module is imported that is not known to do with them. `dataclasses` and `msgspec` have stand-ins of their own.
"""

from __future__ import annotations

import _collections  # type: ignore[import-not-found]
import _collections_abc
import _functools  # type: ignore[import-not-found]
import _signal  # type: ignore[import-not-found]
import _socket
import sys
from types import ModuleType

from sampan.runtime import quick_enum, quick_typing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

_STANDING_IN: dict[str, ModuleType] = {}
_CONTENT_WITH_THEM = frozenset(
    """
    _ctypes _json _socket _stat _struct array atexit contextlib copyreg ctypes errno fcntl gc genericpath itertools
    math mmap os posix posixpath pwd resource sampan select stat struct termios time types
    """.split()
)


class Guard:
    """Asked first for each module that is imported: withdraws the stand-ins when it may want more of them."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        """Find nothing."""
        if name.partition(".")[0] not in _CONTENT_WITH_THEM:
            withdraw()


class _StandIn(ModuleType):
    """A module that has a few names, and all others from the standard module of its name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        withdraw()
        __import__(self.__name__)
        return getattr(sys.modules[self.__name__], name)


class Socket(_socket.socket):
    """A socket that is closed at the end of a `with`."""

    __slots__ = ("__weakref__",)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def accept(self) -> tuple[Socket, Any]:
        """accept(2): the connection and the address of its other end."""
        fd, address = self._accept()  # type: ignore[attr-defined]
        return Socket(self.family, self.type, self.proto, fileno=fd), address


def socketpair(family: int = _socket.AF_UNIX, type: int = _socket.SOCK_STREAM, proto: int = 0) -> tuple[Socket, Socket]:
    """socketpair(2)."""
    one, other = _socket.socketpair(family, type, proto)
    return Socket(fileno=one.detach()), Socket(fileno=other.detach())


def send_fds(sock: Any, buffers: Any, fds: Any, flags: int = 0, address: Any = None) -> int:
    """Send bytes with descriptors (SCM_RIGHTS of unix(7)); what sendmsg(2) answers."""
    numbers = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    sent: int = sock.sendmsg(buffers, [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)], flags, address)
    return sent


def wraps(wrapped: Any) -> Callable[[Any], Any]:
    """A decorator that gives a function the names of another."""

    def take(wrapper: Any) -> Any:
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(wrapper, name, getattr(wrapped, name))
        wrapper.__dict__.update(wrapped.__dict__)
        wrapper.__wrapped__ = wrapped
        return wrapper

    return take


def cache(function: Any) -> Any:
    """The function, which remembers what it answered."""
    remembering = _functools._lru_cache_wrapper(function, None, False, tuple)  # noqa: SLF001, FBT003
    return wraps(function)(remembering)


def install() -> None:
    """Let imports find the stand-ins, unless the standard modules are loaded already."""
    contents: dict[str, dict[str, Any]] = {
        "enum": {name: getattr(quick_enum, name) for name in ("Enum", "IntEnum", "IntFlag")},
        "typing": {
            name: getattr(quick_typing, name)
            for name in ("Any", "NamedTuple", "NoReturn", "Protocol", "Self", "TYPE_CHECKING")
        },
        "collections": {
            "abc": _collections_abc,
            "deque": _collections.deque,
            "defaultdict": _collections.defaultdict,
            "OrderedDict": _collections.OrderedDict,
        },
        "functools": {"cache": cache, "wraps": wraps, "partial": _functools.partial, "reduce": _functools.reduce},
        "signal": vars(_signal),
        "socket": vars(_socket) | {"send_fds": send_fds, "socket": Socket, "socketpair": socketpair},
    }
    for name, names in contents.items():
        if name not in sys.modules:
            module = _STANDING_IN[name] = sys.modules[name] = _StandIn(name)
            vars(module).update({key: value for key, value in names.items() if not key.startswith("__")})
    if "collections.abc" not in sys.modules:  # goes too: until 3.13 only its import names it in collections
        _STANDING_IN["collections.abc"] = sys.modules["collections.abc"] = _collections_abc
    sys.meta_path.insert(0, Guard)


def withdraw() -> None:
    """Let later imports find the standard modules; who has a stand-in keeps it."""
    for name, module in _STANDING_IN.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    _STANDING_IN.clear()
    # a list of its own: an import that asked the guard goes on through the old one, and must miss no finder there
    sys.meta_path = [finder for finder in sys.meta_path if finder is not Guard]
