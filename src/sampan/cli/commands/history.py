"""`sampan history`: the layers of an image."""

from __future__ import annotations

from sampan.cli.formats.listing import show
from sampan.cli.formats.written import ago, ellipsis, short_id, size, timestamp
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

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
            return timestamp(layer["Created"])
        return ago(layer["Created"]) if layer["Created"] > 0 else "N/A"

    return {
        "Comment": ("COMMENT", lambda layer: layer["Comment"]),
        "CreatedAt": ("CREATED AT", lambda layer: timestamp(layer["Created"])),
        "CreatedBy": ("CREATED BY", created_by),
        "CreatedSince": ("CREATED" if human else "CREATED AT", since),
        "ID": ("IMAGE", lambda layer: layer["Id"] if full else short_id(layer["Id"])),
        "Size": ("SIZE", lambda layer: size(layer["Size"]) if human else str(layer["Size"])),
    }
