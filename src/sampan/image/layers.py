"""The layers on disk: each once, by its diff-id, unpacked whole or not there at all.

    layers/<diff-id>/diff        the tree, as overlayfs takes it for a lower layer
    layers/<diff-id>/recipe      what the archive has beside it (`recipe`)
    layers/<diff-id>/shelter/    what later entries of the same archive replaced; hardly ever there
    layers/<diff-id>/layer.json  sizes
    layers/<diff-id>/unsettled   while it may not be on the disk (`settling`)
    layers/bottom/               what is below the layers of every container (`bottom`)
    layers/new-…/                one that is being made; shared-…/ are mount points of steps (`stubs`)

A layer does not depend on those below it, so images whose layers are the same share them whatever their order. Which
images there are is `records`; what an archive may do is `unpack`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Self

import zstandard

from sampan.errors import InvalidArgument, NotFound, SampanError, SystemFailure
from sampan.image.inflow import SHA256, Arrived, Reading, flow_in
from sampan.image.pieces import ChunkReader
from sampan.image.recipe import RecipeWriter, replay
from sampan.image.settling import Settler, boot_id, mark, marked_boot
from sampan.image.tar_read import DEFAULT_LIMITS, ArchiveLimits
from sampan.image.tree import disk_failure, place_apart, remove_tree
from sampan.image.unpack import unpack
from sampan.image.unpack_terms import Unpacked
from sampan.linux.overlay import MOST_LOWERS, is_opaque

_NEW, SHARED = "new-", "shared-"
FEWER_LAYERS = "join steps that change files, or build an image below them with --squash"
_HEX = 64
_DIFF_ID = re.compile(f"sha256:([0-9a-f]{{{_HEX}}})")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that is here: `bytes` is the sum of its files, `tar_bytes` the size of its archive."""

    diff_id: str
    bytes: int
    tar_bytes: int
    entries: int
    sheltered: int = 0
    opaque_root: bool = False  # hides all layers below it


