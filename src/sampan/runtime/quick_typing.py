"""A stand-in for the part of the standard library's `typing` that exists when a program runs, for one that lives 30 ms.

Annotations are never looked at here, so most names stand for nothing; named tuples are made without compiling source.
A test holds them against the standard ones.
"""

from __future__ import annotations

from _collections import _tuplegetter  # type: ignore[import-not-found]

TYPE_CHECKING = False


class Any:
    """Stands in annotations."""


class NoReturn:
    """Stands in annotations."""


class Self:
    """Stands in annotations."""


class Protocol:
    """The base of classes that say only what others have."""

    __slots__ = ()


class _NamedTupleType(type):
    """Makes of a class body with annotations a tuple with names."""

    def __new__(cls, name: str, _bases: tuple[type, ...], namespace: dict[str, object]) -> type:
        fields: tuple[str, ...] = tuple(namespace.get("__annotations__", ()))  # type: ignore[arg-type]
        defaults = {field: namespace.pop(field) for field in fields if field in namespace}
        for place, field in enumerate(fields):
            namespace[field] = _tuplegetter(place, "")
        return type(
            name,
            (_Tuple,),
            namespace | {"__slots__": (), "_fields": fields, "__match_args__": fields, "_field_defaults": defaults},
        )


class _Tuple(tuple[object, ...]):
    """What named tuples can do."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _field_defaults: dict[str, object] = {}  # noqa: RUF012 -- replaced for each class

    def __new__(cls, *values: object, **named: object) -> _Tuple:  # noqa: PYI034 -- Self is a stand-in here
        fields = cls._fields
        if len(values) == len(fields) and not named:
            return tuple.__new__(cls, values)
        rest = fields[len(values) :]
        given = cls._field_defaults | named
        missing = [field for field in rest if field not in given]
        if missing or len(values) > len(fields) or not named.keys() <= set(rest):
            raise TypeError(f"{cls.__name__}() takes {', '.join(fields)}; given were {values} and {named}")
        return tuple.__new__(cls, (*values, *[given[field] for field in rest]))

    @classmethod
    def _make(cls, values: object) -> _Tuple:
        return cls(*values)  # type: ignore[misc]

    def _replace(self, **changes: object) -> _Tuple:
        return type(self)(**(self._asdict() | changes))

    def _asdict(self) -> dict[str, object]:
        return dict(zip(self._fields, self, strict=True))

    def __getnewargs__(self) -> tuple[object, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"


class _NamedTuple:
    """What stands among the bases of a class that is to be a named tuple."""

    def __mro_entries__(self, _bases: tuple[object, ...]) -> tuple[type, ...]:
        return (_ROOT,)


_ROOT = type.__new__(_NamedTupleType, "NamedTuple", (), {})
NamedTuple = _NamedTuple()
