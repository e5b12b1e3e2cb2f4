"""A build's cache as an image: what `--cache-to` gives away, and `--cache-from` takes.

It is an ordinary image with the layers that the build's steps made, those of the bases left out; a label holds for
each step its key and the configuration document of the image that it led to. So whatever carries images carries a
cache, and what comes is held to its digests. It runs nothing, and is a cache only for builds that name it.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from sampan.errors import InvalidArgument
from sampan.image.commit import EMPTY_LAYER
from sampan.image.records import Image
from sampan.oci.image_spec import ContainerDefaults, History, ImageConfig, RootFs, encode

LABEL = "sampan.build.cache"
_MOST_BYTES = 64 << 20


def cache_config(steps: Iterable[tuple[str, Image]], base_layers: Iterable[str], created: str) -> bytes:
    """The configuration document of the image for these steps (key and image); of bases only the layers are named."""
    left_out = {*base_layers, EMPTY_LAYER}
    records: dict[str, str] = {}
    layers: dict[str, None] = {}
    image: Image | None = None
    for key, image in steps:
        records[key] = encode(image.config).decode()
        layers |= dict.fromkeys(diff_id for diff_id in image.diff_ids if diff_id not in left_out)
    packed = base64.b64encode(zlib.compress(msgspec.json.encode(records))).decode()
    history = tuple(History(created=created, created_by=f"a layer of a build's cache, {one}") for one in layers)
    platform = image.config if image is not None else ImageConfig(os="linux", architecture="amd64", rootfs=RootFs())
    return encode(
        ImageConfig(
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant,
            created=created,
            config=ContainerDefaults(labels={LABEL: packed}),
            rootfs=RootFs(diff_ids=tuple(layers)),
            history=history,
        )
    )


def is_cache(image: Image) -> bool:
    """Whether the image is a build's cache."""
    return LABEL in (image.defaults.labels or {})


def read_cache(image: Image) -> Mapping[str, bytes]:
    """The configuration documents of steps by their keys. Raises InvalidArgument for a label that is none."""
    packed = (image.defaults.labels or {}).get(LABEL, "")
    try:
        inflate = zlib.decompressobj()
        content = inflate.decompress(base64.b64decode(packed, validate=True), _MOST_BYTES)
        if inflate.unconsumed_tail:
            raise ValueError("it is larger than any cache")
        records = msgspec.json.decode(content, type=dict[str, str])
    except (binascii.Error, zlib.error, ValueError, msgspec.MsgspecError) as error:
        raise InvalidArgument(
            f"the cache {image.id} cannot be read: {error}", remedy="make it again with --cache-to"
        ) from error
    return {key: document.encode() for key, document in records.items()}


def chain_of(image: Image, known: Mapping[str, Image]) -> Iterator[Image]:
    """The image and those that it was made from, as far as they are known, the last first."""
    one: Image | None = image
    while one is not None:
        yield one
        one = known.get(one.parent)
