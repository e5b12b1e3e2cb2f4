"""Image archives on their way in: the forms of `docker save`, old and new, and the OCI image layout, in one pass.

Layers are unpacked as they come, whatever comes later; documents are kept in memory; at the end the documents say which
images there are. Nothing is recorded here: the result says what is to be. Source: OCI image specification,
image-layout.md; moby, image/spec/spec.md.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import msgspec

from sampan.errors import InvalidArgument, SampanError
from sampan.image.compression import MAGIC_BYTES, PIECE, Compression, decompress, detect
from sampan.image.inflow import Reading
from sampan.image.layers import Hold, LayerStore
from sampan.image.pieces import ChunkReader
from sampan.image.platforms import choose, fits
from sampan.image.tar_entry import BLOCK, Kind
from sampan.image.tar_read import TarReader
from sampan.oci.digest import digest_of
from sampan.oci.image_spec import Descriptor, History, Index, Manifest, decode_config, decode_manifest_or_index
from sampan.oci.reference import Reference, parse_reference

_LARGEST_DOCUMENT = 16 << 20
_MOST_DOCUMENTS = 128 << 20
_BLOBS = "blobs/"
_REMEDY = "save the image again; a thin archive needs the images that it was made against"
_CONTAINERD_NAME = "io.containerd.image.name"
_OCI_NAME = "org.opencontainers.image.ref.name"


class _Saved(msgspec.Struct, frozen=True, rename="pascal"):
    """One image of manifest.json."""

    config: str
    repo_tags: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """An image that an archive brings: its config, whose layers are all here, its names, and its parent beside it."""

    config: bytes
    references: tuple[Reference, ...]
    parent: str = ""


@dataclass(slots=True)
class _Found:
    """What was in the archive, by path."""

    documents: dict[str, bytes] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)  # path -> diff-id
    links: dict[str, str] = field(default_factory=dict)
    failures: dict[str, SampanError] = field(default_factory=dict)
    size: int = 0


def read_archive(
    read: Reading,
    layers: LayerStore,
    hold: Hold,
    *,
    layer_of: Callable[[str], str | None] = lambda _: None,
    platform: tuple[str, str, str] = ("", "", ""),
    progress: Callable[[str, int, int], None] = lambda _name, _done, _size: None,
) -> list[Incoming]:
    """Read a whole archive, compressed or not, and unpack its layers, which `hold` keeps.

    `layer_of` says by which diff-id a compressed blob is here already; `platform` chooses among an index's images (this
    machine's when empty). `progress` is told a layer's path, bytes read of it, and its size. Layers that the archive
    leaves out are taken from the store. Raises InvalidArgument for a damaged archive or one that holds no image.
    """
    found = _Found()
    reader = TarReader(_plain(read))
    for entry in reader:
        path = posixpath.normpath(entry.name.decode("utf-8", "surrogateescape")).lstrip("/")
        if entry.kind in (Kind.SYMLINK, Kind.LINK):
            target = entry.link.decode("utf-8", "surrogateescape")
            base = posixpath.dirname(path) if entry.kind is Kind.SYMLINK else ""
            found.links[path] = posixpath.normpath(posixpath.join(base, target)).lstrip("/")
        elif entry.kind is Kind.FILE and entry.size and entry.segments is None:
            _take(path, entry.size, reader, found, _Into(layers, hold, layer_of, progress))
    reader.drain()
    return _images(found, layers, hold, platform)


def _plain(read: Reading) -> Iterator[bytes]:
    magic = b""
    while len(magic) < MAGIC_BYTES and (more := read(PIECE)):
        magic += more

    def chunks() -> Iterator[bytes]:
        data = magic
        while data:
            yield data
            data = read(PIECE)

    return decompress(detect(magic), chunks())


@dataclass(frozen=True, slots=True)
class _Into:
    """Where layers go."""

    layers: LayerStore
    hold: Hold
    layer_of: Callable[[str], str | None]
    progress: Callable[[str, int, int], None]


def _take(path: str, size: int, reader: TarReader, found: _Found, into: _Into) -> None:
    """Take one file of the archive: a document into memory, a layer into the store, anything else not at all."""
    digest = _digest_in(path)
    here = _already_here(digest, into)
    if here is not None:
        found.layers[path] = here
        return
    pieces = (bytes(piece) for piece in reader.payload())
    head = b""
    while len(head) < min(size, BLOCK) and (piece := next(pieces, b"")):
        head += piece
    if detect(head[:MAGIC_BYTES]) is Compression.NONE and head[257:262] != b"ustar":
        if size <= _LARGEST_DOCUMENT and head.lstrip()[:1] in (b"{", b"["):
            _keep_document(path, head + b"".join(pieces), digest, found)
        return

    def chunks() -> Iterator[bytes]:
        done = len(head)
        yield head
        for piece in pieces:
            done += len(piece)
            into.progress(path, done, size)
            yield piece

    try:
        layer, _ = into.layers.add(ChunkReader(chunks()).read, expected_digest=digest, hold=into.hold)
        found.layers[path] = layer.diff_id
    except InvalidArgument as error:
        found.failures[path] = error  # only of importance when an image has it


def _digest_in(path: str) -> str | None:
    """The digest that a blob's path in an OCI layout gives it."""
    algorithm, _, name = path.removeprefix(_BLOBS).partition("/")
    return f"{algorithm}:{name}" if path.startswith(_BLOBS) and name else None


