"""Go's Sprintf for values of templates: %v %s %q %d %x %X %o %b %c %U %t %f %e %g %T with flags and widths."""

from __future__ import annotations

from sampan.cli.formats.template_values import printed
from sampan.cli.formats.written import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def sprintf(format: str, values: Sequence[Any]) -> str:
    """`format` with its verbs replaced; what does not fit is shown as Go shows it, never an error."""
    out: list[str] = []
    left = list(values)
    at = 0
    while (sign := format.find("%", at)) >= 0:
        out.append(format[at:sign])
        at = sign + 1
        end = at
        while end < len(format) and format[end] in "+-# 0":
            end += 1
        flags, at = format[at:end], end
        width, at = _number(format, at, left)
        precision: int | None = None
        if format[at : at + 1] == ".":
            found, at = _number(format, at + 1, left)
            precision = found or 0
        verb = format[at : at + 1]
        at += 1
        out.append(_verb(verb, flags, width, precision, left))
    out.append(format[at:])
    if left:
        out.append(f"%!(EXTRA {', '.join(f'{_type(value)}={printed(value)}' for value in left)})")
    return "".join(out)


def _number(format: str, at: int, left: list[Any]) -> tuple[int | None, int]:
    if format[at : at + 1] == "*" and left:
        return int(left.pop(0)), at + 1
    end = at
    while format[end : end + 1].isdigit():
        end += 1
    return (int(format[at:end]) if end > at else None), end


def _verb(verb: str, flags: str, width: int | None, precision: int | None, left: list[Any]) -> str:
    if verb == "%":
        return "%"
    if not verb:
        return "%!(NOVERB)"
    if not left:
        return f"%!{verb}(MISSING)"
    value = left.pop(0)
    text = _converted(verb, value, flags, precision)
    if width is None:
        return text
    if width < 0:
        flags, width = flags + "-", -width
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and isinstance(value, (int, float)) and not isinstance(value, bool):
        sign = text[0] if text[:1] in {"-", "+"} else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _converted(verb: str, value: Any, flags: str, precision: int | None) -> str:
    if verb == "T":
        return _type(value)
    if value is None and verb != "v":
        return f"%!{verb}(<nil>)"
    if verb == "v" or (verb == "s" and not isinstance(value, (int, float))):
        text = printed(value)
        return text if precision is None or verb == "v" else text[:precision]
    if verb == "q":
        return quoted(printed(value)) if not isinstance(value, int) else repr(chr(value))
    if verb == "t" and isinstance(value, bool):
        return printed(value)
    if isinstance(value, int) and not isinstance(value, bool):
        text = _whole(verb, value, flags)
        if text:
            return text
    if isinstance(value, float) and verb in "feEgGF":
        text = (
            f"{value:.{6 if precision is None else precision}{verb}}"
            if verb not in "gG" or precision
            else printed(value)
        )
        return f"+{text}" if "+" in flags and value >= 0 else text
    if verb in {"x", "X"} and isinstance(value, str):
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    return f"%!{verb}({_type(value)}={printed(value)})"


def _whole(verb: str, value: int, flags: str) -> str:
    if verb == "c":
        return chr(value)
    if verb == "U":
        return f"U+{value:04X}"
    if verb not in {"d", "x", "X", "o", "b"}:
        return ""
    prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") if "#" in flags else ""
    sign = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    return f"{sign}{prefix}{abs(value):{verb}}"


def _type(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "int", float: "float64", list: "[]interface {}", type(None): "<nil>"}
    return names.get(type(value), "map[string]interface {}")
