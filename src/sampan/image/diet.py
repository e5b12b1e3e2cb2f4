"""Image diet: where an image's bytes are, which of them nobody can see or needs, and what would save them.

Layers are compared by their trees: a file that a higher layer replaces or deletes is still carried. Rubbish is what
`diet_rubbish` lists. Instructions of a Dockerfile are named from the image's history. How it is shown is `diet_page`
and the command line; the smaller image is `slim`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sampan.image.diet_rubbish import rubbish_of
from sampan.image.images import Images
from sampan.image.layers import LayerStore
from sampan.image.records import Image
from sampan.linux.openat import Resolve, openat2
from sampan.linux.overlay import is_opaque, is_whiteout
from sampan.oci.image_spec import History

_PLAINLY = int(Resolve.BENEATH | Resolve.NO_SYMLINKS)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_HIDDEN = frozenset(f"{how} by a higher layer" for how in ("deleted", "replaced", "hidden"))
_LEAST_DUPLICATE = 16 << 10
_IN_GENERAL = {
    "duplicate": "link them instead, or copy them once",
    "deleted by a higher layer": "make and delete in one RUN, or use another stage",
    "replaced by a higher layer": "write each file once, or use another stage",
    "hidden by a higher layer": "do both in one RUN, or use another stage",
}
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Waste:
    """Bytes of one layer that could be saved: a path, its size, why, and what would do it."""

    layer: int
    path: str
    size: int
    kind: str
    remedy: str


@dataclass(frozen=True, slots=True)
class LayerShare:
    """One layer: its number from the bottom, its sizes, and the instruction that made it."""

    number: int
    diff_id: str
    size: int
    wasted: int
    files: int
    instruction: str


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of the image as it is seen: the bytes in it and below, those that are waste, its larger parts."""

    name: str
    size: int
    wasted: int = 0
    parts: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Saving:
    """All waste of one kind: its bytes, how many files, and what would save them."""

    kind: str
    size: int
    files: int
    remedy: str


@dataclass(frozen=True, slots=True)
class Diet:
    """All that was found. `size` is what the layers carry, `seen` what a container sees of it."""

    image_id: str
    size: int
    seen: int
    layers: tuple[LayerShare, ...]
    waste: tuple[Waste, ...]
    tree: Place

    @property
    def wasted(self) -> int:
        """The bytes that could be saved, each counted once."""
        return sum(waste.size for waste in self.waste)

    def savings(self) -> list[Saving]:
        """What each remedy would bring, the largest first."""
        found: defaultdict[str, list[Waste]] = defaultdict(list)
        for waste in self.waste:
            found[waste.kind].append(waste)
        savings = []
        for kind, wastes in found.items():
            remedies = list(dict.fromkeys(waste.remedy for waste in wastes))
            remedy = remedies[0] if len(remedies) <= 2 else _IN_GENERAL.get(kind, remedies[0])
            savings.append(Saving(kind, sum(waste.size for waste in wastes), len(wastes), remedy))
        return sorted(savings, key=lambda one: (-one.size, one.kind))


@dataclass(frozen=True, slots=True)
class _File:
    layer: int
    path: str
    size: int


_Tree = dict[str, "_File | _Tree"]


@dataclass(slots=True)
class _Stack:
    """What is seen while layers are laid over each other, and what they hid."""

    tree: _Tree = field(default_factory=dict)
    waste: list[Waste] = field(default_factory=list)

    def hide(self, hidden: _File | _Tree | None, layer: int, how: str, instruction: str) -> None:
        """What a higher layer took the place of, or took away, is carried for nothing."""
        for file in _files(hidden):
            if file.size and file.layer != layer:
                remedy = f"{how} by layer {layer}: {instruction or 'an unknown instruction'}; do both in one RUN"
                self.waste.append(Waste(file.layer, file.path, file.size, f"{how} by a higher layer", remedy))


def _files(tree: _File | _Tree | None) -> Iterator[_File]:
    """Every file in a tree, or the one that it is."""
    pending = [tree]
    while pending:
        one = pending.pop()
        if isinstance(one, _File):
            yield one
        elif one:
            pending += one.values()


def analyse(images: Images, image: Image) -> Diet:
    """Look at every file of every layer; seconds for a large image, for a thread. Nothing is changed."""
    return analyse_layers(images.layers, image)


def analyse_layers(layers: LayerStore, image: Image) -> Diet:
    """As `analyse`, of layers that the caller holds."""
    instructions = _instructions(image.config.history or (), len(image.diff_ids))
    stack = _Stack()
    counted = [(0, 0)] * len(image.diff_ids)
    for number, diff_id in enumerate(image.diff_ids):
        counted[number] = _lay(stack, number, layers.diff(diff_id), instructions[number])
    seen = list(_files(stack.tree))
    rubbish = list(_rubbish(seen))
    taken = {waste.path for waste in rubbish}
    doubles = _duplicates([file for file in seen if file.path not in taken], layers, image.diff_ids)
    waste = sorted((*stack.waste, *rubbish, *doubles), key=lambda one: (-one.size, one.path))
    wasted: defaultdict[int, int] = defaultdict(int)
    for one in waste:
        wasted[one.layer] += one.size
    return Diet(
        image_id=image.id,
        size=sum(size for size, _ in counted),
        seen=sum(file.size for file in seen),
        layers=tuple(
            LayerShare(number, diff_id, *_sizes(counted[number], wasted[number]), instructions[number])
            for number, diff_id in enumerate(image.diff_ids)
        ),
        waste=tuple(waste),
        tree=_tree(seen, {one.path for one in waste if one.kind not in _HIDDEN}),
    )


def _sizes(counted: tuple[int, int], wasted: int) -> tuple[int, int, int]:
    size, files = counted
    return size, wasted, files


