"""The stand-in for `dataclasses` behaves as the standard module does, as far as this project uses it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sampan
from sampan.runtime import quick_dataclasses

BOTH = pytest.mark.parametrize("module", [dataclasses, quick_dataclasses], ids=["standard", "quick"])
SOURCE = '''
from __future__ import annotations
class Point:
    """A point."""
    x: int
    y: int = 5
    marks: list = field(default_factory=list)
    def sum(self) -> int:
        return self.x + self.y
class Named(Base):
    name: str = "n"
'''


def make(module: ModuleType, **options: Any) -> Any:
    names: dict[str, Any] = {"field": module.field, "Base": object}
    exec(SOURCE, names)
    return module.dataclass(**options)(names["Point"])


@BOTH
@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"slots": True}, {"frozen": True, "slots": True}])
def test_an_instance_takes_its_fields_by_place_and_by_name(module: ModuleType, options: dict[str, bool]) -> None:
    point = make(module, **options)
    assert (point(1).x, point(1).y, point(1).marks) == (1, 5, [])
    assert (point(1, y=2).y, point(x=3, marks=[1]).marks) == (2, [1])
    assert point(1).marks is not point(1).marks
    assert point(1, 2).sum() == 3
    assert repr(point(1)) == "Point(x=1, y=5, marks=[])"
    assert point(1) == point(1, 5)
    assert point(1) != point(2)
    assert point(1) != (1, 5, [])
    assert point.__doc__ == "A point."
    assert point.__match_args__ == ("x", "y", "marks")


def test_what_one_pickles_the_other_reads(tmp_path: Path) -> None:
    plan = (
        "from sampan.runtime.launch_plan import *; import _pickle, sys\n"
        "from sampan.cgroup.limits import *\n"
        "plan = CgroupPlan('/x', Limits(CpuLimits(shares=3), pids_max=64)), MountPlan('/proc', 'proc', 'proc')\n"
    )
    root = sampan.__path__[0].removesuffix("/sampan")
    standard = "import sys; sys.path.insert(0, sys.argv[1])"
    quick = f"{standard}; from sampan.runtime import quick_dataclasses as q; q.install()"
    for number, (writer, reader) in enumerate(((standard, quick), (quick, standard))):
        path = str(tmp_path / str(number))
        write = f"{writer}\n{plan}\nopen(sys.argv[2], 'wb').write(_pickle.dumps(plan, protocol=5))"
        read = f"{reader}\n{plan}\nassert _pickle.loads(open(sys.argv[2], 'rb').read()) == plan"
        for script in (write, read):
            subprocess.run([sys.executable, "-I", "-c", script, root, path], check=True)


@BOTH
@pytest.mark.parametrize("call", [{}, {"x": 1, "z": 2}, {"y": 1}])
def test_a_wrong_call_is_a_type_error(module: ModuleType, call: dict[str, int]) -> None:
    point = make(module, frozen=True, slots=True)
    with pytest.raises(TypeError):
        point(**call)
    with pytest.raises(TypeError):
        point(1, 2, [], 4)
    with pytest.raises(TypeError):
        point(1, x=2)


@BOTH
def test_a_frozen_instance_stays_as_it_is_and_can_be_a_key(module: ModuleType) -> None:
    point = make(module, frozen=True, slots=True)
    one = point(1, 2, ())
    with pytest.raises(AttributeError):
        one.x = 2
    with pytest.raises(AttributeError):
        del one.x
    assert {one: 1}[point(1, 2, ())] == 1


@BOTH
def test_an_open_instance_changes_and_is_no_key(module: ModuleType) -> None:
    point = make(module, slots=True)
    one = point(1)
    one.x = 7
    assert one.x == 7
    with pytest.raises(TypeError):
        hash(one)
    with pytest.raises(AttributeError):
        one.z = 1


@BOTH
def test_instances_are_looked_into_copied_and_flattened(module: ModuleType) -> None:
    point = make(module, frozen=True, slots=True)
    outer = point(point(1), (point(2), 3), {"k": point(4)})
    assert [field.name for field in module.fields(point)] == ["x", "y", "marks"]
    assert module.replace(point(1), y=9) == point(1, 9)
    plain = {"y": 5, "marks": []}
    assert module.asdict(outer) == {
        "x": {"x": 1, **plain},
        "y": ({"x": 2, **plain}, 3),
        "marks": {"k": {"x": 4, **plain}},
    }
    assert module.is_dataclass(point)
    assert not module.is_dataclass(3)
    with pytest.raises(TypeError):
        module.fields(3)


@BOTH
def test_fields_are_inherited(module: ModuleType) -> None:
    names: dict[str, Any] = {"field": module.field}
    exec(SOURCE.replace("class Point", "class Base").split("class Named")[0], names)
    names["Base"] = module.dataclass(frozen=True)(names["Base"])
    exec("from __future__ import annotations\nclass Named" + SOURCE.split("class Named")[1], names)
    named = module.dataclass(frozen=True)(names["Named"])
    assert repr(named(1)) == "Named(x=1, y=5, marks=[], name='n')"


def test_every_class_of_a_start_is_the_same_with_both() -> None:
    script = """
import dataclasses, importlib, json, sys
shown = {}
for name in sys.argv[2:]:
    for attribute, thing in vars(importlib.import_module(name)).items():
        if isinstance(thing, type) and dataclasses.is_dataclass(thing) and thing.__module__ == name:
            fields = [(one.name, repr(one.default) if one.default is not dataclasses.MISSING else "")
                      for one in dataclasses.fields(thing)]
            shown[f"{name}.{attribute}"] = [fields, sorted(thing.__dict__.get("__slots__", ())), thing.__hash__ is None]
print(json.dumps(shown))
"""
    quick = (
        "import sys; sys.path.insert(0, sys.argv[1]); from sampan.runtime import quick_dataclasses as q; q.install()"
    )
    modules = [
        "sampan.runtime.launch_plan",
        "sampan.runtime.launched",
        "sampan.runtime.child",
        "sampan.runtime.state",
        "sampan.runtime.handshake",
        "sampan.cgroup.limits",
        "sampan.cgroup.statistics",
        "sampan.cgroup.host",
        "sampan.cgroup.group",
        "sampan.linux.seccomp_profile",
    ]
    root = sampan.__path__[0].removesuffix("/sampan")
    answers = []
    for first in (quick, "import sys; sys.path.insert(0, sys.argv[1])"):
        command = [sys.executable, "-I", "-c", f"{first}\n{script}", root, *modules]
        answers.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert len(answers[0]) > 40
    assert answers[0] == answers[1]
