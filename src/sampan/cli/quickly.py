"""Modules that only some builds and copies need, imported with stand-ins for slow modules of the standard library."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def load(name: str) -> ModuleType:
    """The module of this name. What is imported later gets the standard modules."""
    if name not in sys.modules and "dataclasses" not in sys.modules:
        from sampan.runtime import quick_dataclasses, quick_modules

        __import__("zlib")  # at its import the stand-ins would give way
        quick_modules.install()
        quick_dataclasses.install()
        try:
            __import__(name)
        finally:
            quick_modules.withdraw()
            del sys.modules["dataclasses"]
    __import__(name)
    return sys.modules[name]