@dataclass(frozen=True, slots=True)
class LayerStore:
    """The layers below one directory, for any number of threads of one process.

    `durable` has them written out a moment later (`settling`); only a test may do without.
    """

    path: str
    limits: ArchiveLimits = DEFAULT_LIMITS
    durable: bool = True
    _held: Counter[str] = field(default_factory=Counter, compare=False, repr=False)
    _described: dict[str, Layer] = field(default_factory=dict, compare=False, repr=False)  # what `get` has read
    _settler: Settler = field(default_factory=Settler, compare=False, repr=False)
    _spare: list[str] = field(default_factory=list, compare=False, repr=False)  # what `begin` gives

    def prepare(self) -> None:
        """Make the directory, closed to all but root, and remove what a crash left half made, or half on the disk."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        os.chmod(self.path, 0o700)
        place_apart(self.path)
        if self.durable:
            self._settler.open(self.path)
        for name in os.listdir(self.path):
            place = os.path.join(self.path, name)
            if name.startswith((_NEW, SHARED)):
                remove_tree(place)
            elif (marked := marked_boot(place)) is not None:
                if marked != boot_id() and not self._is_whole(f"sha256:{name}"):
                    log.warning("layer %s was not on the disk when the machine went down, and is removed", name)
                    remove_tree(place)
                else:
                    self._settler.settle(place)

    def settle(self) -> None:
        """Wait until all layers are on the disk."""
        self._settler.finish()

    def get(self, diff_id: str) -> Layer:
        """The layer; NotFound when it is not here. Read once: a description is never changed."""
        described = self._described.get(diff_id)
        if described is not None and self.has(diff_id):
            return described
        try:
            with open(os.path.join(self._place(diff_id), "layer.json"), encoding="utf-8") as file:
                known = json.load(file)
        except FileNotFoundError:
            raise NotFound(f"layer {diff_id} is not here", remedy="get the image again") from None
        found = self._described[diff_id] = Layer(**{one.name: known[one.name] for one in fields(Layer)})
        return found

    def has(self, diff_id: str) -> bool:
        """Whether the layer is here, whole."""
        return os.path.exists(f"{self._place(diff_id)}/layer.json")

    def stack(self, diff_ids: Sequence[str], fewest: int = 0) -> tuple[str, ...]:
        """The trees of these layers (lowest first) as overlayfs takes them: topmost first, each once.

        It takes no directory twice, and needs none: the topmost of two hides all that the lower one could show. Empty
        trees fill it up to the `fewest` that it takes: one, or two without an upper directory. NotFound for a layer,
        InvalidArgument for more than the kernel takes.
        """
        lowers: dict[str, None] = {}
        for diff_id in reversed(diff_ids):
            layer = self.get(diff_id)
            lowers[self.diff(diff_id)] = None
            if layer.opaque_root:
                break
        if len(lowers) > MOST_LOWERS:
            sentence = f"max depth exceeded: of {len(lowers)} layers the kernel takes {MOST_LOWERS}"
            raise InvalidArgument(sentence, remedy=FEWER_LAYERS)
        return (*lowers, *(self._empty(number) for number in range(fewest - len(lowers))))

    def list(self) -> list[str]:
        """The diff-ids of all layers that are here."""
        return [f"sha256:{name}" for name in os.listdir(self.path) if len(name) == _HEX]

    def diff(self, diff_id: str) -> str:
        """The path of the layer's tree, for an overlay mount; nothing may write to it."""
        return os.path.join(self._place(diff_id), "diff")

    def add(
        self,
        read: Reading,
        *,
        expected_diff_id: str | None = None,
        expected_digest: str | None = None,
        hold: Hold | None = None,
    ) -> tuple[Layer, Arrived]:
        """Unpack a layer's archive, compressed or not, from `read`; it is digested in the same pass.

        When there is one already, it stays and the new one goes. With `hold` it is held from the moment that it is
        there. Raises InvalidArgument when a digest is not the expected one; nothing is left of a layer that failed.
        """
        new = self.begin()
        try:
            arrived, layer = self._unpack(new, read, (expected_digest or SHA256).partition(":")[0])
            for what, is_, should in (
                ("digest", arrived.digest, expected_digest),
                ("diff-id", arrived.diff_id, expected_diff_id),
            ):
                if should is not None and is_ != should:
                    raise InvalidArgument(
                        f"a layer has the {what} {is_} instead of {should}", remedy="get the image again"
                    )
            if layer.sheltered:
                self._verify(new, layer)
            self._commit(new, layer, hold)
            return layer, arrived
        finally:
            remove_tree(new)

    def begin(self, prefix: str = _NEW) -> str:
        """A directory for a layer made in place (`adopt`): to be kept or disposed of, after a crash by `prepare`."""
        if prefix == _NEW:
            with suppress(IndexError):
                return self._spare.pop()
        return self._make(prefix)

    def _make(self, prefix: str) -> str:
        new = os.path.join(self.path, prefix + secrets.token_hex(8))
        os.mkdir(new, 0o700)
        return new

    def stock(self, count: int) -> None:
        """Have so many empty directories ready, where the disk has room: a busy ext4 takes its time to make one."""
        with suppress(OSError, IndexError):
            while len(self._spare) < count:
                self._spare.append(self._make(_NEW))
            while len(self._spare) > count:
                os.rmdir(self._spare.pop())

    def keep(self, new: str, layer: Layer, hold: Hold | None = None) -> None:
        """Let what was made in a directory of `begin`, with its tree and recipe, be this layer, whole.

        When there is one already, it stays and the directory is still there.
        """
        self._describe(new, layer)
        self._commit(new, layer, hold)

    def add_chunks(self, chunks: Iterable[bytes], hold: Hold | None = None) -> Layer:
        """Unpack a layer from an archive that is made in this process."""
        return self.add(ChunkReader(iter(chunks)).read, hold=hold)[0]

    def archive(self, diff_id: str) -> Iterator[bytes]:
        """The layer's archive again, byte for byte; SystemFailure at its end when the digest is another."""
        layer = self.get(diff_id)
        return _checked(_replay(self._place(diff_id), layer), diff_id)

    def hold(self, diff_ids: Iterable[str] = ()) -> Hold:
        """Keep these layers, here already or still to come, from being detached while the block runs."""
        return Hold(self._held, diff_ids)

    def detach(self, diff_id: str) -> str | None:
        """Let the layer be gone at once; returns what `dispose` takes, or None when it is not here or held.

        Fast enough for an event loop; what a crash leaves before `dispose` goes in `prepare`.
        """
        doomed = os.path.join(self.path, _NEW + secrets.token_hex(8))
        with _LOCK:
            if self._held[diff_id] > 0:
                return None
            try:
                os.rename(self._place(diff_id), doomed)
            except FileNotFoundError:
                return None
            self._described.pop(diff_id, None)
        return doomed

    def throw_away(self, path: str) -> str | None:
        """Move what is at `path`, no layer, among the things to `dispose`; None when there is nothing.

        On another file system it stays where it is, and is only returned.
        """
        doomed = os.path.join(self.path, _NEW + secrets.token_hex(8))
        try:
            os.rename(path, doomed)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno in {errno.EXDEV, errno.EBUSY}:
                return path
            raise
        return doomed

    def dispose(self, detached: str) -> None:
        """Free the disk of a detached layer; slow, for a thread."""
        remove_tree(detached)

    def remove(self, diff_id: str) -> None:
        """Remove the layer, if it is here and not held."""
        if detached := self.detach(diff_id):
            self.dispose(detached)

    def _empty(self, number: int) -> str:
        """The path of a tree with nothing in it, each number another."""
        path = os.path.join(self.path, f"empty{number or ''}")
        os.makedirs(path, mode=0o755, exist_ok=True)
        return path

    def _place(self, diff_id: str) -> str:
        found = _DIFF_ID.fullmatch(diff_id)
        if found is None:
            raise InvalidArgument(f"{diff_id!r} is no sha256 digest")
        return f"{self.path}/{found[1]}"

    def _unpack(self, new: str, read: Reading, algorithm: str) -> tuple[Arrived, Layer]:
        for name in ("diff", "shelter"):
            os.mkdir(os.path.join(new, name), 0o700)
            os.chmod(os.path.join(new, name), 0o755)  # without the set-group-id bit of a data root that has it
        tree = _open_directory(new, "diff")
        shelter = _open_directory(new, "shelter")
        try:
            with open(os.path.join(new, "recipe"), "wb") as file:
                recorder = RecipeWriter(file, shelter)

                def consume(chunks: Iterator[bytes]) -> Unpacked:
                    return unpack(chunks, tree, limits=self.limits, recorder=recorder)

                arrived, done = flow_in(read, consume, self.limits, algorithm)
                try:
                    recorder.finish()
                    file.flush()
                except OSError as error:
                    raise disk_failure(f"cannot write the recipe of layer {arrived.diff_id}", error) from error
            layer = Layer(
                diff_id=arrived.diff_id,
                bytes=done.bytes,
                tar_bytes=arrived.plain_size,
                entries=done.entries,
                sheltered=recorder.sheltered,
                opaque_root=is_opaque(tree),
            )
        finally:
            os.close(tree)
            os.close(shelter)
        if not layer.sheltered:
            os.rmdir(os.path.join(new, "shelter"))
        self._describe(new, layer)
        return arrived, layer

    @staticmethod
    def _describe(new: str, layer: Layer) -> None:
        try:
            with open(os.path.join(new, "layer.json"), "w", encoding="utf-8") as description:
                description.write(json.dumps(asdict(layer)))
        except OSError as error:
            raise disk_failure(f"cannot describe layer {layer.diff_id}", error) from error

    def _verify(self, new: str, layer: Layer) -> None:
        """See whether the archive comes out again although entries replaced others, perhaps through links."""
        try:
            for _ in _checked(_replay(new, layer), layer.diff_id):
                pass
        except SystemFailure as error:
            raise InvalidArgument(
                "the layer replaces its own files by way of symbolic links", remedy="build the image anew"
            ) from error

    def _is_whole(self, diff_id: str) -> bool:
        """Whether every byte of the layer's archive is there."""
        try:
            for _ in self.archive(diff_id):
                pass
        except (SampanError, OSError, ValueError, KeyError, TypeError, zstandard.ZstdError):
            return False
        return True

    def _commit(self, new: str, layer: Layer, hold: Hold | None) -> None:
        """Give the layer its name, which says that it is whole, and have it written out."""
        if self.durable:
            try:
                mark(new)
            except OSError as error:
                raise disk_failure(f"cannot write layer {layer.diff_id}", error) from error
        with _LOCK:
            if hold is not None:
                hold.take(layer.diff_id)
            if self.has(layer.diff_id):
                return
            os.rename(new, self._place(layer.diff_id))
            self._described[layer.diff_id] = layer
        if self.durable:
            self._settler.settle(self._place(layer.diff_id))


