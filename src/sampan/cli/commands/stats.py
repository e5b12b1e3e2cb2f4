"""`sampan stats`: what containers use, once or again and again."""

from __future__ import annotations

import sys
import time

from sampan.cli.each import complain
from sampan.cli.formats.listing import show
from sampan.cli.grammar import UsageError
from sampan.cli.usage import (
    DEFAULT,
    HISTORY_LENGTH,
    TERMINAL,
    Usage,
    drawn_columns,
    fitted,
    usage_columns,
    usage_document,
    usage_of,
)
from sampan.client.failure import ClientError, NotFoundError
from sampan.client.session import MOST_AT_ONCE, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show what containers use, again and again"
USAGE = ("[OPTIONS] [CONTAINER...]",)
WORDS = (0, -1)
OPTIONS = (
    ("all", "a", "bool", "", "Show stopped containers too"),
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("json", "", "bool", "", "Print plain numbers as JSON, a line for each container"),
    ("no-stream", "", "bool", "", "Show it once"),
    ("no-trunc", "", "bool", "", "Shorten nothing"),
)
INTERVAL_S = 1.0


def run(arguments: Arguments, session: Session) -> int:
    """Print a table, and unless told otherwise a new one over it each second, until Ctrl-C."""
    meter = Meter(session)
    if arguments.flag("json") and arguments.text("format"):
        raise UsageError("--json and --format exclude each other", remedy="leave one of them out")
    if arguments.flag("json"):
        return _run_json(arguments, meter, session)
    columns = usage_columns(full=arguments.flag("no-trunc"))
    template = arguments.text("format")
    if arguments.flag("no-stream"):
        usages = meter.once(_identifiers(arguments, session))
        if usages or not meter.failed:
            show(usages, columns, DEFAULT, template)
        return 1 if meter.failed else 0
    drawn = False
    shown = TERMINAL if _draws(sys.stdout) and not template else DEFAULT
    while True:
        started = time.monotonic()
        usages = meter.sample(_identifiers(arguments, session))
        if arguments.words and (not usages or (meter.failed and not drawn)):
            return 1  # what went wrong has been said, and must not be cleared away
        drawn = True
        if not template or template.startswith("table"):
            sys.stdout.write("\x1b[H\x1b[J")  # cursor home, clear from there
        if shown == TERMINAL:
            from sampan.cli.terminal import STDOUT, window_size

            sys.stdout.write(fitted(usages, columns | drawn_columns(), *window_size(STDOUT)))
        else:
            show(usages, columns if template else columns | drawn_columns(), shown, template)
        sys.stdout.flush()
        time.sleep(max(INTERVAL_S - (time.monotonic() - started), 0.1))


def _run_json(arguments: Arguments, meter: Meter, session: Session) -> int:
    from sampan.client import json_text

    while True:
        started = time.monotonic()
        once = arguments.flag("no-stream")
        usages = (meter.once if once else meter.sample)(_identifiers(arguments, session))
        for usage in usages:
            sys.stdout.write(json_text.dumps(usage_document(usage)).decode() + "\n")
        sys.stdout.flush()
        if once or (arguments.words and not usages):
            return 1 if meter.failed else 0
        time.sleep(max(INTERVAL_S - (time.monotonic() - started), 0.1))


def _draws(out: TextIO) -> bool:
    """Whether bars and lines can be drawn: on a terminal whose letters are those of Unicode."""
    return out.isatty() and (out.encoding or "").lower().replace("-", "") == "utf8"


def _identifiers(arguments: Arguments, session: Session) -> list[tuple[str, str]]:
    """What to look at, and its name if that is known."""
    if arguments.words:
        return [(word, "") for word in arguments.words]
    return all_containers(session, stopped=arguments.flag("all"))


def all_containers(session: Session, *, stopped: bool = False) -> list[tuple[str, str]]:
    """The ids and names of all containers that run, or of all."""
    containers = session.call("GET", "/containers/json", {"all": stopped})
    return [(container["Id"], container["Names"][0].removeprefix("/")) for container in containers]


class Meter:
    """Takes samples of several containers at once, and keeps the last ones to compare with."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before: dict[str, Any] = {}
        self._history: dict[str, tuple[float, ...]] = {}
        self._asked: dict[str, str] = {}  # how a container was named first
        self.failed = False

    def once(self, identifiers: list[tuple[str, str]]) -> list[Usage]:
        """A measurement of what is used in a second.

        The daemon itself looks twice, at as many as can be asked at once; more are all looked at, and a second later
        all again, for else each lot would take a second of its own.
        """
        if len(identifiers) <= MOST_AT_ONCE:
            return self._measure(identifiers, {"stream": 0})
        started = time.monotonic()
        found = [(usage.id, usage.name) for usage in self.sample(identifiers)]
        time.sleep(max(INTERVAL_S - (time.monotonic() - started), 0))
        return self.sample(found)

    def sample(self, identifiers: list[tuple[str, str]]) -> list[Usage]:
        """A measurement against the one before; the first shows no use of processors."""
        return self._measure(identifiers, {"stream": 0, "one-shot": 1})

    def _measure(self, identifiers: list[tuple[str, str]], query: dict[str, str | int | bool | None]) -> list[Usage]:
        paths = [f"/containers/{quote(word)}/stats" for word, _ in identifiers]
        usages = []
        for (word, name), answer in zip(identifiers, self._session.call_all("GET", paths, query), strict=True):
            if isinstance(answer, ClientError):
                if not name or not isinstance(answer, NotFoundError):
                    complain(answer)
                    self.failed = True
                continue
            found = answer.get("id") or word
            before = self._before.get(found)
            if "one-shot" in query and before is None:
                before = answer
            usage = usage_of(found, name or answer.get("name", "").removeprefix("/"), answer, before)
            usage.asked = self._asked.setdefault(found, word)
            self._history[found] = (*self._history.get(found, ()), usage.cpu)[-HISTORY_LENGTH:]
            usage.cpu_before = self._history[found]
            usages.append(usage)
            self._before[found] = answer
        self._forget_all_but({usage.id for usage in usages})
        return usages

    def _forget_all_but(self, measured: set[str]) -> None:
        for kept in (self._before, self._history, self._asked):
            for gone in kept.keys() - measured:
                del kept[gone]
