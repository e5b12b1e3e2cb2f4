"""The functions that templates may call: Go's own, and docker's (json, join, split, lower, upper, title, pad…)."""

from __future__ import annotations

from sampan.cli.formats.template_values import (
    NO_VALUE,
    Map,
    NullList,
    TemplateError,
    compare,
    plain,
    printed,
    shown,
    truth,
)
from sampan.client.json_text import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


HOW_TO_CALL = "what a function takes stands behind its name, as in '{{upper .ID}}' or '{{truncate .ID 4}}'"
TAKES_MORE = 0x04  # CO_VARARGS, of inspect


class Heading(str):
    """A column's heading, which functions leave as it is."""

    __slots__ = ()


def _json(value: Any) -> str:
    if isinstance(value, Heading):
        return value
    if isinstance(value, NullList) or (isinstance(value, Map) and value.null):
        return "null"
    if not hasattr(value, "template_document"):
        return text_of(value)
    # a row is marshalled by itself, which escapes for HTML as Go's encoder does unless it is told not to
    return text_of(plain(value)).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _of_null(value: Any) -> Any:
    """What Go sees where JSON says null: a map or a list that is empty."""
    return {} if value is None else value


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = _of_null(plain(value)) if value is not NO_VALUE else value
        if isinstance(value, dict) and isinstance(key, str):
            value = value.get(key, "" if all(isinstance(item, str) for item in value.values()) else None)
        elif isinstance(value, (list, tuple, str)):
            if not isinstance(key, int) or not 0 <= key < len(value):
                raise TemplateError(f"index {printed(key)} is outside of {shown(value)}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise TemplateError(f"{shown(value)} has no index {shown(key)}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if len(bounds) > 2 or not isinstance(value, (str, list)):
        raise TemplateError(f"{shown(value)} cannot be sliced so")
    edges = [0, *bounds, len(value)]
    if edges != sorted(edges):
        raise TemplateError(f"slice {' '.join(map(str, bounds))} is outside of {shown(value)}")
    return value[slice(*bounds)] if len(bounds) == 2 else value[bounds[0] :] if bounds else value


def _len(value: Any) -> int:
    value = _of_null(plain(value)) if value is not NO_VALUE else value
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, (dict, list, tuple)):
        return len(value)
    raise TemplateError(f"{shown(value)} has no length")


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("eq compares two values or more")
    return any(first == other and isinstance(first, bool) == isinstance(other, bool) for other in others)


def _text(value: Any) -> str:
    """A text, or a number as one; TypeError for anything else."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise TypeError
    return str(value)


def _title(value: Any) -> str:
    text = _text(value)
    out = []
    before = " "
    for letter in text:
        out.append(letter.upper() if not (before.isalnum() or before == "_") else letter)
        before = letter
    return "".join(out)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _split(value: Any, separator: str) -> Any:
    if isinstance(value, Heading):
        return value
    text = _text(value)
    return text.split(separator) if separator else list(text)


def _truncate(text: Any, length: int) -> str:
    if isinstance(text, Heading):
        return text
    return _text(text)[: max(length, 0)]


def _join(parts: Any, separator: str) -> str:
    if isinstance(parts, Heading):
        return parts
    return separator.join(printed(part) for part in parts or [])


def _argument(value: Any) -> Any:
    """A value as a function sees it, which knows no absent one."""
    return None if value is NO_VALUE else value


def _print(*values: Any) -> str:
    """Go's Sprint: a blank between two values of which neither is a string."""
    out = ""
    before: Any = ""
    for value in map(_argument, values):
        out += (" " if out and not isinstance(value, str) and not isinstance(before, str) else "") + printed(value)
        before = value
    return out


def _evaluated(values: tuple[Any, ...]) -> str:
    """What is to be escaped: one value as it is printed, or several by `print`."""
    return printed(values[0]) if len(values) == 1 else _print(*values)


def _html(*values: Any) -> str:
    text = _evaluated(values)
    for letter, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(letter, entity)
    return text


def _printf(format: str, *values: Any) -> str:
    from sampan.cli.formats.template_printf import sprintf

    return sprintf(format, [_argument(value) for value in values])


def _urlquery(*values: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(_evaluated(values))


JS_ESCAPES = {letter: f"\\u{ord(letter):04X}" for letter in "<>&=\x7f"} | {letter: "\\" + letter for letter in "\\'\""}


def _js(*values: Any) -> str:
    """Go's JSEscaper."""
    letters = []
    for letter in _evaluated(values):
        if letter in JS_ESCAPES:
            letters.append(JS_ESCAPES[letter])
        else:
            letters.append(letter if letter.isprintable() else f"\\u{ord(letter):04X}")
    return "".join(letters)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": _eq,
    "ge": lambda first, second: compare(first, second) >= 0,
    "gt": lambda first, second: compare(first, second) > 0,
    "html": _html,
    "index": _index,
    "join": _join,
    "js": _js,
    "json": _json,
    "le": lambda first, second: compare(first, second) <= 0,
    "len": _len,
    "lower": lambda text: text if isinstance(text, Heading) else _text(text).lower(),
    "lt": lambda first, second: compare(first, second) < 0,
    "ne": lambda first, second: not _eq(first, second),
    "not": lambda value: not truth(value),
    "pad": _pad,
    "print": _print,
    "printf": _printf,
    "println": lambda *values: " ".join(printed(_argument(value)) for value in values) + "\n",
    "slice": _slice,
    "split": _split,
    "title": _title,
    "truncate": _truncate,
    "upper": lambda text: _text(text).upper(),
    "urlquery": _urlquery,
}


def call(name: str, arguments: Sequence[Any]) -> Any:
    """The function `name` of `arguments`; TemplateError when they are too few, too many or of the wrong kind."""
    function = FUNCTIONS[name]
    wanted = function.__code__.co_argcount
    if len(arguments) < wanted or (len(arguments) > wanted and not function.__code__.co_flags & TAKES_MORE):
        least = "at least " if function.__code__.co_flags & TAKES_MORE else ""
        raise TemplateError(
            f"{name} takes {least}{wanted} value{'s' * (wanted != 1)}, not {len(arguments)}", HOW_TO_CALL
        )
    try:
        return function(*arguments)
    except (TypeError, AttributeError, ValueError, LookupError):
        values = ", ".join(shown(value) for value in arguments)
        raise TemplateError(f"{name} cannot take {values}", HOW_TO_CALL) from None
