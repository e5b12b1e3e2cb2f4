"""aiohttp of which an idle daemon has just what it serves with: the rest is imported when somebody names it.

`import aiohttp` brings in its client, and `aiohttp.web` its applications, routes and command line: 8 MB and 60 ms of
which a daemon needs nothing until it talks to a registry. `install` puts packages without content in their place. What
is asked of one comes from the modules below it that have it, else the real package is executed into it, once; from then
on it is the real one. Whoever imports aiohttp in the usual way notices nothing.
"""

from __future__ import annotations

import importlib
import re
import sys
import threading
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)
_LIGHT = {
    "aiohttp": {"HttpVersion10": "http_writer", "HttpVersion11": "http_writer"},
    "aiohttp.web": {
        "BaseRequest": "web_request",
        "Response": "web_response",
        "Server": "web_server",
        "StreamResponse": "web_response",
        "WebSocketResponse": "web_ws",
    },
}
_lock = threading.RLock()
_becoming: set[str] = set()  # packages that are being executed


class _Late(ModuleType):
    """A package that has not been executed yet."""

    def __getattr__(self, name: str) -> Any:
        """Find the name, or become what this stands for. Raises AttributeError."""
        with _lock:
            if name in self.__dict__:  # somebody else's thread has waited less
                return self.__dict__[name]
            place = _LIGHT[self.__name__].get(name)
            if place is not None:
                found = getattr(importlib.import_module(f"aiohttp.{place}"), name)
                setattr(self, name, found)
                return found
            spec = self.__spec__
            if name.startswith("__") or spec is None or spec.loader is None:
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
            if spec.submodule_search_locations and find_spec(f"{spec.name}.{name}") is not None:
                return importlib.import_module(f"{spec.name}.{name}")
            if self.__name__ in _becoming:  # by this very thread: others wait
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} yet")
            _becoming.add(self.__name__)
            try:
                spec.loader.exec_module(self)
            finally:
                _becoming.discard(self.__name__)
            self.__class__ = ModuleType  # type: ignore[assignment]  # it is one now
            return getattr(self, name)


def install() -> None:
    """Do so, when nobody has imported aiohttp yet and it is such a one as is known here."""
    if "aiohttp" in sys.modules:
        return
    spec = find_spec("aiohttp")
    version = _version(spec) if spec is not None else None
    if spec is None or version is None:
        return
    top = _late(spec)
    top.__path__ = list(spec.submodule_search_locations or ())
    top.__dict__["__version__"] = version
    web = find_spec("aiohttp.web")
    if web is not None:
        top.__dict__["web"] = _late(web)


def _version(spec: ModuleSpec) -> str | None:
    try:
        with open(spec.origin or "", encoding="utf-8") as file:
            found = _VERSION.search(file.read(4096))
    except OSError:
        return None
    return found[1] if found else None


def _late(spec: ModuleSpec) -> ModuleType:
    module = _Late(spec.name)
    module.__spec__, module.__file__, module.__loader__ = spec, spec.origin, spec.loader
    module.__package__ = spec.parent
    sys.modules[spec.name] = module
    return module
