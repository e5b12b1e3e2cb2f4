"""Which images are shown, pruned and counted: filters by Docker's rules, and what images take of the disk."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.expression import expression
from sampan.image.images import Images, Removal
from sampan.image.records import Image
from sampan.oci.reference import Reference

_FRACTION = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """What an image must be to be listed; nothing said lets everything through.

    `labels` are "name" or "name=value" and all must be there, of `not_labels` none; `before` and `since` are image ids;
    `references` are patterns of which one must fit; `until_s` is the time before which the image must be made. Without
    `intermediate` those are left out that have no name and are the parent of another, as the steps of a build are.
    """

    dangling: bool | None = None
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()
    before: str = ""
    since: str = ""
    references: tuple[str, ...] = ()
    intermediate: bool = True
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """What an image takes of the disk: all of it, and the part that it shares with other images."""

    image: Image
    size: int
    shared: int


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What all images together take of the disk (each layer once), and each of them."""

    layers: int
    images: tuple[ImageUsage, ...]


def created_s(image: Image) -> float:
    """When the image was made, in seconds since 1970; 0 when its config does not say or says nonsense."""
    return seconds_of(image.config.created or "") if image.made_s is None else image.made_s


def seconds_of(created: str) -> float:
    """The time of a config in seconds since 1970; 0 for nonsense."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", created))
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def select(images: Images, wanted: ImageFilter, *, among: Iterable[Image] | None = None) -> list[Image]:
    """The images that fit, newest first. NotFound for a `before` or `since` that is not there."""
    names = images.names.all()
    latest = created_s(images.records.get(wanted.before)) if wanted.before else None
    earliest = created_s(images.records.get(wanted.since)) if wanted.since else None
    parents = {image.parent for image in images.records.all()}
    found = []
    for image in images.records.all() if among is None else among:
        made = created_s(image)
        if latest is not None and made >= latest:
            continue
        if earliest is not None and made <= earliest:
            continue
        if wanted.until_s is not None and made >= wanted.until_s:
            continue
        references = names.get(image.id, [])
        is_dangling = not references and image.id not in parents
        if not (wanted.intermediate or references or is_dangling):
            continue
        if wanted.dangling is not None and wanted.dangling is not is_dangling:
            continue
        if _has_labels(image, wanted) and _has_reference(references, wanted.references):
            found.append(image)
    return sorted(found, key=lambda image: (-created_s(image), image.id))


def descendants(images: Images, references: Iterable[str]) -> frozenset[str]:
    """The ids of the images that the references mean, as far as these are there, and of all that were made of them."""
    found: set[str] = set()
    new = {image_id for reference in references if (image_id := images.find_any(reference))}
    while new:
        found |= new
        new = {child for image_id in new for child in images.records.children(image_id)} - found
    return frozenset(found)


def shown_references(references: Iterable[Reference], patterns: tuple[str, ...]) -> list[Reference]:
    """Those of an image's names that one of the patterns fits; all when there is no pattern."""
    return [one for one in references if not patterns or any(matches(one, pattern) for pattern in patterns)]


def matches(reference: Reference, pattern: str) -> bool:
    """Whether a pattern (`*` and `?` stop at a slash) fits a name as people write it, with or without its tag."""
    wanted = expression(_glob(pattern))
    return any(wanted.fullmatch(text) for text in (reference.familiar, reference.familiar_name))


def prune(images: Images, wanted: ImageFilter, *, unused: bool) -> Iterator[Removal]:
    """Remove images without a name that no container has, one a step; with `unused` also those with names.

    Others may act between the steps: what came after the first one stays, and so does what something needs by then.
    Children go before parents. Steps are fast; the disk is freed by LayerStore.dispose.
    """
    left = select(images, wanted)
    while left:
        kept = []
        for image in left:
            done = _prune_one(images, image.id, unused=unused)
            if done.done:
                yield done
            else:
                kept.append(image)
        if len(kept) == len(left):
            return
        left = kept


def disk_usage(images: Images) -> DiskUsage:
    """What images take of the disk. Looks at every layer's description once.

    As Docker counts them: without those that are only a step on another's way; what an image shares with its own steps
    is its own.
    """
    listed = select(images, ImageFilter(intermediate=False))
    users = Counter(diff_id for image in listed for diff_id in set(image.diff_ids))
    sizes = {diff_id: images.layers.get(diff_id).bytes for diff_id in images.layers.list()}
    usage = tuple(
        ImageUsage(
            image,
            image.size,
            sum(sizes.get(diff_id, 0) for diff_id in set(image.diff_ids) if users[diff_id] > 1),
        )
        for image in listed
    )
    return DiskUsage(sum(sizes.values()), usage)


def _prune_one(images: Images, image_id: str, *, unused: bool) -> Removal:
    done = Removal()
    names = [one.familiar for one in images.names.of(image_id)]
    if (names and not unused) or not images.records.has(image_id) or _is_needed(images, image_id):
        return done
    for name in names or [image_id]:
        try:
            done += images.remove(name, prune=True)
        except NotFound:
            continue  # a digest goes with the last tag of its repository
        except Conflict:
            return done
    return done


def _is_needed(images: Images, image_id: str) -> bool:
    in_use = images.usage.running(image_id) or images.usage.stopped(image_id)
    return bool(in_use or images.records.children(image_id))


def _has_labels(image: Image, wanted: ImageFilter) -> bool:
    labels = image.defaults.labels or {}

    def has(text: str) -> bool:
        name, equals, value = text.partition("=")
        return name in labels and (not equals or labels[name] == value)

    return all(map(has, wanted.labels)) and not any(map(has, wanted.not_labels))


def _has_reference(references: list[Reference], patterns: tuple[str, ...]) -> bool:
    return not patterns or bool(shown_references(references, patterns))


def _glob(pattern: str) -> str:
    pieces = {"*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\[[^\]]+\])", pattern)
    if any("[" in part for part in parts[::2]):
        raise InvalidArgument("syntax error in pattern", remedy="close each [ with a ], as in reference=app-[ab]")
    return "".join(
        part
        if part.startswith("[") and part.endswith("]")
        else "".join(pieces.get(one, re.escape(one)) for one in part)
        for part in parts
    )
