"""The functions that templates may call: Go's own, and docker's (json, join, split, lower, upper, title, pad…)."""

from __future__ import annotations

from sampan.cli.formats.template_values import TemplateError, compare, plain, printed, truth
from sampan.client.json_text import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _json(value: Any) -> str:
    if not hasattr(value, "template_document"):
        return text_of(value)
    # a row is marshalled by itself, which escapes for HTML as Go's encoder does unless it is told not to
    return text_of(plain(value)).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _of_null(value: Any) -> Any:
    """What Go sees where JSON says null: a map or a list that is empty."""
    return {} if value is None else value


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = _of_null(plain(value))
        if isinstance(value, dict):
            value = value.get(key, "" if all(isinstance(item, str) for item in value.values()) else None)
        elif isinstance(value, (list, tuple, str)):
            if not isinstance(key, int) or not 0 <= key < len(value):
                raise TemplateError(f"index {printed(key)} is outside of {printed(value)}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise TemplateError(f"{printed(value)} has no index {printed(key)}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if len(bounds) > 2 or not isinstance(value, (str, list)):
        raise TemplateError(f"{printed(value)} cannot be sliced so")
    return value[slice(*bounds)] if len(bounds) == 2 else value[bounds[0] :] if bounds else value


def _len(value: Any) -> int:
    value = _of_null(plain(value))
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, (dict, list, tuple)):
        return len(value)
    raise TemplateError(f"{printed(value)} has no length")


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("eq compares two values or more")
    return any(first == other and isinstance(first, bool) == isinstance(other, bool) for other in others)


def _title(text: str) -> str:
    out = []
    before = " "
    for letter in text:
        out.append(letter.upper() if not (before.isalnum() or before == "_") else letter)
        before = letter
    return "".join(out)


def _join(parts: Any, separator: str) -> str:
    return separator.join(printed(part) for part in parts or [])


def _print(*values: Any) -> str:
    """Go's Sprint: a blank between two values of which neither is a string."""
    out = ""
    before: Any = ""
    for value in values:
        out += (" " if out and not isinstance(value, str) and not isinstance(before, str) else "") + printed(value)
        before = value
    return out


def _html(*values: Any) -> str:
    text = _print(*values)
    for letter, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(letter, entity)
    return text


def _printf(format: str, *values: Any) -> str:
    from sampan.cli.formats.template_printf import sprintf

    return sprintf(format, values)


def _urlquery(*values: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(_print(*values))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": _eq,
    "ge": lambda first, second: compare(first, second) >= 0,
    "gt": lambda first, second: compare(first, second) > 0,
    "html": _html,
    "index": _index,
    "join": _join,
    "json": _json,
    "le": lambda first, second: compare(first, second) <= 0,
    "len": _len,
    "lower": lambda text: str(text).lower(),
    "lt": lambda first, second: compare(first, second) < 0,
    "ne": lambda first, second: not _eq(first, second),
    "not": lambda value: not truth(value),
    "pad": lambda text, before, after: " " * before + text + " " * after if text else text,
    "print": _print,
    "printf": _printf,
    "println": lambda *values: " ".join(printed(value) for value in values) + "\n",
    "slice": _slice,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "title": _title,
    "truncate": lambda text, length: text[:length],
    "upper": lambda text: str(text).upper(),
    "urlquery": _urlquery,
}
