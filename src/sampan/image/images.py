"""Images by the names that people give them: finding, tagging, untagging and removing, by Docker's rules.

It changes records and names in single transactions and detaches layers that nothing refers to any more; all of it is
fast and made from the event loop's thread. Listing is `listing`; making images is `import_rootfs`, `commit`,
`load`, `pull`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sampan.errors import Conflict, InvalidArgument, NotFound, NotImplementedHere, SystemFailure
from sampan.image.layers import LayerStore
from sampan.image.names import ImageNames
from sampan.image.records import Base, Image, ImageRecords, chain_ids, transaction
from sampan.image.root_records import RootRecords
from sampan.oci.image_spec import decode_config
from sampan.oci.reference import Reference, parse_reference

_SHORT = 12


class Usage(Protocol):
    """Which containers use an image; whoever keeps containers answers."""

    def running(self, image_id: str) -> str | None:
        """The id of a running container of this image, if there is one."""

    def stopped(self, image_id: str) -> str | None:
        """The id of a container of this image that does not run, if there is one."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What came of a removal, in order: ("untagged", reference) and ("deleted", image or chain id).

    `rubbish` is for LayerStore.dispose, in a thread; `freed_bytes` is what it frees.
    """

    done: tuple[tuple[str, str], ...] = ()
    image_ids: tuple[str, ...] = ()
    rubbish: tuple[str, ...] = ()
    freed_bytes: int = 0

    def __add__(self, other: Removal) -> Removal:
        return Removal(
            self.done + other.done,
            self.image_ids + other.image_ids,
            self.rubbish + other.rubbish,
            self.freed_bytes + other.freed_bytes,
        )


@dataclass(frozen=True, slots=True)
class Images:
    """The images of one engine; `builtin` has those that come to be when asked for by name (`host`, `busybox`)."""

    records: ImageRecords
    names: ImageNames
    roots: RootRecords
    layers: LayerStore
    usage: Usage
    builtin: Mapping[str, Callable[[], Image]] = field(default_factory=dict)

    @property
    def version(self) -> tuple[int, int]:
        """As long as it stays the same, every reference means the image that it meant, and the image is as it was."""
        return self.records.version, self.names.version

    def get(self, reference: str) -> Image:
        """The image that a user means: by name, tag, digest, id, or the beginning of an id that only one has.

        A name wins over an id. Raises NotFound with the words by which Docker's CLI knows to pull; InvalidArgument for
        what is no reference at all.
        """
        image_id = self.find(reference)
        if image_id is not None:
            return self.records.get(image_id)
        made = self._make_builtin(reference)
        if made is not None:
            return made
        raise NotFound(f"No such image: {_as_shown(reference)}", remedy="look with `sampan images`, or pull it")

    def find(self, reference: str) -> str | None:
        """The id of the image that a user means, None when there is none."""
        if reference.startswith("sha256:"):
            return self._by_id(reference)
        try:
            named = parse_reference(reference).with_default_tag()
        except InvalidArgument:
            found = self._by_id(reference)
            if found is None and not (reference and set(reference) <= set("0123456789abcdef")):
                raise
            return found
        return self.names.find(named) or self._by_id(reference)

    def find_any(self, text: str) -> str | None:
        """The same for what may be no reference at all, and then means none."""
        try:
            return self.find(text)
        except InvalidArgument:
            return None

    def tag(self, source: str, target: str) -> tuple[Reference, str, str | None]:
        """Give an image another name; returns it, the image's id, and the id of the image that had the name before.

        Raises InvalidArgument when the new name has a digest, NotFound for the image.
        """
        wanted = parse_reference(target)
        if wanted.digest is not None:
            raise InvalidArgument("refusing to create a tag with a digest reference", remedy="give a name and a tag")
        return self.point(wanted.with_default_tag(), self.get(source).id)

    def point(self, reference: Reference, image_id: str) -> tuple[Reference, str, str | None]:
        """Let a tag or a digest reference name the image; returns as `tag` does."""
        if reference.familiar_name in {"sha256", "sha384", "sha512"}:
            raise InvalidArgument("refusing to create an ambiguous tag using digest algorithm as name")
        with transaction(self.records.connection):
            before = self.names.point(reference, image_id)
            if reference.digest is None:
                self.records.touch(image_id)
        return reference, image_id, before

    def remove(self, reference: str, *, force: bool = False, prune: bool = True) -> Removal:
        """Take the name from an image, and remove the image with its last name (moby's ImageDelete).

        With `prune` parents that are left without name and child go too. Raises Conflict in Docker's words: a running
        container is in the way of everything, a stopped one or several names only without `force`.
        """
        image_id = self.find(reference)
        if image_id is None:
            raise NotFound(f"No such image: {_as_shown(reference)}")
        with transaction(self.records.connection):
            done = self._take_names(reference, image_id, force=force)
            if done is not None and self.names.of(image_id):
                return done
            return (done or Removal()) + self._remove(image_id, force=force, prune=prune, named=done is not None)

    def release_layers(self, diff_ids: Iterable[str]) -> Removal:
        """Detach those of the layers that no image, container or operation needs; for whoever failed half-way."""
        return self._detach([diff_id for diff_id in diff_ids if not self._is_used(diff_id)])

    def recover(self) -> Removal:
        """Put right what a crash left: images without their layers are forgotten, layers without an image detached."""
        present = set(self.layers.list())
        lost = [image.id for image in self.records.all() if not present.issuperset(image.diff_ids)]
        with transaction(self.records.connection):
            for image_id in lost:
                self.names.drop_all(image_id)
                self.records.remove(image_id)
        return Removal(image_ids=tuple(lost)) + self.release_layers(present)

    def record(
        self,
        config: bytes,
        *,
        base: Base = Base.NOTHING,
        parent: str = "",
        documents: Iterable[str] = (),
        made_s: float | None = None,
    ) -> Image:
        """Make an image of its config, whose layers are all here; the caller holds them.

        Raises SystemFailure when one is not, InvalidArgument for a config that is none.
        """
        diff_ids = decode_config(config).rootfs.diff_ids or ()
        try:
            size = sum(self.layers.get(diff_id).bytes for diff_id in diff_ids)
        except NotFound as error:
            raise SystemFailure(f"the image lacks a layer: {error}", remedy="try again") from error
        return self.records.add(config, size=size, base=base, parent=parent, documents=documents, made_s=made_s)

    # the steps of a removal

    def _take_names(self, reference: str, image_id: str, *, force: bool) -> Removal | None:
        """Untag as asked. None when the image was meant by its id and has no names to take."""
        names = self.names.of(image_id)
        if _means_id(reference, image_id):
            if not names or not _is_single(names):
                return None
            self._refuse_conflict(image_id, hard=True, soft=not force, names_count=False)
            return _untagged(self.names.drop_all(image_id))
        used_by = self.usage.running(image_id) or self.usage.stopped(image_id)
        if not force and used_by and _is_single(names):
            raise Conflict(
                f'conflict: unable to remove repository reference "{reference}" (must force)'
                f" - container {used_by[:_SHORT]} is using its referenced image {_short(image_id)}",
                remedy="remove the container first, or pass --force",
            )
        dropped = parse_reference(reference).with_default_tag()
        self.names.drop(dropped)
        done = _untagged([dropped])
        left = [one for one in self.names.of(image_id) if one.name == dropped.name]
        if dropped.digest is None and not any(one.digest is None for one in left):
            for one in left:
                self.names.drop(one)
            done += _untagged(left)
        return done

    def _remove(self, image_id: str, *, force: bool, prune: bool, named: bool) -> Removal:
        """Remove the image itself; when only its last name was asked for, what is in the way is left in peace."""
        try:
            self._refuse_conflict(image_id, hard=True, soft=not force, names_count=True)
        except Conflict:
            if named:
                return Removal()
            raise
        image = self.records.get(image_id)
        done = _untagged(self.names.drop_all(image_id))
        self.records.remove(image_id)
        done += Removal(done=(("deleted", image_id),), image_ids=(image_id,))
        done += self._release_of(image)
        if prune and image.parent and self.records.has(image.parent) and not self.names.of(image.parent):
            try:
                done += self._remove(image.parent, force=False, prune=True, named=False)
            except Conflict:
                return done  # a parent that something needs stays
        return done

    def _refuse_conflict(self, image_id: str, *, hard: bool, soft: bool, names_count: bool) -> None:
        def conflict(why: str, force: str, remedy: str) -> Conflict:
            return Conflict(f"conflict: unable to delete {_short(image_id)} ({force}) - {why}", remedy=remedy)

        if hard and self.records.children(image_id):
            raise conflict("image has dependent child images", "cannot be forced", "remove its child images first")
        if hard and (container := self.usage.running(image_id)):
            why = f"image is being used by running container {container[:_SHORT]}"
            raise conflict(why, "cannot be forced", "stop and remove the container first")
        if soft and names_count and self.names.of(image_id):
            why = "image is referenced in multiple repositories"
            raise conflict(why, "must be forced", "remove its names one by one, or pass --force")
        if soft and (container := self.usage.stopped(image_id)):
            why = f"image is being used by stopped container {container[:_SHORT]}"
            raise conflict(why, "must be forced", "remove the container first, or pass --force")

    def _release_of(self, image: Image) -> Removal:
        """Detach the layers that only this image, gone now, had; told by chain id, topmost first, as Docker does."""
        chains = dict(zip(image.diff_ids, chain_ids(image.diff_ids), strict=True))
        gone = [diff_id for diff_id in chains if not self._is_used(diff_id)]
        detached = self._detach(gone)
        told = tuple(("deleted", chains[diff_id]) for diff_id in reversed(gone))
        return detached + Removal(done=told)

    def _is_used(self, diff_id: str) -> bool:
        return self.records.uses_layer(diff_id) or self.roots.uses_layer(diff_id)

    def _detach(self, diff_ids: Iterable[str]) -> Removal:
        rubbish = []
        freed = 0
        for diff_id in diff_ids:
            size = self.layers.get(diff_id).bytes if self.layers.has(diff_id) else 0
            if detached := self.layers.detach(diff_id):
                self.records.forget_layer(diff_id)
                rubbish.append(detached)
                freed += size
        return Removal(rubbish=tuple(rubbish), freed_bytes=freed)

    # finding

    def _by_id(self, reference: str) -> str | None:
        found = self.records.search(reference)
        return found[0] if len(found) == 1 else None

    def _make_builtin(self, reference: str) -> Image | None:
        try:
            wanted = parse_reference(reference).with_default_tag()
        except InvalidArgument:
            return None
        make = self.builtin.get(wanted.familiar)
        if make is None:
            return None
        try:
            image = make()
        except NotImplementedHere:
            return None  # the machine has not what it takes; a registry may
        self.point(wanted, image.id)
        return image


def _as_shown(reference: str) -> str:
    """A reference as Docker's "No such image" shows it: with its tag."""
    if reference.startswith("sha256:"):
        return reference
    try:
        return parse_reference(reference).with_default_tag().familiar
    except InvalidArgument:
        return reference


def _means_id(reference: str, image_id: str) -> bool:
    return bool(reference) and (
        image_id.startswith(reference) or image_id.removeprefix("sha256:").startswith(reference)
    )


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:_SHORT]


def _untagged(references: Iterable[Reference]) -> Removal:
    return Removal(done=tuple(("untagged", one.familiar) for one in references))


def _is_single(names: list[Reference]) -> bool:
    """Whether the image has at most one tag, and all of its names are of one repository."""
    tags = [one for one in names if one.digest is None]
    return len(tags) <= 1 and len({one.name for one in names}) <= 1