def _instructions(history: Sequence[History], layers: int) -> list[str]:
    """The instruction of each layer, as far as the history goes."""
    made = [step.created_by or step.comment for step in history if not step.empty_layer]
    return [_plain(text) for text in made[:layers]] + [""] * (layers - len(made))


def _plain(text: str) -> str:
    """An instruction as it stood in the Dockerfile, on one line."""
    text = text.removeprefix("/bin/sh -c #(nop) ").removeprefix("|0 ")
    if text.startswith("/bin/sh -c "):
        text = "RUN " + text.removeprefix("/bin/sh -c ")
    return " ".join(text.split("# buildkit")[0].split())


def _lay(stack: _Stack, number: int, tree: str, instruction: str) -> tuple[int, int]:
    """Lay one layer over what is seen; its bytes and files."""
    root = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    layer = _Layer(stack, number, instruction)
    try:
        pending: list[tuple[str, _Tree]] = [("", stack.tree)]
        while pending:
            path, seen = pending.pop()
            directory = openat2(root, path or ".", _DIRECTORY, 0, _PLAINLY)
            try:
                pending += layer.lay_directory(directory, path, seen)
            finally:
                os.close(directory)
    finally:
        os.close(root)
    return layer.size, layer.files


@dataclass(slots=True)
class _Layer:
    """One layer while it is laid over the others."""

    stack: _Stack
    number: int
    instruction: str
    size: int = 0
    files: int = 0
    inodes: set[tuple[int, int]] = field(default_factory=set)

    def lay_directory(self, directory: int, path: str, seen: _Tree) -> list[tuple[str, _Tree]]:
        """Lay what is in one directory; returns the directories in it."""
        if is_opaque(directory):
            self._hide(seen, "hidden")
            seen.clear()
        below: list[tuple[str, _Tree]] = []
        for name in sorted(os.listdir(directory)):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            full = f"{path}/{name}" if path else name
            before = seen.get(name)
            if is_whiteout(status):
                self._hide(seen.pop(name, None), "deleted")
            elif stat.S_ISDIR(status.st_mode):
                if not isinstance(before, dict):
                    self._hide(before, "replaced")
                    seen[name] = before = {}
                below.append((full, before))
            else:
                self._hide(before, "replaced")
                seen[name] = self._file(full, status)
        return below

    def _hide(self, hidden: _File | _Tree | None, how: str) -> None:
        self.stack.hide(hidden, self.number, how, self.instruction)

    def _file(self, path: str, status: os.stat_result) -> _File:
        inode = (status.st_dev, status.st_ino)
        is_first = stat.S_ISREG(status.st_mode) and inode not in self.inodes
        self.inodes.add(inode)
        size = status.st_size if is_first else 0  # further names of a file take nothing
        self.size += size
        self.files += 1
        return _File(self.number, path, size)


def _rubbish(files: Iterable[_File]) -> Iterator[Waste]:
    for file in files:
        if file.size and (rubbish := rubbish_of(file.path)):
            yield Waste(file.layer, file.path, file.size, rubbish.kind, rubbish.remedy)


def _duplicates(files: list[_File], layers: LayerStore, diff_ids: Sequence[str]) -> Iterator[Waste]:
    """Files with the content of another one: the first by name stays."""
    by_size: defaultdict[int, list[_File]] = defaultdict(list)
    for file in files:
        if file.size >= _LEAST_DUPLICATE:
            by_size[file.size].append(file)
    roots: dict[int, int] = {}
    try:
        for group in by_size.values():
            if len(group) > 1:
                yield from _same(group, layers, diff_ids, roots)
    finally:
        for fd in roots.values():
            os.close(fd)


def _same(group: list[_File], layers: LayerStore, diff_ids: Sequence[str], roots: dict[int, int]) -> Iterator[Waste]:
    first: dict[bytes, _File] = {}
    for file in sorted(group, key=lambda one: (one.layer, one.path)):
        if file.layer not in roots:
            tree = layers.diff(diff_ids[file.layer])
            roots[file.layer] = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        digest = _digest(roots[file.layer], file.path)
        original = first.setdefault(digest, file)
        if original is not file:
            remedy = f"the same as /{original.path}: link it instead, or copy it once"
            yield Waste(file.layer, file.path, file.size, "duplicate", remedy)


def _digest(root: int, path: str) -> bytes:
    digest = hashlib.blake2b(digest_size=20)
    fd = openat2(root, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, 0, _PLAINLY)
    try:
        while piece := os.read(fd, _PIECE):
            digest.update(piece)
    finally:
        os.close(fd)
    return digest.digest()


def _tree(files: Iterable[_File], wasted_paths: set[str], depth: int = 4, parts: int = 40) -> Place:
    """The directories as they are seen, some deep, the larger ones by name and the rest together."""
    sizes: defaultdict[str, int] = defaultdict(int)
    wasted: defaultdict[str, int] = defaultdict(int)
    for file in files:
        names = file.path.split("/")
        for count in range(min(len(names), depth) + 1):
            path = "/".join(names[:count])
            sizes[path] += file.size
            wasted[path] += file.size if file.path in wasted_paths else 0
    below: defaultdict[str, list[str]] = defaultdict(list)
    for path in sizes:
        if path:
            below[path.rpartition("/")[0]].append(path)

    def place(path: str) -> Place:
        inner = sorted(below[path], key=lambda one: (-sizes[one], one))
        shown = tuple(place(one) for one in inner[:parts] if sizes[one])
        rest = sum(sizes[one] for one in inner[parts:])
        if rest:
            others = Place(f"{len(inner) - parts} more", rest, sum(wasted[one] for one in inner[parts:]))
            shown = (*shown, others)
        return Place(path.rpartition("/")[2] or "/", sizes[path], wasted[path], shown)

    return place("")
