"""In interpreters of their own: a settled heap is for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sampan.monitor import heap

PRELUDE = """
import ctypes, gc, os, sys
from sampan.monitor import heap
def count(of): return ctypes.c_uint32.from_address(id(of)).value
"""


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", PRELUDE + script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_was_there_is_never_counted_again_and_what_comes_later_is() -> None:
    script = """
class Thing: pass
def function(): return "a constant of the code", 12345678901234567890
before = [Thing(), function, {"key": ["inner"]}]
heap.settle()
def unmoved(of):
    kept = count(of)
    more = [of] * 50
    return count(of) == kept
assert all(map(unmoved, [before, *before, before[2]["key"], "inner", function.__code__, function()[0], function()[1]]))
later = Thing()
assert not unmoved(later)
print(sum(each is later for each in gc.get_objects()), any(each is before for each in gc.get_objects()))
sys.stdout.flush()
os._exit(0)
"""
    assert run(script) == "1 False"


def test_gathered_code_does_what_it_did() -> None:
    script = """
def add(first, *rest, factor=2):
    def inner(value): return value * factor if value else 0
    return sum(map(inner, (first, *rest)))
old = add.__code__
heap.gather_code(lambda: add(1, 3))
assert add.__code__ is not old
print(add(1, 2, 3, factor=10), add.__code__ == old)
"""
    assert run(script) == "60 True"


def test_this_interpreter_is_one_whose_objects_can_be_immortal() -> None:
    if sys.implementation.name != "cpython" or sys.version_info[:2] > (3, 14):
        pytest.skip("not known how this interpreter counts")
    assert heap._can_be_immortal()
