"""`pull`: from a name to an image that is here: manifest by platform, config, layers side by side, record.

Layers are unpacked while they are received; what was received of one that broke off is kept and the next try goes on
there, in the same pull or a later one. Nothing is believed before its digest fits. Requests are `registry`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sampan.errors import Forbidden, InvalidArgument, NotFound, SampanError, Unauthorized
from sampan.image.content import ContentStore
from sampan.image.images import Images
from sampan.image.layers import Hold
from sampan.image.platforms import choose
from sampan.image.pull_layer import LayerFetch, LayerProgress, Progress, short_digest
from sampan.image.records import Image, Origin
from sampan.image.registry import Registry
from sampan.image.registry_http import Pause
from sampan.oci.digest import digest_of, parse_digest
from sampan.oci.image_spec import (
    LARGEST_CONFIG,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    decode_config,
    decode_manifest_or_index,
)
from sampan.oci.reference import Reference

_CONFIGS = frozenset({"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json", ""})


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that is here now: by which digest the registry knows it, and whether it was not before."""

    image: Image
    reference: Reference
    digest: str
    is_new: bool


@dataclass(slots=True)
class Puller:
    """Pulls into one image store; layers that several pulls want at once are received once."""

    images: Images
    content: ContentStore
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(3))
    pause: Pause = asyncio.sleep
    _coming: dict[str, asyncio.Event] = field(default_factory=dict)

    async def pull(
        self,
        registry: Registry,
        reference: Reference,
        *,
        platform: tuple[str, str, str] = ("", "", ""),
        progress: Progress = lambda _: None,
    ) -> Pulled:
        """Pull one tag or digest. The registry is open and of the reference's domain.

        Raises NotFound, Unauthorized, Unavailable in Docker's words; InvalidArgument for content that is not what its
        digest says, or no image. A cancelled pull leaves what it received for the next one.
        """
        reference = reference.with_default_tag()
        name = reference.path
        try:
            top = await registry.manifest(name, str(reference.digest) if reference.digest else reference.tag)
            manifest, content = await self._manifest(registry, name, top.content, top.media_type, platform)
            config = await registry.blob(name, manifest.config.digest, LARGEST_CONFIG)
        except SampanError as error:
            raise _in_docker_s_words(error, reference) from error
        about = decode_config(config)
        if about.os not in {"", "linux"}:
            raise InvalidArgument(
                f'image operating system "{about.os}" cannot be used on this platform',
                remedy="only linux images run here",
            )
        diff_ids = about.rootfs.diff_ids or ()
        if len(diff_ids) != len(manifest.layers):
            raise InvalidArgument(
                f"the config of {reference.familiar} has {len(diff_ids)} layers, its manifest {len(manifest.layers)}",
                remedy="the image was built wrongly; tell whoever made it",
            )
        if content == top.content:  # nothing was chosen from a list
            _check_platform(reference, about, platform)
        if self.images.records.has(str(digest_of(config))):
            progress = _silent(progress)
        with self.images.layers.hold(diff_ids) as hold:
            await self._layers(registry, name, list(zip(manifest.layers, diff_ids, strict=True)), hold, progress)
            documents = [await asyncio.to_thread(self.content.write, one) for one in {content, top.content}]
            return self._record(reference, config, top.digest, documents)

    async def _manifest(
        self, registry: Registry, name: str, content: bytes, media_type: str, platform: tuple[str, str, str]
    ) -> tuple[Manifest, bytes]:
        """The manifest of the platform's image, following indexes (each may lead to another only once)."""
        for _ in range(3):
            document = decode_manifest_or_index(content, media_type)
            if isinstance(document, Manifest):
                if document.config.media_type not in _CONFIGS:
                    raise InvalidArgument(
                        f"this is no image: its config is of type {document.config.media_type!r}",
                        remedy="other artifacts are fetched with the tools that made them",
                    )
                return document, content
            chosen = choose(_images_of(document), platform)
            found = await registry.manifest(name, chosen.digest)
            content, media_type = found.content, found.media_type
        raise InvalidArgument("indexes lead to indexes without end")

    async def _layers(
        self,
        registry: Registry,
        name: str,
        wanted: list[tuple[Descriptor, str]],
        hold: Hold,
        progress: Progress,
    ) -> None:
        """Receive all layers that are not here, side by side; the first failure ends the others."""
        once = {diff_id: descriptor for descriptor, diff_id in wanted}
        for descriptor in once.values():
            progress(LayerProgress(short_digest(descriptor.digest), "Pulling fs layer", 0, descriptor.size))
        try:
            async with asyncio.TaskGroup() as group:
                for diff_id, descriptor in once.items():
                    group.create_task(self._layer(registry, name, descriptor, diff_id, hold, progress))
        except* SampanError as errors:
            raise errors.exceptions[0] from None

    async def _layer(
        self,
        registry: Registry,
        name: str,
        descriptor: Descriptor,
        diff_id: str,
        hold: Hold,
        progress: Progress,
    ) -> None:
        async with self._alone(descriptor.digest):
            if await asyncio.to_thread(self.images.layers.has, diff_id):
                progress(LayerProgress(short_digest(descriptor.digest), "Already exists"))
            else:
                async with self.slots:
                    fetch = LayerFetch(registry, name, descriptor, diff_id, progress, self.pause)
                    await fetch.run(self.images.layers, self.content, hold)
        origin = Origin(descriptor.digest, descriptor.size, descriptor.media_type, f"{registry.domain}/{name}")
        self.images.records.add_origin(diff_id, origin)

    def _record(self, reference: Reference, config: bytes, digest: str, documents: list[str]) -> Pulled:
        image_id = str(digest_of(config))
        pinned = reference.with_digest(parse_digest(digest))
        named = self.images.names.find(reference)
        is_new = named != image_id
        image = self.images.record(config, documents=documents)
        self.images.point(pinned, image.id)
        if reference.digest is None:
            self.images.point(reference, image.id)
        return Pulled(image, reference, digest, is_new)

    @asynccontextmanager
    async def _alone(self, digest: str) -> AsyncIterator[None]:
        """One at a time receives a layer; whoever waited finds it here afterwards."""
        while (event := self._coming.get(digest)) is not None:
            await event.wait()
        self._coming[digest] = event = asyncio.Event()
        try:
            yield
        finally:
            del self._coming[digest]
            event.set()


