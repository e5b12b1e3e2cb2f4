"""`push`: an image's layers, config and manifest to a registry, each only when it is not there already.

A layer is made and compressed while it is sent; what it was sent as is remembered, so the next push, or one to another
repository of the same registry, sends nothing. Requests are `registry`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import aiohttp

from sampan.errors import InvalidArgument, NotFound, SampanError, Unavailable
from sampan.image.compression import PIECE, Compression, compress
from sampan.image.content import ContentStore
from sampan.image.feed import from_thread
from sampan.image.images import Images
from sampan.image.pieces import ChunkReader
from sampan.image.pull_layer import short_digest
from sampan.image.records import Base, Image, Origin
from sampan.image.registry import Registry
from sampan.image.registry_http import Pause, RegistryError
from sampan.oci.digest import digest_of, parse_digest
from sampan.oci.image_spec import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    decode_manifest_or_index,
    encode,
)
from sampan.oci.reference import Reference

_TRIES = 4
_OCI_GZIP = f"{OCI_LAYER}+gzip"

PushStatus = Literal["Preparing", "Pushing", "Layer already exists", "Mounted from", "Retrying", "Pushed"]


@dataclass(frozen=True, slots=True)
class PushProgress:
    """How far a layer is: its short diff-id, Docker's word, plain bytes sent and in all; where it was mounted from."""

    id: str
    status: PushStatus
    current: int = 0
    total: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a registry has now under a tag: the manifest's digest and size."""

    reference: Reference
    digest: str
    size: int


