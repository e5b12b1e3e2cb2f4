"""JSON for programs that must start fast: the interpreter's own scanner and encoder without the json package.

`import json` loads `re` and costs 8 ms of CPU; the C halves cost nothing.
"""

from __future__ import annotations

from _json import encode_basestring, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _number(text: str) -> float:
    return {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}[text]


class _Rules:
    """What the C scanner asks its context for (Modules/_json.c, scanner_new)."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_number)


_scan = make_scanner(_Rules)  # type: ignore[arg-type] # it reads attributes, of whatever has them


def loads(data: bytes | str) -> Any:
    """The document in `data`; ValueError when it is not JSON."""
    text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
    try:
        return _scan(text, len(text) - len(text.lstrip()))[0]
    except StopIteration:
        raise ValueError(f"not JSON: {text[:60]!r}") from None


def scan(text: str, at: int) -> tuple[Any, int]:
    """The document that begins at `at`, and where it ends; ValueError when none is whole there.

    Streams of documents (events, progress) are cut by this.
    """
    while text[at : at + 1] in {" ", "\n", "\r", "\t"}:
        at += 1
    try:
        return _scan(text, at)
    except StopIteration:
        raise ValueError(f"no JSON at {at}") from None


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def text_of(document: object, *, sort_keys: bool = False) -> str:
    """`document` as JSON on one line without spaces, the way Go's encoder writes it (but <, > and & stay)."""
    if isinstance(document, str):
        return encode_basestring(document)
    encoder = make_encoder(None, _refuse, encode_basestring, None, ":", ",", sort_keys, False, True)  # noqa: FBT003
    return "".join(encoder(document, 0))


def indented(document: object, step: str = "    ", outer: str = "") -> str:
    """`document` as JSON with a line for each member, like `json.dumps` with an indent; `outer` is that around it."""
    inner = outer + step
    if isinstance(document, dict) and document:
        lines = [f"{inner}{text_of(key)}: {indented(value, step, inner)}" for key, value in document.items()]
        opens, closes = "{", "}"
    elif isinstance(document, list) and document:
        lines = [inner + indented(value, step, inner) for value in document]
        opens, closes = "[", "]"
    else:
        return text_of(document)
    return f"{opens}\n" + ",\n".join(lines) + f"\n{outer}{closes}"


def dumps(document: object) -> bytes:
    """`document` as UTF-8 JSON."""
    return text_of(document).encode("utf-8", "surrogateescape")
