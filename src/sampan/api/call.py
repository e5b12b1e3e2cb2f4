"""One request as the handlers see it: version, path parameters, query, body; and the answers they give."""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import msgspec
from aiohttp import web

from sampan.api.answer import Answer
from sampan.api.pieces import in_pieces
from sampan.api.versions import Version
from sampan.errors import InvalidArgument

T = TypeVar("T")
log = logging.getLogger("sampan.api")
MAX_BODY_BYTES = 16 * 1024 * 1024
_FALSE = frozenset({"", "0", "no", "false", "none"})
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_UNIX = re.compile(r"([+-]?[0-9]{1,19})(?:\.([0-9]*))?")
_DURATION = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,19})?)(ns|us|µs|ms|s|m|h)")
_SECONDS_WIDTH = len("2006-01-02T15:04:05")
_LAST_NS = 253_402_300_799 * 10**9  # the end of the year 9999
_UNIT_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a route has matched."""

    request: web.BaseRequest
    version: Version
    parameters: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        """A value of the query."""
        return self.request.query.get(name, default)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean of the query, as moby's `BoolValue` reads it."""
        value = self.request.query.get(name)
        return default if value is None else value.strip().lower() not in _FALSE

    def number(self, name: str) -> int | None:
        """A whole number of the query, None when absent. Raises InvalidArgument."""
        value = self.request.query.get(name, "")
        if not value:
            return None
        try:
            return _int64(value)
        except ValueError as error:
            raise InvalidArgument(
                f"invalid value for {name}: {value[:80]!r} is no number", remedy="pass a number"
            ) from error

    @property
    def has_left(self) -> bool:
        """Whether the client is gone."""
        return self.request.transport is None or self.request.transport.is_closing()

    def filters(self, known: frozenset[str] | None) -> dict[str, tuple[str, ...]]:
        """The `filters` of the query that have values, in either of Docker's two forms; with None any name will do.

        Raises InvalidArgument for one that is not known.
        """
        text = self.request.query.get("filters", "")
        if not text:
            return {}
        try:
            content = json.loads(text)
            if content is None:
                return {}
            found = {
                name: tuple(value for value, wanted in values.items() if wanted)
                if isinstance(values, dict)
                else tuple(str(value) for value in values)
                for name, values in content.items()
            }
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise InvalidArgument(
                f"invalid filter: {text[:80]!r}", remedy="a JSON object of lists of strings"
            ) from error
        for name in found:
            if known is not None and name not in known:
                raise InvalidArgument(f"invalid filter '{name}'", remedy="known are " + ", ".join(sorted(known)))
        return {name: values for name, values in found.items() if values}

    async def body(self, kind: type[T], *, default: T | None = None) -> T:
        """The JSON body as `kind`; `default` for an empty one. Raises InvalidArgument."""
        content = await self.read_body()
        if not content.strip():
            if default is not None:
                return default
            raise InvalidArgument("invalid JSON: got EOF while reading request body", remedy="send a JSON object")
        # a browser's page can send a body without a type to any address, so none is no JSON
        declared = self.request.headers.get("Content-Type", "")
        if not declared.strip():
            raise InvalidArgument(
                "malformed Content-Type header (): mime: no media type", remedy="send Content-Type: application/json"
            )
        if declared.split(";")[0].strip().lower() != "application/json":
            raise InvalidArgument(f"unsupported Content-Type header ({declared}): must be 'application/json'")
        try:
            if _SUSPECT.search(content):
                _refuse_odd(msgspec.json.decode(content))
            return msgspec.json.decode(content, type=kind)
        except UnicodeDecodeError as error:
            raise InvalidArgument(f"invalid JSON: {_no_text(content)}", remedy="names and values are text") from error
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InvalidArgument(f"invalid JSON: {error}", remedy="see the API's description") from error

    async def read_body(self) -> bytes:
        """The whole body, at most 16 MiB. Raises InvalidArgument for more."""
        parts, size = [], 0
        async for part in self.request.content.iter_any():
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise InvalidArgument("request body too large", remedy="send at most 16 MiB")
            parts.append(part)
        return b"".join(parts)

    async def stream(
        self,
        pieces: AsyncIterator[bytes],
        content_type: str = "application/json",
        *,
        at_once: bool = True,
        last_line: Callable[[Exception], bytes] | None = None,
    ) -> web.StreamResponse:
        """Send pieces as they come, the head before the first of them. Ends when the client leaves.

        An error behind the head is told by its `last_line`, or by breaking off.
        """
        response = in_pieces(self.request, {"Content-Type": content_type})
        if at_once:
            await response.prepare(self.request)
        try:
            async for piece in pieces:
                if not response.prepared:
                    await response.prepare(self.request)
                await response.write(piece)
        except Exception as error:
            if not response.prepared:
                raise
            if last_line is None or self.has_left:
                self._break_off(error)
            await response.write(last_line(error))
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]
        if not response.prepared:
            await response.prepare(self.request)
        await response.write_eof()
        return response

    def _break_off(self, error: Exception) -> NoReturn:
        """End a stream whose head has gone out, without the last chunk."""
        if isinstance(error, ConnectionError):
            raise error
        log.error("a stream broke off: %s", self.request.path, exc_info=error)
        if self.request.transport is not None:
            self.request.transport.abort()
        raise ConnectionAbortedError from error


