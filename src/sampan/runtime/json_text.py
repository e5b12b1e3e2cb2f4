"""JSON without the `json` package: its C parts alone, which spares a short-lived command 7 ms of imports.

Reading and writing of plain values; what documents mean is said elsewhere.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BLANK = " \t\n\r"


class _Context:
    """What the C scanner asks of a decoder (json.JSONDecoder has the same attributes)."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


_SCAN: Callable[[str, int], tuple[Any, int]] = _json.make_scanner(_Context)  # type: ignore[arg-type]


def loads(content: bytes | str) -> Any:
    """The value of a JSON document in UTF-8. ValueError for anything else."""
    text = (content if isinstance(content, str) else content.decode()).strip(_BLANK)
    try:
        value, end = _SCAN(text, 0)
    except StopIteration as error:
        raise ValueError(f"a JSON value is missing at character {error.value}") from None
    if end != len(text):
        raise ValueError(f"there is more after the JSON value, from character {end} on")
    return value


def dumps(value: Any, indent: int = 0, _before: str = "\n") -> str:
    """The JSON of `value`: of None, bool, numbers, str, and of lists, tuples and dicts of them, in their order.

    With `indent` each entry has a line; without it there is no white space at all, as Go's encoder writes it.
    """
    inner = _before + " " * indent if indent else ""
    outer = _before if indent else ""
    match value:
        case str():
            return _json.encode_basestring_ascii(value)
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int():
            return int.__repr__(value)  # of a member of an enum, too
        case float():
            return repr(value)
        case dict():
            colon = ": " if indent else ":"
            entries = [f"{dumps(str(key))}{colon}{dumps(item, indent, inner)}" for key, item in value.items()]
            return f"{{{inner}{f',{inner}'.join(entries)}{outer}}}" if entries else "{}"
        case list() | tuple():
            items = [dumps(item, indent, inner) for item in value]
            return f"[{inner}{f',{inner}'.join(items)}{outer}]" if items else "[]"
    raise TypeError(f"{type(value).__name__} has no form in JSON")
