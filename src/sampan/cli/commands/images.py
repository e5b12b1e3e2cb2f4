"""`sampan images`: the images there are."""

from __future__ import annotations

from sampan.cli.formats.listing import show
from sampan.cli.formats.written import ago, short_id, size, timestamp
from sampan.cli.grammar import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "List images"
USAGE = ("[OPTIONS] [REPOSITORY[:TAG]]",)
WORDS = (0, 1)
OPTIONS = (
    ("all", "a", "bool", "", "Show intermediate images too"),
    ("digests", "", "bool", "", "Show digests"),
    ("filter", "f", "filter", "", "Show only images that match, as in dangling=true"),
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("no-trunc", "", "bool", "", "Shorten nothing"),
    ("quiet", "q", "bool", "", "Print only the ids"),
    ("tree", "", "bool", "", "Show each image below the one that it was made of, and what it added"),
)
NONE = "<none>"


def run(arguments: Arguments, session: Session) -> int:
    """Print the list."""
    from sampan.cli.filters import filters_text

    for other in ("digests", "format", "no-trunc", "quiet"):
        if arguments.flag("tree") and arguments.given(other):
            raise UsageError(f"--tree and --{other} exclude each other", remedy="leave one of them out", code=1)
    filters = list(arguments.items("filter"))
    filters += [f"reference={word}" for word in arguments.words]
    query: dict[str, str | int | bool | None] = {"all": arguments.flag("all") or arguments.flag("tree")}
    if filters:
        query["filters"] = filters_text(filters)
    images = session.call("GET", "/images/json", query)
    if arguments.flag("tree"):
        import sys

        from sampan.cli.formats.image_tree import tree_rows
        from sampan.cli.formats.table import columns

        sys.stdout.write(columns([["IMAGE", "IMAGE ID", "SIZE", "ADDED"], *tree_rows(images)]))
        return 0
    template = arguments.text("format")
    digests = arguments.flag("digests") or ".Digest" in template
    rows = [row for image in images for row in image_rows(image, digests=digests)]
    shown = ("Repository", "Tag", *(("Digest",) if digests else ()), "ID", "CreatedSince", "Size")
    quiet = "ID" if arguments.flag("quiet") else ""
    show(rows, image_columns(full=arguments.flag("no-trunc")), shown, template, quiet=quiet)
    return 0


def image_columns(*, full: bool = False) -> dict[str, Column]:
    """All columns; `full` shortens no ids."""
    return {
        "Containers": ("CONTAINERS", lambda row: "N/A" if row.get("Containers", -1) < 0 else str(row["Containers"])),
        "CreatedAt": ("CREATED AT", lambda row: timestamp(row["Created"])),
        "CreatedSince": ("CREATED", lambda row: ago(row["Created"]) if row["Created"] > 0 else "N/A"),
        "Digest": ("DIGEST", lambda row: row["Digest"]),
        "ID": ("IMAGE ID", lambda row: row["Id"] if full else short_id(row["Id"])),
        "Repository": ("REPOSITORY", lambda row: row["Repository"]),
        "SharedSize": ("SHARED SIZE", lambda row: _size(row.get("SharedSize", -1))),
        "Size": ("SIZE", lambda row: size(row["Size"])),
        "Tag": ("TAG", lambda row: row["Tag"]),
        "UniqueSize": ("UNIQUE SIZE", _unique_size),
        "VirtualSize": ("SIZE", lambda row: size(row["Size"], 4)),
    }


def _size(count: int) -> str:
    return "N/A" if count < 0 else size(count, 4)


def _unique_size(row: dict[str, Any]) -> str:
    shared = row.get("SharedSize", -1)
    return "N/A" if shared < 0 else size(row["Size"] - shared, 4)


def image_rows(image: dict[str, Any], *, digests: bool) -> list[dict[str, Any]]:
    """A row for each name of the image; a nameless one has one row."""
    named: dict[str, dict[str, list[str]]] = {}
    for tag in image.get("RepoTags") or []:
        name, _, last = tag.rpartition(":")
        if name != NONE:
            named.setdefault(name, {"tags": [], "digests": []})["tags"].append(last)
    for digest in image.get("RepoDigests") or []:
        name, _, last = digest.partition("@")
        if name != NONE:
            named.setdefault(name, {"tags": [], "digests": []})["digests"].append(last)
    rows: list[tuple[str, str, str]] = []
    for name, found in named.items():
        if not digests:
            rows += [(name, tag, NONE) for tag in found["tags"] or [NONE]]
        else:
            rows += [(name, tag, last) for tag in found["tags"] or [NONE] for last in found["digests"] or [NONE]]
    return [
        {**image, "Repository": name, "Tag": tag, "Digest": digest}
        for name, tag, digest in rows or [(NONE, NONE, NONE)]
    ]
