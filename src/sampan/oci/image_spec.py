"""The OCI image specification 1.1 and Docker's schema 2 as frozen structs: descriptor, manifest, index, config.

The two families differ in media types only, so one set of structs reads both. The bytes of a document are what its
digest is of: whoever needs them again keeps them, encoding a decoded struct does not give them back. Unknown fields
are ignored. Fetching, storing and choosing by platform beyond the comparison itself belong to `image`.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct, field

from sampan.errors import InvalidArgument, as_an_end, reason_of
from sampan.oci.documents import decode_document

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

# where programs are looked for when nothing says so, as Docker and its builders have it
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LARGEST_CONFIG = 16 << 20  # bytes of an image config, that a registry or an archive has and a build may make
_MAX_DOCUMENT = 4 * 1024 * 1024


class Platform(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image runs on, in Go's words ("amd64", "arm64" with the variant "v8")."""

    architecture: str = ""
    os: str = ""
    os_version: str = field(name="os.version", default="")
    os_features: tuple[str, ...] = field(name="os.features", default=())
    variant: str = ""


class Descriptor(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Some content: its type, digest and size in bytes."""

    media_type: str = ""
    digest: str
    size: int
    urls: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    data: str = ""
    artifact_type: str = ""
    platform: Platform | None = None


class Manifest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One image: its config and its layers, lowest first."""

    schema_version: Literal[2]
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class Index(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Several images under one name, mostly one for each platform."""

    schema_version: Literal[2]
    media_type: str = ""
    artifact_type: str = ""
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class Healthcheck(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """Docker's health check; durations in nanoseconds, 0 takes the default."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerDefaults(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """The `config` object: what a container of this image does unless it is told otherwise.

    The fields after `stop_signal` are Docker's own and outside of the OCI specification.
    """

    user: str = ""
    exposed_ports: dict[str, dict[str, str]] | None = None
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: dict[str, dict[str, str]] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] | None = None
    shell: tuple[str, ...] | None = None
    stop_timeout: int | None = None
    hostname: str = ""
    domainname: str = ""
    tty: bool = False
    open_stdin: bool = False


class RootFs(Struct, frozen=True, kw_only=True):
    """The digests of the uncompressed layers, lowest first."""

    type: str = "layers"
    diff_ids: tuple[str, ...] | None = None


class History(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a layer came to be; with `empty_layer` it changed the config alone."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The config document; an image's id is the digest of its bytes. `created` is RFC 3339 text."""

    created: str | None = None
    author: str = ""
    architecture: str = ""
    os: str = ""
    os_version: str = field(name="os.version", default="")
    os_features: tuple[str, ...] | None = field(name="os.features", default=None)
    variant: str = ""
    config: ContainerDefaults | None = None
    rootfs: RootFs
    history: tuple[History, ...] | None = None


class _Shape(Struct, frozen=True):
    """Which family a document belongs to, by the fields that it has."""

    media_type: str = field(name="mediaType", default="")
    manifests: object = None
    config: object = None
    layers: object = None
    fs_layers: object = field(name="fsLayers", default=None)


def decode_manifest_or_index(content: bytes, media_type: str = "") -> Manifest | Index:
    """The manifest or index in `content`; `media_type` is what the sender said, if anything.

    Raises InvalidArgument for a document that could be read as both, or whose own media type, the sender's and the
    fields disagree (CVE-2021-41190), for schema 1, and for anything larger than 4 MiB.
    """
    if len(content) > _MAX_DOCUMENT:
        raise InvalidArgument(f"a manifest of {len(content)} bytes is larger than {_MAX_DOCUMENT}")
    shape = _convert(content, _Shape, "manifest")
    if shape.fs_layers is not None:
        raise InvalidArgument("a manifest of schema 1 is not supported", remedy="ask for schema 2 or OCI")
    if shape.manifests is not None and (shape.layers is not None or shape.config is not None):
        raise InvalidArgument("a manifest that is an index too is ambiguous and refused")
    allowed = MANIFEST_TYPES if shape.manifests is None else INDEX_TYPES
    for stated in (shape.media_type, media_type):
        if stated and stated not in allowed:
            raise InvalidArgument(f"media type {stated!r} contradicts the document's content")
    if shape.manifests is None:
        return _convert(content, Manifest, "manifest")
    return _convert(content, Index, "index")


def decode_config(content: bytes) -> ImageConfig:
    """The image config in `content`. Raises InvalidArgument."""
    return _convert(content, ImageConfig, "image config")


def encode(document: Manifest | Index | ImageConfig | Descriptor) -> bytes:
    """The JSON of `document`, fields in the specification's order, empty ones left out."""
    return msgspec.json.encode(document)


def _convert[Document: Struct](content: bytes, kind: type[Document], name: str) -> Document:
    try:
        return decode_document(content, kind)
    except RecursionError:
        raise InvalidArgument(f"{name}: it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{name}: {as_an_end(reason_of(error))}") from None
