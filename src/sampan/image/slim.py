"""`--squash` and `--slim`: an image in one layer, without what its own layers hide, and without rubbish.

The layers are mounted over each other, seen by nobody, and packed as one; the config stays, and its history says what
was done. What is rubbish is `diet_rubbish`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from sampan.errors import InvalidArgument
from sampan.image.diet_rubbish import NEEDED_AT_RUN_TIME, RUBBISH, rubbish_of
from sampan.image.import_rootfs import now
from sampan.image.layers import Hold, Layer, LayerStore
from sampan.image.pack import PackOptions, pack
from sampan.image.records import Base, Image
from sampan.linux.mount import MountAttr
from sampan.linux.overlay import mount_overlay
from sampan.oci.image_spec import History, RootFs, encode

KINDS = tuple(dict.fromkeys(rubbish.kind for rubbish in RUBBISH))
SAFE_KINDS = tuple(kind for kind in KINDS if kind not in NEEDED_AT_RUN_TIME)


@dataclass(frozen=True, slots=True)
class Slimmed:
    """The one layer and the config of the smaller image, and the bytes that the larger one carried."""

    layer: Layer
    config: bytes
    size_before: int


def squash(layers: LayerStore, hold: Hold, image: Image, *, leave_out: Iterable[str] = ()) -> Slimmed:
    """Make the image's one-layer form; with `leave_out`, kinds of rubbish, their files are not in it. For a thread.

    Raises InvalidArgument for an image of the machine itself and for an unknown kind, SystemFailure for a full disk.
    """
    kinds = set(leave_out)
    if unknown := kinds - set(KINDS):
        raise InvalidArgument(f"unknown kind {min(unknown)!r}", remedy=f"kinds are {', '.join(KINDS)}")
    if image.base is not Base.NOTHING:
        raise InvalidArgument("an image of the machine itself has no layers to squash")
    layer = _pack(layers, hold, image, kinds)
    return Slimmed(layer, _config(image, layer, kinds), image.size)


def _pack(layers: LayerStore, hold: Hold, image: Image, kinds: set[str]) -> Layer:
    def unwanted(path: bytes) -> bool:
        rubbish = rubbish_of(path.decode("utf-8", "surrogateescape")) if kinds else None
        return rubbish is not None and rubbish.kind in kinds

    root = mount_overlay(layers.stack(image.diff_ids, 2), attributes=int(MountAttr.RDONLY))
    try:
        return layers.add_chunks(pack(root, PackOptions(leave_out=unwanted)), hold)
    finally:
        os.close(root)


def _config(image: Image, layer: Layer, kinds: set[str]) -> bytes:
    steps = tuple(msgspec.structs.replace(step, empty_layer=True) for step in image.config.history or ())
    done = f"squashed {len(image.diff_ids)} layers into one"
    without = f", without {', '.join(sorted(kinds))}" if kinds else ""
    last = History(created=now(), created_by="sampan", comment=done + without)
    return encode(
        msgspec.structs.replace(
            image.config,
            created=last.created,
            rootfs=RootFs(diff_ids=(layer.diff_id,)),
            history=(*steps, last),
        )
    )
