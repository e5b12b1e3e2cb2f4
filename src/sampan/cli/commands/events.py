"""`sampan events`: what happens in the engine, as it happens."""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show what happens, as it happens"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("filter", "f", "filter", "", "Show only events that match, as in type=container or event=die"),
    ("format", "", "string", "", "How to print: json, or a Go template"),
    ("since", "", "string", "", "Begin with what happened since then (10m, or a date)"),
    ("until", "", "string", "", "End then (10m, or a date)"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Print a line for each event until the stream ends."""
    from sampan.cli.moments import read_moment

    query: dict[str, str | int | bool | None] = {
        option: read_moment(arguments.text(option), option) or None for option in ("since", "until")
    }
    if arguments.items("filter"):
        from sampan.cli.filters import filters_text

        query["filters"] = filters_text(arguments.items("filter"))
    source = arguments.text("format")
    template = None
    if source:
        from sampan.cli.formats.template import Template, unescaped

        template = Template("{{json .}}" if source == "json" else unescaped(source))
    for event in session.stream("GET", "/events", query):
        if template and "Actor" in event:
            event["Actor"]["Attributes"] = Attributes(event["Actor"].get("Attributes") or {})
        sys.stdout.write((template.render(event) if template else event_line(event)) + "\n")
        sys.stdout.flush()
    return 0


class Attributes(dict[str, str]):
    """A map as Go's templates see it: what is not in it is `<no value>`, and no fault of the template."""

    def template_field(self, name: str, _arguments: object) -> str:
        """`.NAME`."""
        return self.get(name, "<no value>")


def event_line(event: dict[str, Any]) -> str:
    """One event as docker prints it: time, kind, action, who, and its attributes in brackets."""
    actor = event.get("Actor") or {}
    attributes = ", ".join(f"{key}={value}" for key, value in sorted((actor.get("Attributes") or {}).items()))
    line = f"{moment(event['timeNano'])} {event['Type']} {event['Action']} {actor.get('ID', '')}"
    return f"{line} ({attributes})" if attributes else line


def moment(nanoseconds: int) -> str:
    """A point in time with all nine places, in local time."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{rest:09d}{zone}"