def _int64(text: str) -> int:
    number = int(text) if _WHOLE.fullmatch(text) else 2**63  # Python takes 1_0 and digits of other scripts too
    if not -(2**63) <= number < 2**63:
        raise ValueError(text[:80])
    return number


_NO_TEXT = re.compile("[\udc80-\udcff]")  # what PEP 383 makes of bytes
# what no body may have, or what may be a number that is too large
_SUSPECT = re.compile(rb"\\u0000|[0-9]{19}")


def _refuse_odd(body: Any) -> None:
    """Raise InvalidArgument for a string with a NUL byte, and for a number that no field can have."""
    for where, inner in _leaves(body, ""):
        if isinstance(inner, str) and "\0" in inner:
            raise InvalidArgument(f"invalid JSON: {where}: a string has a NUL byte", remedy="no path or word has one")
        if isinstance(inner, int) and not -(2**63) <= inner < 2**63:
            raise InvalidArgument(
                f"invalid JSON: {where}: the number {inner} is out of range", remedy="64 bits have to do"
            )


def _no_text(content: bytes) -> str:
    """Which string of a body is no UTF-8, as far as can be told."""
    try:
        found = _leaves(json.loads(content.decode("utf-8", "surrogateescape")), "")
        where = next(where for where, value in found if isinstance(value, str) and _NO_TEXT.search(value))
    except (ValueError, RecursionError, StopIteration):
        return "a string is no UTF-8"
    return f"{where}: a string is no UTF-8"


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every string and number, names of fields among them, with its place: "HostConfig.Ulimits[0].Soft"."""
    match value:
        case dict():
            for name, inner in value.items():
                yield place or "a name", name
                yield from _leaves(inner, f"{place}.{name}" if place else name)
        case list():
            for index, inner in enumerate(value):
                yield from _leaves(inner, f"{place}[{index}]")
        case _:
            yield place or "the body", value


def encode(value: Any) -> bytes:
    """JSON as Docker writes it: compact, no HTML escapes, a newline at the end."""
    return msgspec.json.encode(value) + b"\n"


def name_text(name: str) -> str:
    """A name of a file, whatever its bytes, as text that JSON can hold: U+FFFD for what is no UTF-8, as in Docker."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def reply(value: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(encode(value), status)


def nothing(status: int = 204) -> Answer:
    """An answer without a body."""
    return Answer(status=status, content_type="")


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 with nanoseconds, as Go's RFC3339Nano prints it (trailing zeros dropped); 0 is Go's zero time."""
    if not nanoseconds:
        return "0001-01-01T00:00:00Z"
    seconds, rest = divmod(nanoseconds, 10**9)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()[:_SECONDS_WIDTH]
    return f"{moment}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def prune_until(filters: dict[str, tuple[str, ...]]) -> int | None:
    """The `until` of a prune's filters, as `parse_time` gives it. Raises InvalidArgument, for two of them too."""
    until = filters.get("until", ())
    if len(until) > 1:
        raise InvalidArgument("more than one until filter specified", remedy="give the earliest alone")
    return parse_time(until[0], time.time_ns()) if until else None


def parse_time(text: str, now_ns: int) -> int | None:
    """`since` and `until`: unix seconds with a fraction, RFC 3339, or a Go duration before now; None for "" and 0.

    A moment that no log can have is the nearest that one can. Raises InvalidArgument.
    """
    moment = _moment_ns(text, now_ns)
    return None if moment is None else min(max(moment, 1), _LAST_NS)


def _moment_ns(text: str, now_ns: int) -> int | None:
    if text in {"", "0"}:
        return None
    if unix := _UNIX.fullmatch(text):
        return int(unix[1]) * 10**9 + int((unix[2] or "").ljust(9, "0")[:9])
    if _DURATION.fullmatch(text) or re.fullmatch(f"({_DURATION.pattern})+", text):
        return now_ns - sum(round(float(number) * _UNIT_NS[unit]) for number, unit in _DURATION.findall(text))
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return int(moment.timestamp() * 10**6) * 1000
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(
            f"invalid time {text[:80]!r}", remedy="unix seconds, RFC 3339 or a duration as 10m"
        ) from error
