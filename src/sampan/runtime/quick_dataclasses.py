"""A stand-in for the standard library's `dataclasses`, for a command that lives for 30 ms.

Importing `dataclasses` brings `inspect` and `ast`, and every decorated class is compiled from generated source: 45 ms
for the classes of a start. Here a class gets methods that loop over its fields, which costs next to nothing to make.
The behaviour is that of the standard module as far as this project uses it; a test holds both against each other.
Everything that lives longer uses the standard module.
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MISSING: Any = object()
_FIELDS = "__dataclass_fields__"


class FrozenInstanceError(AttributeError):
    """A field of a frozen instance was to be changed."""


class Field:
    """What is known of a field: `default` or `default_factory` is MISSING when it has none."""

    __slots__ = ("default", "default_factory", "name", "repr")

    def __init__(self, default: Any = MISSING, default_factory: Any = MISSING, *, repr: bool = True) -> None:
        self.name = ""
        self.default = default
        self.default_factory = default_factory
        self.repr = repr


def field(*, default: Any = MISSING, default_factory: Any = MISSING, repr: bool = True) -> Any:
    """A field whose default is made anew for each instance."""
    return Field(default, default_factory, repr=repr)


def dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False) -> Any:
    """The decorator, bare or with options; those that this project does not use are a TypeError."""
    if cls is None:
        return lambda later: _make(later, frozen=frozen, slots=slots)
    return _make(cls, frozen=frozen, slots=slots)


def fields(thing: Any) -> tuple[Field, ...]:
    """The fields of a class or an instance, in their order. TypeError when it is no data class."""
    try:
        found: dict[str, Field] = getattr(thing, _FIELDS)
    except AttributeError:
        raise TypeError("must be called with a dataclass type or instance") from None
    return tuple(found.values())


def is_dataclass(thing: Any) -> bool:
    """Whether it is a data class or an instance of one."""
    return hasattr(thing, _FIELDS)


def replace(thing: Any, /, **changes: Any) -> Any:
    """A copy with other values in some fields."""
    for one in fields(thing):
        changes.setdefault(one.name, getattr(thing, one.name))
    return type(thing)(**changes)


def asdict(thing: Any) -> dict[str, Any]:
    """The fields as a dict, those of fields too; also inside of lists, tuples and dicts."""
    return {one.name: _plain(getattr(thing, one.name)) for one in fields(thing)}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _make(cls: type, *, frozen: bool, slots: bool) -> type:
    inherited: dict[str, Field] = getattr(cls, _FIELDS, {})
    own = _own_fields(cls)
    found = inherited | own
    methods = _methods(found, frozen=frozen)
    namespace = {name: value for name, value in cls.__dict__.items() if name not in {"__dict__", "__weakref__"}}
    for name, one in own.items():
        namespace.pop(name, None)
        if one.default is not MISSING and not slots:
            namespace[name] = one.default
    for name, method in methods.items():
        namespace.setdefault(name, method)
    if frozen:
        namespace |= {"__setattr__": methods["__setattr__"], "__delattr__": methods["__delattr__"]}
    if namespace.get("__hash__") is None:
        namespace["__hash__"] = methods["__hash__"]
    namespace[_FIELDS] = found
    namespace.setdefault("__match_args__", tuple(found))
    if frozen and slots:
        namespace |= {"__getstate__": methods["__getstate__"], "__setstate__": methods["__setstate__"]}
    if slots:
        namespace["__slots__"] = tuple(name for name in own if name not in inherited)
    made = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    return made


def _own_fields(cls: type) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for name, annotation in cls.__annotations__.items():
        if str(annotation).startswith(("ClassVar", "typing.ClassVar")):
            continue
        value = cls.__dict__.get(name, MISSING)
        one = value if isinstance(value, Field) else Field(value)
        one.name = name
        found[name] = one
    return found


def _methods(found: dict[str, Field], *, frozen: bool) -> dict[str, Any]:
    names = tuple(found)

    def key(self: Any) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in names])

    def eq(self: Any, other: object) -> Any:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def represent(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names if found[name].repr)
        return f"{self.__class__.__qualname__}({shown})"

    methods: dict[str, Any] = {
        "__init__": _initializer(found, names),
        "__eq__": eq,
        "__repr__": represent,
        "__hash__": None,
    }
    if frozen:
        methods["__hash__"] = lambda self: hash(key(self))
        methods |= {"__setattr__": _refuse_assignment, "__delattr__": _refuse_deletion}
        methods |= _pickling(names)
    return methods


def _pickling(names: tuple[str, ...]) -> dict[str, Any]:
    """The state of a frozen class with slots, as the standard module has it: either may read what the other wrote."""
    assign = object.__setattr__

    def getstate(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def setstate(self: Any, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            assign(self, name, value)

    return {"__getstate__": getstate, "__setstate__": setstate}


def _initializer(found: dict[str, Field], names: tuple[str, ...]) -> Callable[..., None]:
    assign = object.__setattr__

    def init(self: Any, *values: Any, **named: Any) -> None:
        if len(values) > len(names):
            raise TypeError(
                f"{type(self).__name__}() takes {len(names)} positional arguments, {len(values)} were given"
            )
        for name, value in zip(names, values, strict=False):
            if name in named:
                raise TypeError(f"{type(self).__name__}() got multiple values for argument {name!r}")
            assign(self, name, value)
        for name in names[len(values) :]:
            assign(self, name, named.pop(name) if name in named else _default(self, found[name]))
        if named:
            raise TypeError(f"{type(self).__name__}() got an unexpected argument {next(iter(named))!r}")
        then = getattr(self, "__post_init__", None)
        if then is not None:
            then()

    return init


def _default(thing: Any, one: Field) -> Any:
    if one.default is not MISSING:
        return one.default
    if one.default_factory is not MISSING:
        return one.default_factory()
    raise TypeError(f"{type(thing).__name__}() is missing the argument {one.name!r}")


def _refuse_assignment(_self: Any, name: str, _value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def install() -> None:
    """Let `import dataclasses` find this, unless the standard module is loaded already."""
    if "dataclasses" in sys.modules:
        return
    module = ModuleType("dataclasses")
    for name in ("MISSING", "Field", "FrozenInstanceError", "asdict", "dataclass", "field", "fields", "is_dataclass"):
        setattr(module, name, globals()[name])
    module.replace = replace  # type: ignore[attr-defined]
    sys.modules["dataclasses"] = module
