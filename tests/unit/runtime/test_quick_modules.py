"""The stand-ins for modules of the standard library behave as those do, as far as this project uses them."""

from __future__ import annotations

import enum
import functools
import socket
import subprocess
import sys
import typing
from types import ModuleType
from typing import Any

import pytest

import sampan
from sampan.runtime import quick_enum, quick_modules, quick_typing
from sampan.runtime.commands.line import VERBS

ENUMS = pytest.mark.parametrize("module", [enum, quick_enum], ids=["standard", "quick"])
TYPINGS = pytest.mark.parametrize("module", [typing, quick_typing], ids=["standard", "quick"])
CLASSES = '''
class Kind(Enum):
    """A kind."""
    ONE = (1, 2)
    TWO = (3, 4)
    @property
    def first(self):
        return self.value[0]
class Number(IntEnum):
    ONE = 1
    FIRST = 1
    TWO = 2
class Bit(IntFlag):
    NONE = 0
    A = 1
    B = 2
    BOTH = 3
    C = 4
'''
TUPLES = '''
class Line(NamedTuple):
    """A line."""
    name: str
    number: int = 5
    @property
    def both(self):
        return f"{self.name}{self.number}"
'''
START = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from sampan.runtime import quick_dataclasses, quick_modules, quick_msgspec\n"
    "quick_modules.install(); quick_dataclasses.install(); quick_msgspec.install()\n"
)
ROOT = sampan.__path__[0].removesuffix("/sampan")


def made(module: ModuleType, source: str) -> dict[str, Any]:
    names: dict[str, Any] = dict(vars(module), __name__="made")
    exec(source, names)
    return names


