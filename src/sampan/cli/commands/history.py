"""`sampan history`: the layers of an image."""

from __future__ import annotations

import time

from sampan.cli.formats.listing import show
from sampan.cli.formats.written import ago, ellipsis, short_id, size
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

UNKNOWN_UNTIL_S = (
    946684800  # 2000: what says to be older was built to say nothing of time, and docker shows no age of it
)

SUMMARY = "Show the layers of an image"
USAGE = ("[OPTIONS] IMAGE",)
WORDS = (1, 1)
OPTIONS = (
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("human", "H", "bool", "true", "Print sizes and times for people"),
    ("no-trunc", "", "bool", "", "Shorten nothing"),
    ("quiet", "q", "bool", "", "Print only the ids"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Print them, the newest first."""
    layers = session.call("GET", f"/images/{quote(arguments.words[0])}/history")
    columns = history_columns(full=arguments.flag("no-trunc"), human=arguments.flag("human"))
    shown = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
    show(layers, columns, shown, arguments.text("format"), quiet="ID" if arguments.flag("quiet") else "")
    return 0


def history_columns(*, full: bool, human: bool) -> dict[str, Column]:
    """All columns; `full` shortens nothing, `human` writes sizes and times for people."""

    def created_by(layer: dict[str, Any]) -> str:
        text = layer["CreatedBy"].replace("\t", " ")
        return text if full else ellipsis(text, 45)

    def since(layer: dict[str, Any]) -> str:
        if not human:
            return rfc3339(layer["Created"])
        return ago(layer["Created"]) if layer["Created"] > UNKNOWN_UNTIL_S else "N/A"

    return {
        "Comment": ("COMMENT", lambda layer: layer["Comment"]),
        "CreatedAt": ("CREATED AT", lambda layer: rfc3339(layer["Created"])),
        "CreatedBy": ("CREATED BY", created_by),
        "CreatedSince": ("CREATED" if human else "CREATED AT", since),
        "ID": ("IMAGE", lambda layer: layer["Id"] if full else short_id(layer["Id"])),
        "Size": ("SIZE", lambda layer: size(layer["Size"]) if human else str(layer["Size"])),
    }


def rfc3339(unix_s: float) -> str:
    """A point in time of this place, as docker prints it here: "2026-11-24T08:04:33Z"."""
    text = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(unix_s))
    return f"{text[:-5]}Z" if text.endswith("+0000") else f"{text[:-2]}:{text[-2:]}"
