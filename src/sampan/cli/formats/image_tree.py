"""Images as a tree: each below the one that it was made of, with what it added."""

from __future__ import annotations

from sampan.cli.formats.written import short_id, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NONE = "<none>"


def tree_rows(images: list[dict[str, Any]]) -> list[list[str]]:
    """A row for each image: its names behind the lines of the tree, its id, its size, and what it adds to its parent.

    An image whose parent is not among them stands at the top.
    """
    known = {image["Id"]: image for image in images}
    below: dict[str, list[dict[str, Any]]] = {}
    for image in sorted(images, key=lambda one: (one["Created"], one["Id"])):
        parent = image.get("ParentId", "")
        below.setdefault(parent if parent in known else "", []).append(image)
    rows: list[list[str]] = []
    waiting = [(image, "", "") for image in reversed(below.get("", []))]
    while waiting:
        image, line, indent = waiting.pop()
        names = [name for name in image.get("RepoTags") or [] if not name.startswith(NONE)]
        parent = known.get(image.get("ParentId", ""))
        added = image["Size"] - parent["Size"] if parent else image["Size"]
        rows.append([f"{line}{', '.join(names) or NONE}", short_id(image["Id"]), size(image["Size"]), size(added)])
        children = below.get(image["Id"], [])
        for number, child in enumerate(reversed(children)):
            is_last = number == 0
            waiting.append((child, indent + ("└─ " if is_last else "├─ "), indent + ("   " if is_last else "│  ")))
    return rows
