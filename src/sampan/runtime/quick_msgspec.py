"""A stand-in for the part of msgspec that reading a bundle takes, for a command that lives for 30 ms.

Importing msgspec and making its decoders for a specification takes 20 ms. Here the same struct classes (`sampan.oci`)
are made without work, and a document is checked against their annotations as it is read. What is accepted, what is
refused and where the fault is said to be are the same; a test holds both against each other. The daemon uses msgspec.
"""

from __future__ import annotations

import sys
from types import GenericAlias, ModuleType, UnionType

from sampan.runtime.json_text import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MISSING: Any = object()
_WORDS = {str: "str", int: "int", bool: "bool", float: "float", list: "array", dict: "object", type(None): "null"}


class DecodeError(Exception):
    """It is no JSON."""


class ValidationError(DecodeError):
    """It is JSON of another shape; the message ends with the place."""


class _Field:
    __slots__ = ("default", "name")

    def __init__(self, default: Any, name: str) -> None:
        self.default = default
        self.name = name


def field(*, default: Any = _MISSING, name: str = "") -> Any:
    """A field with a name of its own in the document."""
    return _Field(default, name)


class Struct:
    """The base of the struct classes; `rename` is None, "camel" or "pascal", the other options change nothing here."""

    __struct_fields__: tuple[str, ...] = ()
    __quick_names__: dict[str, str] = {}  # noqa: RUF012 -- replaced for each class: field -> name in the document
    __quick_defaults__: dict[str, Any] = {}  # noqa: RUF012 -- replaced for each class

    def __init_subclass__(cls, *, rename: str | None = None, **_options: object) -> None:
        names, defaults = dict(cls.__quick_names__), dict(cls.__quick_defaults__)
        for attribute in cls.__annotations__:
            given = cls.__dict__.get(attribute, _MISSING)
            own = given.name if isinstance(given, _Field) else ""
            default = given.default if isinstance(given, _Field) else given
            names[attribute] = own or _renamed(attribute, rename)
            if default is not _MISSING:
                defaults[attribute] = default
            if given is not _MISSING:
                delattr(cls, attribute)
        cls.__quick_names__, cls.__quick_defaults__ = names, defaults
        cls.__struct_fields__ = tuple(names)

    def __init__(self, **values: Any) -> None:
        attributes = self.__dict__
        defaults = self.__quick_defaults__
        for name in self.__struct_fields__:
            if name in values:
                attributes[name] = values.pop(name)
            elif name in defaults:
                attributes[name] = defaults[name]
            else:
                raise TypeError(f"Missing required argument {name!r}")
        if values:
            raise TypeError(f"Unexpected keyword argument {next(iter(values))!r}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"immutable type: {type(self).__name__!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def _renamed(attribute: str, rename: str | None) -> str:
    if rename is None:
        return attribute
    first, *rest = attribute.split("_")
    head = first.capitalize() if rename == "pascal" else first
    return head + "".join(word.capitalize() for word in rest)


def replace(struct: Struct, /, **changes: Any) -> Struct:
    """A copy with other values in some fields."""
    return type(struct)(**(struct.__dict__ | changes))


def decode(content: bytes, *, type: type = object) -> Any:
    """The document in `content` as a `type`. Raises DecodeError, ValidationError, UnicodeDecodeError."""
    try:
        value = loads(content)
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise DecodeError(f"JSON is malformed: {error}") from None
    return convert(value, type)


def convert(value: Any, type: Any) -> Any:
    """A plain value as a `type`. Raises ValidationError."""
    return _convert(value, type, "$")


def _convert(value: Any, wanted: Any, place: str) -> Any:
    if wanted in _PLAIN:
        if type(value) is not wanted:
            raise _mismatch(wanted, value, place)
        return value
    if isinstance(wanted, GenericAlias):
        return _convert_many(value, wanted, place)
    if isinstance(wanted, UnionType):
        inner = next(one for one in wanted.__args__ if one is not type(None))
        if value is None:
            return None
        try:
            return _convert(value, inner, place)
        except ValidationError as error:
            raise ValidationError(_or_null(str(error), place)) from None
    if wanted is object:
        return value
    return _convert_struct(value, wanted, place)


_PLAIN = frozenset({str, int, bool})


def _convert_many(value: Any, wanted: GenericAlias, place: str) -> Any:
    inner = wanted.__args__[-1] if wanted.__origin__ is dict else wanted.__args__[0]
    if wanted.__origin__ is dict:
        if not isinstance(value, dict):
            raise _mismatch(dict, value, place)
        return {key: _convert(item, inner, f"{place}[...]") for key, item in value.items()}
    if not isinstance(value, (list, tuple)):
        raise _mismatch(list, value, place)
    if inner in _PLAIN and all(type(item) is inner for item in value):
        return tuple(value)
    return tuple([_convert(item, inner, f"{place}[{index}]") for index, item in enumerate(value)])


def _convert_struct(value: Any, wanted: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise _mismatch(dict, value, place)
    types = _types_of(wanted)
    found = {}
    for attribute, name in wanted.__quick_names__.items():
        if name in value:
            found[attribute] = _convert(value[name], types[attribute], f"{place}.{name}")
        elif attribute not in wanted.__quick_defaults__:
            at = "" if place == "$" else f" - at `{place}`"
            raise ValidationError(f"Object missing required field `{name}`{at}")
    return wanted(**found)


_TYPES: dict[type, dict[str, Any]] = {}


def _types_of(struct: type) -> dict[str, Any]:
    """The annotations as types, worked out when the first document needs them."""
    types = _TYPES.get(struct)
    if types is None:
        names = vars(sys.modules[struct.__module__])
        own = {
            attribute: eval(annotation, names) if isinstance(annotation, str) else annotation  # noqa: S307 -- our own
            for attribute, annotation in struct.__annotations__.items()
        }
        types = _TYPES[struct] = own
    return types


def _mismatch(wanted: type, value: object, place: str) -> ValidationError:
    at = "" if place == "$" else f" - at `{place}`"
    return ValidationError(f"Expected `{_WORDS[wanted]}`, got `{_WORDS.get(type(value), 'object')}`{at}")


def _or_null(sentence: str, place: str) -> str:
    """The same refusal, which null would have escaped; one further down is left as it is."""
    at = f" - at `{place}`"
    return sentence.replace("`, got", " | null`, got", 1) if sentence.endswith(at) else sentence


def install() -> None:
    """Let `import msgspec` find this, unless msgspec is loaded already."""
    if "msgspec" in sys.modules:
        return
    module, json, structs = ModuleType("msgspec"), ModuleType("msgspec.json"), ModuleType("msgspec.structs")
    contents: dict[str, Callable[..., Any] | ModuleType] = {
        "DecodeError": DecodeError,
        "Struct": Struct,
        "ValidationError": ValidationError,
        "convert": convert,
        "field": field,
        "json": json,
        "structs": structs,
    }
    for name, thing in contents.items():
        setattr(module, name, thing)
    json.decode = decode  # type: ignore[attr-defined]
    structs.replace = replace  # type: ignore[attr-defined]
    sys.modules["msgspec"] = module
