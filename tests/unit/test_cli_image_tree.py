"""Images as a tree."""

from __future__ import annotations

from typing import Any

from sampan.cli.formats.image_tree import tree_rows


def image(number: int, parent: int = 0, *names: str, size: int = 0) -> dict[str, Any]:
    return {
        "Id": f"sha256:{number:064x}",
        "ParentId": f"sha256:{parent:064x}" if parent else "",
        "RepoTags": list(names),
        "Created": number,
        "Size": size,
    }


def test_each_image_stands_below_the_one_that_it_was_made_of() -> None:
    found = [
        image(4, 2, "late:1", size=3_000_000),
        image(1, 0, "base:1", "base:2", size=1_000_000),
        image(3, 2, "app:1", size=2_500_000),
        image(2, 1, size=2_000_000),
        image(5, 1, size=1_000_000),
        image(6, 99, "lone:1", size=7),
    ]
    assert [(row[0], row[2], row[3]) for row in tree_rows(found)] == [
        ("base:1, base:2", "1MB", "1MB"),
        ("├─ <none>", "2MB", "1MB"),
        ("│  ├─ app:1", "2.5MB", "500kB"),
        ("│  └─ late:1", "3MB", "1MB"),
        ("└─ <none>", "1MB", "0B"),
        ("lone:1", "7B", "7B"),
    ]


def test_no_images_have_no_rows() -> None:
    assert tree_rows([]) == []
