"""`sampan search`: images in a registry that fit a term."""

from __future__ import annotations

from sampan.cli.formats.listing import show
from sampan.cli.formats.written import ellipsis

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Search a registry for images"
DETAILS = """Docker Hub is searched, or with REGISTRY/TERM that registry: by its own search, or by name from its
catalog when it has none."""
USAGE = ("[OPTIONS] TERM",)
WORDS = (1, 1)
OPTIONS = (
    ("filter", "f", "filter", "", "Show only images that match, as in is-official=true or stars=3"),
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("limit", "", "int", "", "Show at most so many, up to 100 (default 25)"),
    ("no-trunc", "", "bool", "", "Shorten nothing"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Print what was found."""
    from sampan.cli.credentials import header_for
    from sampan.cli.filters import filters_text
    from sampan.client.json_text import loads

    query: dict[str, str | int | bool | None] = {"term": arguments.words[0]}
    if arguments.given("limit"):
        query["limit"] = arguments.number("limit")
    if filters := arguments.items("filter"):
        query["filters"] = filters_text(filters)
    response = session.request("GET", "/images/search", query, None, header_for(arguments.words[0]))
    found = loads(response.read())
    shown = ("Name", "Description", "StarCount", "IsOfficial")
    template = arguments.text("format")
    columns = search_columns(full=arguments.flag("no-trunc"), as_json=template == "json")
    show(found, columns, shown, template)
    return 0


def search_columns(*, full: bool, as_json: bool) -> dict[str, Column]:
    """All columns; `full` shortens nothing, `as_json` writes truth as docker does in JSON."""

    def description(row: dict[str, Any]) -> str:
        text = row["description"].replace("\n", " ").replace("\r", " ")
        return text if full else ellipsis(text, 45)

    def said(value: object) -> str:
        if as_json:
            return "true" if value else "false"
        return "[OK]" if value else ""

    return {
        "Description": ("DESCRIPTION", description),
        "IsAutomated": ("AUTOMATED", lambda row: said(row["is_automated"])),
        "IsOfficial": ("OFFICIAL", lambda row: said(row["is_official"])),
        "Name": ("NAME", lambda row: row["name"]),
        "StarCount": ("STARS", lambda row: str(row["star_count"])),
    }
