"""`commit`: what a container wrote becomes a layer, and with the container's configuration an image.

The layer is made in a thread; whether the container stands still meanwhile is the caller's to see to. The config is
Docker's form of a child image.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import msgspec

from sampan.errors import NotFound
from sampan.image.layers import Hold, Layer, LayerStore
from sampan.image.pack import PackOptions, pack
from sampan.oci.image_spec import ContainerDefaults, History, ImageConfig, RootFs, encode

EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"  # an archive of nothing


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """What goes with the layer: the new image's defaults, who made it by which command, and a remark."""

    defaults: ContainerDefaults
    command: str = ""
    author: str = ""
    comment: str = ""


def commit_layer(upper: str, layers: LayerStore, hold: Hold, *, latest_mtime_s: int | None = None) -> Layer:
    """Make a layer of an overlay's upper directory, without looking at those below.

    Raises NotFound when there is none, SystemFailure for a disk that is full.
    """
    try:
        fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"there is nothing to commit: {upper} is not there") from None
    try:
        return layers.add_chunks(pack(fd, PackOptions(upper=True, latest_mtime_s=latest_mtime_s)), hold)
    finally:
        os.close(fd)


def child_config(parent: ImageConfig, layer: Layer, request: CommitRequest, created: str) -> bytes:
    """The config of the image that is `parent` with one layer more; an empty layer only leaves its history."""
    is_empty = layer.diff_id == EMPTY_LAYER
    step = History(
        created=created,
        created_by=request.command,
        author=request.author,
        comment=request.comment,
        empty_layer=is_empty,
    )
    diff_ids = parent.rootfs.diff_ids or ()
    return encode(
        msgspec.structs.replace(
            parent,
            created=created,
            author=request.author,
            config=request.defaults,
            rootfs=RootFs(diff_ids=diff_ids if is_empty else (*diff_ids, layer.diff_id)),
            history=(*(parent.history or ()), step),
        )
    )