def _already_here(digest: str | None, into: _Into) -> str | None:
    if digest is None or not digest.startswith("sha256:"):
        return None
    for diff_id in (digest, into.layer_of(digest)):
        if diff_id is not None:
            into.hold.take(diff_id)
            if into.layers.has(diff_id):
                return diff_id
    return None


def _keep_document(path: str, content: bytes, digest: str | None, found: _Found) -> None:
    if digest is not None and str(digest_of(content, digest.partition(":")[0])) != digest:
        raise InvalidArgument(f"{path} in the archive is not what its name says", remedy=_REMEDY)
    found.size += len(content)
    if found.size > _MOST_DOCUMENTS:
        raise InvalidArgument(f"the archive has more than {_MOST_DOCUMENTS} bytes of documents")
    found.documents[path] = content


def _images(found: _Found, layers: LayerStore, hold: Hold, platform: tuple[str, str, str]) -> list[Incoming]:
    if "manifest.json" in found.documents:
        images = _of_docker(found, layers, hold)
    elif "index.json" in found.documents:
        images = _of_layout(found, layers, hold, platform)
    else:
        raise InvalidArgument(
            "the archive holds no image: it has neither manifest.json nor index.json",
            remedy="use `sampan import` for the archive of a root file system",
        )
    if not images:
        raise InvalidArgument("the archive lists no image")
    return images


def _of_docker(found: _Found, layers: LayerStore, hold: Hold) -> list[Incoming]:
    try:
        saved = msgspec.json.decode(found.documents["manifest.json"], type=list[_Saved])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"manifest.json of the archive: {error}") from None
    images = []
    for one in saved:
        config = _document(found, one.config)
        diff_ids = [_layer(found, path, hold) for path in one.layers or ()]
        _check_layers(config, diff_ids, layers, hold)
        references = tuple(parse_reference(name).named() for name in one.repo_tags or ())
        images.append(Incoming(config, references, one.parent))
    histories = {str(digest_of(image.config)): decode_config(image.config).history or () for image in images}
    return [image if _is_child(histories, image) else replace(image, parent="") for image in images]


def _is_child(histories: dict[str, tuple[History, ...]], image: Incoming) -> bool:
    """Whether the image is one step behind the one that is said to be its parent, as Docker looks at it."""
    own, above = histories[str(digest_of(image.config))], histories.get(image.parent)
    return above is not None and len(own) == len(above) + 1 and own[:-1] == above


