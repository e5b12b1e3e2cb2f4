"""An image as the API shows it: the inspect document and the line of a list."""

from __future__ import annotations

from typing import Any

import msgspec

from sampan.api.call import timestamp
from sampan.api.container_config import process_to
from sampan.api.container_documents import DRIVER
from sampan.api.versions import NO_VIRTUAL_SIZE, Version, has
from sampan.engine.images import EngineImages, process_defaults
from sampan.image.listing import created_s, seconds_of, shown_references
from sampan.image.records import Image


def names_of(images: EngineImages, image: Image, patterns: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    """The image's tags and digest references, those that fit one of the patterns, as they are shown."""
    references = shown_references(images.images.names.of(image.id), patterns)
    tags = [str(reference.familiar) for reference in references if reference.digest is None]
    digests = [str(reference.familiar) for reference in references if reference.digest is not None]
    return sorted(tags), sorted(digests)


def summary(images: EngineImages, image: Image, version: Version, patterns: tuple[str, ...] = ()) -> dict[str, Any]:
    """One entry of GET /images/json, with those of its names that fit one of the patterns."""
    tags, digests = names_of(images, image, patterns)
    document: dict[str, Any] = {
        "Containers": -1,
        "Created": int(created_s(image)),
        "Id": image.id,
        "Labels": image.defaults.labels,
        "ParentId": image.parent,
        "RepoDigests": digests,
        "RepoTags": tags,
        "SharedSize": -1,
        "Size": image.size,
    }
    if not has(version, NO_VIRTUAL_SIZE):
        document["VirtualSize"] = image.size
        if not tags and not digests:
            document |= {"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}
    return document


def inspect(images: EngineImages, image: Image, version: Version) -> dict[str, Any]:
    """The document of GET /images/{name}/json."""
    tags, digests = names_of(images, image)
    config = image.config
    last = config.history[-1] if config.history else None
    document = {
        "Id": image.id,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Parent": image.parent,
        "Comment": last.comment if last else "",
        "Created": (config.created or "") if image.made_s is None else timestamp(int(image.made_s * 10**9)),
        "DockerVersion": "",
        "Author": config.author,
        "Config": {
            **msgspec.to_builtins(process_to(process_defaults(image.defaults))),
            "Labels": image.defaults.labels,
        },
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": image.size,
        "GraphDriver": {"Data": {}, "Name": DRIVER},
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Metadata": {"LastTagTime": timestamp(int((image.tagged_s or 0) * 10**9))},
    }
    if not has(version, NO_VIRTUAL_SIZE):
        document["VirtualSize"] = image.size
    return document


def history(images: EngineImages, image: Image) -> list[dict[str, Any]]:
    """The entries of GET /images/{name}/history, newest first."""
    sizes = iter(images.layers.get(diff_id).bytes for diff_id in image.diff_ids)
    shown = []
    for entry in image.config.history or ():
        made = int(seconds_of(entry.created or ""))
        shown.append(
            {
                "Comment": entry.comment,
                "Created": made,
                "CreatedBy": entry.created_by,
                "Id": "<missing>",
                "Size": 0 if entry.empty_layer else next(sizes, 0),
                "Tags": None,
            }
        )
    shown.reverse()
    made_of: Image | None = image  # each entry is an image of its own as far as its ancestors are here
    for line in shown:
        if made_of is None:
            break
        tags, _ = names_of(images, made_of)
        line |= {"Id": made_of.id, "Tags": tags or None}
        known = made_of.parent and images.images.records.has(made_of.parent)
        made_of = images.images.records.get(made_of.parent) if known else None
    return shown