def in_a_new_interpreter(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", START + script, ROOT], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@ENUMS
def test_members_are_found_by_value_and_by_name(module: ModuleType) -> None:
    names = made(module, CLASSES)
    kind, number, bit = names["Kind"], names["Number"], names["Bit"]
    assert (kind.ONE.name, kind.ONE.value, kind.TWO.first) == ("ONE", (1, 2), 3)
    assert kind((3, 4)) is kind.TWO is kind["TWO"]
    assert kind.ONE != (1, 2)
    assert number(1) is number.ONE is number.FIRST
    assert list(kind) == [kind.ONE, kind.TWO]
    assert list(number) == [1, 2]
    assert list(bit) == [1, 2, 4]
    assert (len(kind), len(number), len(bit)) == (2, 2, 3)
    assert list(number.__members__) == ["ONE", "FIRST", "TWO"]
    assert number.ONE in number
    assert bit(5) == 5
    with pytest.raises(ValueError, match="9 is not a valid Number"):
        number(9)
    with pytest.raises(KeyError):
        kind["THREE"]


@ENUMS
def test_members_are_written_and_hashed_alike(module: ModuleType) -> None:
    names = made(module, CLASSES)
    kind, number, bit = names["Kind"], names["Number"], names["Bit"]
    assert (str(kind.ONE), f"{kind.ONE}", repr(kind.ONE)) == ("Kind.ONE", "Kind.ONE", "<Kind.ONE: (1, 2)>")
    assert (str(number.TWO), f"{number.TWO:03}", repr(number.TWO)) == ("2", "002", "<Number.TWO: 2>")
    assert (str(bit.B), f"{bit.B:#x}") == ("2", "0x2")
    assert {kind.ONE: 1, number.TWO: 2}[kind.ONE] == 1
    assert {number.TWO: 2}[2] == 2
    assert kind.__doc__ == "A kind."


@ENUMS
def test_flags_are_put_together_and_taken_apart(module: ModuleType) -> None:
    bit = made(module, CLASSES)["Bit"]
    assert bit.A | bit.C == 5
    assert (bit.A | bit.B) & ~bit.B == 1
    assert 7 & ~bit.B == 5
    assert bit.BOTH & bit.B
    assert not bit.A & bit.B
    assert bit.A ^ bit.BOTH == 2


def test_every_class_of_a_start_has_the_same_members_with_either_module() -> None:
    script = """
import sampan.runtime.commands.run
for name, module in sorted(sys.modules.items()):
    for key, thing in sorted(vars(module).items()):
        is_ours = name.startswith("sampan.") and getattr(thing, "__module__", "") == name
        if is_ours and isinstance(getattr(thing, "__members__", None), (dict, type(vars(str)))):
            print(name, key, [(one, int(member) if isinstance(member, int) else member.value)
                              for one, member in thing.__members__.items()], [member.name for member in thing])
"""
    quick = in_a_new_interpreter(script)
    standard = in_a_new_interpreter("quick_modules.withdraw()\n" + script)
    assert "MountFlag" in quick
    assert quick == standard


@TYPINGS
def test_a_tuple_has_names(module: ModuleType) -> None:
    line = made(module, TUPLES)["Line"]
    one = line("a")
    assert one == ("a", 5) == line(name="a") == line("a", number=5) == line._make(["a", 5])
    assert (one.name, one.number, one.both, one[1], len(one)) == ("a", 5, "a5", 5, 2)
    assert repr(one) == "Line(name='a', number=5)"
    assert one._replace(number=6) == ("a", 6)
    assert one._asdict() == {"name": "a", "number": 5}
    assert line._fields == line.__match_args__ == ("name", "number")
    assert line.__doc__ == "A line."
    with pytest.raises(AttributeError):
        one.name = "b"
    for values, named in (((), {}), (("a", 1, 2), {}), (("a",), {"name": "b"}), (("a",), {"other": 1})):
        with pytest.raises(TypeError):
            line(*values, **named)


def test_sockets_close_after_use_and_pass_descriptors_on() -> None:
    one, other = quick_modules.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with one, other:
        quick_modules.send_fds(one, [b"x"], [one.fileno()])
        content, descriptors, _, _ = socket.recv_fds(other, 10, 5)  # type: ignore[arg-type]
        assert (content, len(descriptors)) == (b"x", 1)
        socket.close(descriptors[0])
    assert one.fileno() == other.fileno() == -1
    with quick_modules.Socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind("")  # a name that the kernel gives
        server.listen()
        with quick_modules.Socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(server.getsockname())
            with server.accept()[0] as accepted:
                accepted.sendall(b"hello")
                assert client.recv(5, socket.MSG_WAITALL) == b"hello"


@pytest.mark.parametrize("cache", [functools.cache, quick_modules.cache], ids=["standard", "quick"])
def test_an_answer_is_remembered(cache: Any) -> None:
    calls = []

    @cache  # type: ignore[untyped-decorator]
    def answer(number: int) -> int:
        """Say it again."""
        calls.append(number)
        return number

    assert (answer(1), answer(1), answer(2)) == (1, 1, 2)
    assert calls == [1, 2]
    assert (answer.__name__, answer.__doc__) == ("answer", "Say it again.")
    answer.cache_clear()
    assert answer(1) == 1
    assert calls == [1, 2, 1]


@pytest.mark.parametrize("module", ["subprocess", "re", "json", "argparse", "asyncio"])
def test_a_library_that_wants_more_gets_the_standard_modules(module: str) -> None:
    in_a_new_interpreter(f"import {module}, enum, signal, socket; enum.global_enum; signal.Signals; socket.gaierror")


def test_another_name_of_a_stand_in_is_the_standard_modules_own() -> None:
    in_a_new_interpreter("import signal, enum\nassert signal.Signals(9).name == 'SIGKILL'\nenum.KEEP")
    with pytest.raises(AssertionError, match="has no attribute 'nothing'"):
        in_a_new_interpreter("import signal; signal.nothing")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_is_imported_with_the_stand_ins(verb: str) -> None:
    in_a_new_interpreter(f"import sampan.runtime.commands.{VERBS[verb][0]}")


@pytest.mark.parametrize("verb", ["create", "delete", "exec", "kill", "run", "start", "state"])
def test_the_verbs_of_a_containers_life_import_nothing_slow(verb: str) -> None:
    loaded = in_a_new_interpreter(
        f"import sampan.runtime.commands.{VERBS[verb][0]}\n"
        "for name in ('enum', 'typing', 'socket', 'signal', 'collections', 'functools', 'inspect', 're'):\n"
        "    module = sys.modules.get(name)\n"
        "    if hasattr(module, '__file__'): print(name)"
    )
    assert loaded == ""


def test_a_builtin_module_is_found_by_the_import_that_makes_the_stand_ins_give_way() -> None:
    builtin = next(name for name in sorted(sys.builtin_module_names) if name in {"zlib", "_symtable", "_tracemalloc"})
    program = f"{START}import {builtin}, collections; print(collections.Counter)"
    subprocess.run([sys.executable, "-I", "-S", "-c", program, ROOT], check=True, capture_output=True)
