"""The containers of tests/runtime for tests that try to break out of them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).parents[2] / "runtime" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("sampan_runtime_tests", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _MODULE
_SPEC.loader.exec_module(_MODULE)

applets = _MODULE.applets
boat = _MODULE.boat
busybox = _MODULE.busybox
