"""Image archives on their way out, as `docker save` writes them: an OCI image layout and Docker's manifest.json.

Layers are uncompressed, so that they have the digests by which configs name them, and each is in it once. The same
images give the same bytes. What is to be saved is settled first (`plan_save`, fast); the bytes then come from a thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sampan.errors import InvalidArgument, NotFound
from sampan.image.images import Images
from sampan.image.layers import LayerStore
from sampan.image.records import Base
from sampan.image.tar_entry import Entry, Kind
from sampan.image.tar_write import END, encode_entry, encode_file, padding
from sampan.oci.digest import digest_of
from sampan.oci.image_spec import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    encode,
)
from sampan.oci.reference import Reference, parse_reference

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An image that is to be saved, with the tags that go along."""

    image_id: str
    config: bytes
    diff_ids: tuple[str, ...]
    references: tuple[Reference, ...]
    parent: str = ""


def plan_save(images: Images, names: Iterable[str]) -> list[Outgoing]:
    """Which images the names mean: a tag, a repository with all of its tags, or an id without any.

    Raises NotFound, and InvalidArgument for an image that stands on the machine itself.
    """
    wanted: dict[str, list[Reference]] = {}
    for name in names:
        for image_id, reference in _meant(images, name):
            references = wanted.setdefault(image_id, [])
            if reference is not None and reference not in references:
                references.append(reference)
    outgoing = []
    for image_id, references in wanted.items():
        image = images.records.get(image_id)
        if image.base is not Base.NOTHING:
            name = references[0].familiar if references else image_id
            raise InvalidArgument(
                f"image {name} stands on this machine itself and cannot be taken along",
                remedy="export a container of it with `sampan export`",
            )
        config = images.records.config_document(image_id)
        outgoing.append(Outgoing(image_id, config, image.diff_ids, tuple(references), image.parent))
    return outgoing


def layers_of(images: Images, names: Iterable[str]) -> set[str]:
    """The diff-ids that the other side has when it has these images; for a thin archive."""
    return {diff_id for name in names for diff_id in images.get(name).diff_ids}


def write_archive(outgoing: Iterable[Outgoing], layers: LayerStore, without: Iterable[str] = ()) -> Iterator[bytes]:
    """The archive, in pieces; `without` leaves out layers that the other side has.

    Raises SystemFailure when a layer is damaged: the archive then ends without its end.
    """
    images = list(outgoing)
    left_out = set(without)
    blobs: dict[str, bytes | str] = {}  # digest -> a document, or the diff-id of a layer
    sizes = {diff_id: layers.get(diff_id).tar_bytes for image in images for diff_id in image.diff_ids}
    manifests = []
    for image in images:
        blobs[image.image_id] = image.config
        blobs |= {diff_id: diff_id for diff_id in image.diff_ids if diff_id not in left_out}
        manifest = encode(_manifest(image, sizes))
        digest = str(digest_of(manifest))
        blobs[digest] = manifest
        manifests += [_descriptor(digest, len(manifest), reference) for reference in image.references or (None,)]
    yield _directory("blobs") + _directory("blobs/sha256")
    for digest, blob in sorted(blobs.items()):
        path = _path(digest)
        if isinstance(blob, bytes):
            yield encode_file(path, blob)
            continue
        yield encode_entry(Entry(path.encode(), Kind.FILE, size=sizes[blob]))
        yield from layers.archive(blob)
        yield padding(sizes[blob])
    index = Index(schema_version=2, media_type=OCI_INDEX, manifests=tuple(manifests))
    yield encode_file("index.json", encode(index))
    yield encode_file("manifest.json", _docker_manifest(images))
    yield encode_file("oci-layout", _LAYOUT)
    if repositories := _repositories(images):
        yield encode_file("repositories", repositories)
    yield END


def _meant(images: Images, name: str) -> list[tuple[str, Reference | None]]:
    try:
        reference = parse_reference(name)
    except InvalidArgument:
        return [(images.get(name).id, None)]
    if not reference.tag and reference.digest is None and (tags := images.names.tags_of(reference.name)):
        return [(image_id, reference.with_tag(tag)) for tag, image_id in tags]
    image_id = images.names.find(reference.with_default_tag())
    if image_id is None:
        found = images.find(name)
        if found is None:
            raise NotFound(f"No such image: {name}", remedy="look with `sampan images`")
        return [(found, None)]
    return [(image_id, reference if reference.tag and reference.digest is None else None)]


def _manifest(image: Outgoing, sizes: dict[str, int]) -> Manifest:
    return Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=Descriptor(media_type=OCI_CONFIG, digest=image.image_id, size=len(image.config)),
        layers=tuple(
            Descriptor(media_type=OCI_LAYER, digest=diff_id, size=sizes[diff_id]) for diff_id in image.diff_ids
        ),
    )


def _descriptor(digest: str, size: int, reference: Reference | None) -> Descriptor:
    names = (
        {}
        if reference is None
        else {"io.containerd.image.name": str(reference), "org.opencontainers.image.ref.name": reference.tag}
    )
    return Descriptor(media_type=OCI_MANIFEST, digest=digest, size=size, annotations=names)


def _docker_manifest(images: list[Outgoing]) -> bytes:
    ids = {image.image_id for image in images}
    listed = [
        {
            "Config": _path(image.image_id),
            "RepoTags": [reference.familiar for reference in image.references] or None,
            "Layers": [_path(diff_id) for diff_id in image.diff_ids],
            **({"Parent": image.parent} if image.parent in ids else {}),
        }
        for image in images
    ]
    return json.dumps(listed, separators=(",", ":")).encode() + b"\n"


def _repositories(images: list[Outgoing]) -> bytes:
    found: dict[str, dict[str, str]] = {}
    for image in images:
        for reference in image.references:
            top = image.diff_ids[-1] if image.diff_ids else image.image_id
            found.setdefault(reference.familiar_name, {})[reference.tag] = top.removeprefix("sha256:")
    return json.dumps(found, separators=(",", ":")).encode() + b"\n" if found else b""


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _directory(path: str) -> bytes:
    return encode_entry(Entry(path.encode(), Kind.DIRECTORY, mode=0o755))
