"""A stand-in for the standard library's `enum`, for a command that lives for 30 ms.

Making the classes of a start takes 4 ms with the standard module, for each member is looked at from many sides. Here a
member is an object with a name and a value. As far as this project uses it the behaviour is the same, but for one
thing: what operators make of flags is a plain number. A test holds both against each other.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class EnumType(type):
    """The type of the classes: makes the members when a class is made, and finds them."""

    _by_name: dict[str, Any]
    _by_value: dict[Any, Any]

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> EnumType:
        """The class, with a member for each plain value in its body."""
        values = {key: value for key, value in namespace.items() if _is_member(key, value)}
        made = super().__new__(cls, name, bases, {key: namespace[key] for key in namespace if key not in values})
        made._by_name, made._by_value = {}, {}
        for key, value in values.items():
            member = made._by_value.get(value)
            if member is None:
                member = made._by_value[value] = made._member(key, value)
            made._by_name[key] = member
            setattr(made, key, member)
        return made

    def _member(cls, name: str | None, value: Any) -> Any:
        member: Any = int.__new__(cls, value) if issubclass(cls, int) else object.__new__(cls)
        member.name, member.value = name, value
        return member

    def __call__(cls, value: Any) -> Any:
        """The member with that value; of flags also a combination. ValueError when there is none."""
        found = cls._by_value.get(value)
        if found is not None:
            return found
        if issubclass(cls, IntFlag) and isinstance(value, int):
            return cls._member(None, value)
        raise ValueError(f"{value!r} is not a valid {cls.__qualname__}")

    def __getitem__(cls, name: str) -> Any:
        return cls._by_name[name]

    def __iter__(cls) -> Iterator[Any]:
        """The members in their order; of flags those of a single bit."""
        members = cls._by_value.values()
        if issubclass(cls, IntFlag):
            return iter([member for member in members if member and not member & (member - 1)])
        return iter(members)

    def __len__(cls) -> int:
        return sum(1 for _ in cls)

    def __contains__(cls, value: object) -> bool:
        return value in cls._by_value or value in cls._by_value.values()

    @property
    def __members__(cls) -> dict[str, Any]:
        """All names, those of aliases as well."""
        return dict(cls._by_name)


def _is_member(key: str, value: object) -> bool:
    return not key.startswith("_") and not hasattr(type(value), "__get__")


class Enum(metaclass=EnumType):
    """Members that are equal to nothing but themselves."""

    name: str
    value: Any

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __format__(self, form: str) -> str:
        return format(str(self), form)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value,)

    def __copy__(self) -> Enum:
        return self

    def __deepcopy__(self, _memo: object) -> Enum:
        return self


class IntEnum(int, Enum):
    """Members that are numbers."""

    __repr__ = Enum.__repr__
    __str__ = int.__repr__
    __format__ = int.__format__  # type: ignore[assignment]


class IntFlag(int, Enum):
    """Members that are bits; operators give plain numbers."""

    __repr__ = Enum.__repr__
    __str__ = int.__repr__
    __format__ = int.__format__  # type: ignore[assignment]