def _silent(progress: Progress) -> Progress:
    """Progress of an image that is here already: as in Docker, nothing is told of its layers unless they are not."""

    def tell(step: LayerProgress) -> None:
        if step.status not in {"Pulling fs layer", "Already exists"}:
            progress(step)

    return tell


def _check_platform(reference: Reference, config: ImageConfig, platform: tuple[str, str, str]) -> None:
    """See that an image without a list of platforms is of the one that was asked for by name."""
    os_name, architecture, _ = platform
    if architecture and config.architecture and (config.os or "linux", config.architecture) != (os_name, architecture):
        raise NotFound(
            f"image with reference {reference.familiar} was found but does not match the specified platform: "
            f"wanted {os_name}/{architecture}, actual: {config.os}/{config.architecture}",
            remedy="leave --platform out to take it as it is",
        )


def _images_of(index: Index) -> list[Descriptor]:
    """The manifests of an index without attestations and the like."""
    return [
        one for one in index.manifests if not one.artifact_type and "vnd.docker.reference.type" not in one.annotations
    ]


def _in_docker_s_words(error: SampanError, reference: Reference) -> SampanError:
    """What a registry says of a name that is not there, as Docker words it."""
    if isinstance(error, NotFound) and "no matching manifest" in str(error):
        return error
    if isinstance(error, NotFound) and "manifest" in str(error).lower():
        return NotFound(
            f"manifest for {reference.familiar} not found: manifest unknown: manifest unknown",
            remedy="is the tag right?",
        )
    is_denied = isinstance(error, Forbidden) and ": denied" in str(error)
    if is_denied or isinstance(error, Unauthorized | NotFound):
        return NotFound(
            f"pull access denied for {reference.familiar_name}, repository does not exist"
            f" or may require 'docker login'{f': {error}' if is_denied else ''}",
            remedy="is the name right? For a private repository log in with `sampan login`",
        )
    return error