def _of_layout(found: _Found, layers: LayerStore, hold: Hold, platform: tuple[str, str, str]) -> list[Incoming]:
    index = decode_manifest_or_index(found.documents["index.json"])
    if isinstance(index, Manifest):
        raise InvalidArgument("index.json of the archive is no index")
    images: dict[bytes, Incoming] = {}
    fitting = [one for one in index.manifests if len(index.manifests) == 1 or fits(one, platform)]
    for descriptor in fitting:
        manifest = _manifest(found, descriptor, platform)
        if manifest is None:
            continue
        config = _document(found, _path_of(manifest.config.digest))
        diff_ids = [_layer(found, _path_of(layer.digest), hold) for layer in manifest.layers]
        _check_layers(config, diff_ids, layers, hold)
        before = images.get(config, Incoming(config, ()))
        references = (*before.references, *_names(descriptor))
        images[config] = Incoming(config, tuple(dict.fromkeys(references)))
    return list(images.values())


def _manifest(found: _Found, descriptor: Descriptor, platform: tuple[str, str, str]) -> Manifest | None:
    """The manifest that a descriptor leads to, an index's by platform; None for what is no image."""
    document = decode_manifest_or_index(_document(found, _path_of(descriptor.digest)), descriptor.media_type)
    if isinstance(document, Index):
        return _manifest(found, choose(document.manifests, platform), platform)
    return None if document.artifact_type else document


def _names(descriptor: Descriptor) -> list[Reference]:
    for key in (_CONTAINERD_NAME, _OCI_NAME):
        name = descriptor.annotations.get(key, "")
        if key == _OCI_NAME and "/" not in name and ":" not in name:
            continue  # a tag alone names nothing
        if name:
            try:
                reference = parse_reference(name).with_default_tag()
            except InvalidArgument:
                continue
            if reference.digest is None or str(reference.digest) == descriptor.digest:
                return [reference]
    return []


def _path_of(digest: str) -> str:
    return _BLOBS + digest.replace(":", "/", 1)


def _document(found: _Found, path: str) -> bytes:
    path = _follow(found, path)
    if path not in found.documents:
        raise InvalidArgument(f"the archive lacks {path}", remedy=_REMEDY)
    return found.documents[path]


def _layer(found: _Found, path: str, hold: Hold) -> str | None:
    """The diff-id of the layer at the path; None when the archive does not hold it."""
    path = _follow(found, path)
    if path in found.failures:
        raise found.failures[path]
    diff_id = found.layers.get(path)
    if diff_id is not None:
        hold.take(diff_id)
    return diff_id


def _follow(found: _Found, path: str) -> str:
    path = posixpath.normpath(path).lstrip("/")
    for _ in range(40):
        if path not in found.links:
            break
        path = found.links[path]
    return path


def _check_layers(config: bytes, diff_ids: list[str | None], layers: LayerStore, hold: Hold) -> None:
    """See that the config's layers are the archive's, or here already where a thin archive leaves them out."""
    about = decode_config(config)
    if about.os not in {"", "linux"}:
        raise InvalidArgument(f"cannot load {about.os} image on linux", remedy="only linux images run here")
    wanted = about.rootfs.diff_ids or ()
    if len(wanted) != len(diff_ids):
        raise InvalidArgument(f"the config names {len(wanted)} layers and the archive {len(diff_ids)}", remedy=_REMEDY)
    image = hashlib.sha256(config).hexdigest()[:12]
    for want, have in zip(wanted, diff_ids, strict=True):
        if have is not None and have != want:
            raise InvalidArgument(f"image {image} wants layer {want}, the archive has {have}", remedy=_REMEDY)
        hold.take(want)
        if not layers.has(want):
            raise InvalidArgument(f"layer {want} of image {image} is neither in the archive nor here", remedy=_REMEDY)