_LOCK = threading.RLock()


class Hold:
    """Layers (`taken`) that may not be detached until the block ends; more can be taken meanwhile."""

    def __init__(self, held: Counter[str], diff_ids: Iterable[str]) -> None:
        self._held = held
        self.taken = Counter[str]()
        for diff_id in diff_ids:
            self.take(diff_id)

    def take(self, diff_id: str) -> None:
        """Hold another layer, here already or still to come."""
        with _LOCK:
            self._held[diff_id] += 1
            self.taken[diff_id] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with _LOCK:
            self._held.subtract(self.taken)
            self.taken.clear()


def _open_directory(*path: str) -> int:
    return os.open(os.path.join(*path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _replay(place: str, layer: Layer) -> Iterator[bytes]:
    tree = _open_directory(place, "diff")
    shelter = _open_directory(place, "shelter") if layer.sheltered else -1
    try:
        yield from replay(os.path.join(place, "recipe"), tree, shelter)
    finally:
        os.close(tree)
        if shelter >= 0:
            os.close(shelter)


def _checked(chunks: Iterator[bytes], diff_id: str) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if f"sha256:{digest.hexdigest()}" != diff_id:
        raise SystemFailure(
            f"layer {diff_id} is no longer as it was unpacked",
            remedy="something wrote below the data root; remove the image and get it again",
        )