@dataclass(slots=True)
class Pusher:
    """Pushes from one image store."""

    images: Images
    content: ContentStore
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(3))
    pause: Pause = asyncio.sleep

    async def push(
        self, registry: Registry, reference: Reference, *, progress: Callable[[PushProgress], None] = lambda _: None
    ) -> Pushed:
        """Push the image that the tag names here. The registry is open and of the reference's domain.

        Raises NotFound for a tag that is not here, InvalidArgument for an image of the machine itself, and what the
        registry refuses.
        """
        image = self._image(reference)
        config = self.images.records.config_document(image.id)
        once = list(dict.fromkeys(image.diff_ids))
        with self.images.layers.hold(once):
            for diff_id in once:
                progress(PushProgress(short_digest(diff_id), "Preparing"))
            tasks = []
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._layer(registry, reference, one, progress)) for one in once]
            except* SampanError as errors:
                raise errors.exceptions[0] from None
            known = {diff_id: task.result() for diff_id, task in zip(once, tasks, strict=True)}
            descriptors = [known[diff_id] for diff_id in image.diff_ids]
            manifest, media_type = self._as_pulled(image, descriptors) or _manifest(config, descriptors)
            await self._small_blob(registry, reference.path, config)
            digest = await registry.put_manifest(reference.path, reference.tag, manifest, media_type)
        self.images.point(reference.with_digest(parse_digest(digest)), image.id)
        return Pushed(reference, digest, len(manifest))

    def _as_pulled(self, image: Image, descriptors: list[Descriptor]) -> tuple[bytes, str] | None:
        """The manifest with which the image came, when it says the same: so its digest stays."""
        layers = [descriptor.digest for descriptor in descriptors]
        for digest in self.images.records.documents_of(image.id):
            if not self.content.has(digest):
                continue
            content = self.content.read(digest)
            manifest = decode_manifest_or_index(content)
            if (
                isinstance(manifest, Manifest)
                and manifest.config.digest == image.id
                and [layer.digest for layer in manifest.layers] == layers
            ):
                return content, manifest.media_type or OCI_MANIFEST
        return None

    def _image(self, reference: Reference) -> Image:
        image_id = self.images.names.find(reference) if reference.tag else None
        if image_id is None:
            has_others = bool(self.images.names.tags_of(reference.name))
            raise NotFound(
                f"tag does not exist: {reference.familiar}"
                if has_others
                else f"An image does not exist locally with the tag: {reference.familiar_name}",
                remedy="tag one first with `sampan tag`",
            )
        image = self.images.records.get(image_id)
        if image.base is not Base.NOTHING:
            raise InvalidArgument(
                f"image {reference.familiar} stands on this machine itself and cannot be pushed",
                remedy="make an image of its own with `sampan export CONTAINER | sampan import - NAME`",
            )
        return image

    async def _layer(
        self,
        registry: Registry,
        reference: Reference,
        diff_id: str,
        progress: Callable[[PushProgress], None],
    ) -> Descriptor:
        """See to it that the registry has a layer; returns what it is called there."""
        async with self.slots:
            failures = 0
            while True:
                upload = _Upload(self.images, registry, reference.path, diff_id, progress)
                try:
                    return await upload.run()
                except (Unavailable, aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                    failures += 1
                    if failures >= _TRIES:
                        remedy = getattr(error, "remedy", "") or "push again"
                        raise Unavailable(f"cannot push layer {diff_id}: {error}", remedy=remedy) from error
                    progress(PushProgress(short_digest(diff_id), "Retrying"))
                    await self.pause(2.0 ** (failures - 1))

    async def _small_blob(self, registry: Registry, name: str, content: bytes) -> None:
        digest = str(digest_of(content))
        if await registry.blob_size(name, digest) is None:
            await registry.finish_upload(name, await registry.start_upload(name), digest, content)


@dataclass(slots=True)
class _Upload:
    """One layer on its way."""

    images: Images
    registry: Registry
    name: str
    diff_id: str
    progress: Callable[[PushProgress], None]

    async def run(self) -> Descriptor:
        origins = self.images.records.origins(self.diff_id)
        for origin in {one.digest: one for one in origins}.values():
            if await self.registry.blob_size(self.name, origin.digest) is not None:
                self._tell("Layer already exists")
                return self._remember(origin.digest, origin.size, origin.media_type)
        place = ""
        for origin in origins:
            domain, _, source = origin.repository.partition("/")
            if domain == self.registry.domain and source != self.name:
                try:
                    left = await self.registry.mount_blob(self.name, origin.digest, source)
                except (NotFound, RegistryError):
                    continue
                if left is None:
                    self._tell("Mounted from", source=source)
                    return self._remember(origin.digest, origin.size, origin.media_type)
                place = left
        return await self._send(place or await self.registry.start_upload(self.name))

    async def _send(self, place: str) -> Descriptor:
        total = self.images.layers.get(self.diff_id).tar_bytes
        digest = hashlib.sha256()
        size = 0
        plain = 0

        def packed() -> Iterator[bytes]:
            nonlocal size
            reader = ChunkReader(compress(Compression.GZIP, archive()))
            while piece := reader.read(PIECE):
                digest.update(piece)
                size += len(piece)
                yield piece

        def archive() -> Iterator[bytes]:
            nonlocal plain
            for piece in self.images.layers.archive(self.diff_id):
                plain += len(piece)
                yield piece

        async def sent() -> AsyncIterator[bytes]:
            async for piece in from_thread(packed()):
                self._tell("Pushing", plain, total)
                yield piece

        place = await self.registry.upload(self.name, place, sent())
        name = f"sha256:{digest.hexdigest()}"
        await self.registry.finish_upload(self.name, place, name)
        self._tell("Pushed", total, total)
        return self._remember(name, size, DOCKER_LAYER)

    def _remember(self, digest: str, size: int, media_type: str) -> Descriptor:
        origin = Origin(digest, size, media_type, f"{self.registry.domain}/{self.name}")
        self.images.records.add_origin(self.diff_id, origin)
        return Descriptor(media_type=media_type, digest=digest, size=size)

    def _tell(self, status: PushStatus, current: int = 0, total: int = 0, source: str = "") -> None:
        self.progress(PushProgress(short_digest(self.diff_id), status, current, total, source))


def _manifest(config: bytes, layers: list[Descriptor]) -> tuple[bytes, str]:
    """Docker's schema 2 when all layers are of its kind, as docker pushes; OCI's otherwise."""
    docker = all(layer.media_type in {DOCKER_LAYER, _OCI_GZIP} for layer in layers)
    layer_type = DOCKER_LAYER if docker else _OCI_GZIP
    manifest_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    manifest = Manifest(
        schema_version=2,
        media_type=manifest_type,
        config=Descriptor(
            media_type=DOCKER_CONFIG if docker else OCI_CONFIG, digest=str(digest_of(config)), size=len(config)
        ),
        layers=tuple(
            Descriptor(
                media_type=layer_type if layer.media_type in {DOCKER_LAYER, _OCI_GZIP} else layer.media_type,
                digest=layer.digest,
                size=layer.size,
            )
            for layer in layers
        ),
    )
    return encode(manifest), manifest_type
