"""Image events with the attributes that Docker gives them: a name, and all labels of an image that is still there."""

from __future__ import annotations

from sampan.engine.events import Events
from sampan.image.images import Images, Removal


def labels_of(images: Images, image_id: str) -> dict[str, str]:
    """The labels of an image, none when it is gone."""
    return dict(images.records.get(image_id).defaults.labels or {}) if images.records.has(image_id) else {}


def announce(events: Events, images: Images, action: str, image_id: str, name: str = "") -> None:
    """Publish `action` of an image, under `name` or its id."""
    events.publish("image", action, image_id, {**labels_of(images, image_id), "name": name or image_id})


def announce_removal(
    events: Events, removal: Removal, image_id: str = "", labels: dict[str, str] | None = None
) -> None:
    """Publish what a removal did to images; layers have no events.

    A name was that of the image that is removed next, else of `image_id`, whose `labels` these were.
    """
    deleted = [what for kind, what in removal.done if kind == "deleted" and what in removal.image_ids]
    for kind, what in removal.done:
        if kind == "untagged":
            of = image_id or next(iter(deleted), what)
            events.publish("image", "untag", of, {**(labels or {}), "name": of})
        elif deleted and what == deleted[0]:
            events.publish("image", "delete", deleted.pop(0), {"name": what})
