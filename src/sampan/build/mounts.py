"""RUN --mount: from its comma-separated text to a Mount, with the refusals of Docker's reference.

Values may hold variables (all but from=), so a mount is read when its variables are known; what holds none is read
while parsing, to refuse it early.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sampan.build.durations import size_in_bytes
from sampan.build.instructions import Mount, MountType, MountWord, Position, Sharing
from sampan.build.suggestions import meant

_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_KEYS = frozenset(
    "type from source target readonly readwrite required size id sharing mode uid gid env".split() + list(_ALIASES)
)
_SWITCHES = frozenset({"readonly", "readwrite", "required"})
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_OWNED = frozenset({MountType.CACHE, MountType.SECRET, MountType.SSH})
_BASES = {"mode": 8, "uid": 10, "gid": 10}
_LARGEST_ID = 0xFFFFFFFF


def mount_word(text: str, where: Position) -> MountWord:
    """A --mount as written, its from= known and, without variables, all of it judged. Raises InvalidArgument."""
    origin = ""
    for name, value in _fields(text, where):
        if name == "from":
            origin = value or ""
            if "$" in origin[:-1]:
                raise where.refusal(
                    f"from={origin} of --mount takes no variables",
                    remedy=f"name it as a stage: `FROM {origin} AS base`, and write from=base",
                )
    word = MountWord(text, origin)
    if "$" not in text:
        read_mount(word, lambda value: value, where)
    return word


def read_mount(word: MountWord, expand: Callable[[str], str], where: Position) -> Mount:
    """The mount with its values expanded. Raises InvalidArgument."""
    return _Reader(word.text, expand, where).read()


def _fields(text: str, where: Position) -> list[tuple[str, str | None]]:
    """Names and values of a line of CSV; a field, or the part behind its equals sign, may be quoted."""
    fields: list[tuple[str, str | None]] = []
    for part in _split(text, where):
        name, equals, value = part.partition("=")
        fields.append((name.strip().lower(), value if equals else None))
    return fields


def _split(text: str, where: Position) -> list[str]:
    parts: list[str] = []
    part: list[str] = []
    quoted = False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append("".join(part))
            part = []
        else:
            part.append(character)
    if quoted:
        raise where.refusal(f"a quote in --mount={text} is not closed", remedy="close it, or leave the quotes out")
    return [*parts, "".join(part)]


@dataclass(slots=True)
class _Reader:
    text: str
    expand: Callable[[str], str]
    where: Position
    given: dict[str, str] = field(default_factory=dict)

    def read(self) -> Mount:
        for name, value in _fields(self.text, self.where):
            self._take(name, value)
        kind = self._choice("type", MountType, MountType.BIND)
        self._check(kind)
        return Mount(
            type=kind,
            origin=self.given.get("from", ""),
            source=self.given.get("source", ""),
            target=self.given.get("target", ""),
            read_only=self._read_only(kind),
            size_bytes=self._size(),
            id=self.given.get("id", ""),
            sharing=self._choice("sharing", Sharing, Sharing.SHARED),
            required=self._switch("required"),
            environment=self.given.get("env"),
            mode=self._number("mode"),
            uid=self._number("uid"),
            gid=self._number("gid"),
        )

    def _take(self, written: str, value: str | None) -> None:
        name = _ALIASES.get(written, written)
        if name not in _KEYS:
            raise self.where.refusal(f"unexpected key {written!r} in --mount={self.text}", remedy=meant(written, _KEYS))
        if value is None and name not in _SWITCHES:
            raise self.where.refusal(
                f"{written!r} in --mount={self.text} has no value", remedy=f"write {written}=VALUE"
            )
        if name == "from":
            self.given[name] = value or ""
            return
        expanded = "true" if value is None else self.expand(value)
        if name == "readwrite":
            name, expanded = "readonly", str(not self._is_true(written, expanded)).lower()
        self.given[name] = expanded

    def _is_true(self, name: str, value: str) -> bool:
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise self.where.refusal(f"invalid value for {name}: {value!r}", remedy="write true or false")

    def _switch(self, name: str) -> bool:
        return name in self.given and self._is_true(name, self.given[name])

    def _read_only(self, kind: MountType) -> bool:
        if "readonly" in self.given:
            return self._switch("readonly")
        return kind not in {MountType.CACHE, MountType.TMPFS}

    def _choice[Choice: (MountType, Sharing)](self, name: str, choices: type[Choice], default: Choice) -> Choice:
        text = self.given.get(name)
        if text is None:
            return default
        try:
            return choices(text.lower())
        except ValueError:
            raise self.where.refusal(
                f"unsupported {name} {text!r} of --mount", remedy=meant(text, [choice.value for choice in choices])
            ) from None

    def _size(self) -> int:
        text = self.given.get("size")
        if text is None:
            return 0
        try:
            return size_in_bytes(text)
        except ValueError:
            raise self.where.refusal(f"invalid value for size: {text!r}", remedy="write it as in 64m or 1g") from None

    def _number(self, name: str) -> int | None:
        text = self.given.get(name)
        if text is None:
            return None
        try:
            number = int(text, _BASES[name]) if text.isascii() and text.isalnum() and len(text) < 20 else -1
        except ValueError:
            number = -1
        if not 0 <= number <= _LARGEST_ID:
            shown = "an octal number, as in 0755" if name == "mode" else "a number, not a name"
            raise self.where.refusal(f"invalid value for {name}: {text!r}", remedy=f"write {shown}")
        return number

    def _check(self, kind: MountType) -> None:
        """What does not go together."""
        allowed = {
            "required": kind in {MountType.SECRET, MountType.SSH},
            "size": kind is MountType.TMPFS,
            "mode": kind in _OWNED,
            "uid": kind in _OWNED,
            "gid": kind in _OWNED,
            "sharing": kind is MountType.CACHE,
            "from": kind is not MountType.SECRET,
        }
        for name, fits in allowed.items():
            if name in self.given and not fits:
                raise self.where.refusal(f"{name} is not allowed for --mount of type {kind}", remedy="leave it out")
        if kind is MountType.SECRET:
            if not {"source", "target", "id"} & self.given.keys():
                raise self.where.refusal("a secret mount needs an id", remedy="write --mount=type=secret,id=NAME")
            if {"source", "id"} <= self.given.keys():
                raise self.where.refusal("a secret mount has an id and a source", remedy="give the id alone")
