"""Moving files of the context into a layer instead of copying them, when nothing of the build reads them later.

A context belongs to one build and to nobody else, so the last instruction that takes something from it may have the
files themselves. Only whole entries of a directory are moved that the target does not have yet; the rest is copied.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from sampan.build import instructions as said
from sampan.build.instructions import Instruction
from sampan.linux.openat import Resolve, open_in_root, openat2

_PLAINLY = int(Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


@dataclass(slots=True)
class ContextUses:
    """How many instructions may still read the context; `unknown` stages may bring more by their base's triggers."""

    left: int = 0
    unknown: int = 0

    def begin(self, triggers: Iterable[Instruction]) -> None:
        """A stage's base is known now."""
        self.unknown -= 1
        self.left += sum(map(reads_context, triggers))

    @property
    def is_last(self) -> bool:
        """Whether the instruction that is being carried out is the last one to read the context."""
        return self.left == 1 and self.unknown == 0


def reads_context(instruction: Instruction) -> bool:
    """Whether carrying it out reads files of the context."""
    match instruction:
        case said.Copy(origin=origin, sources=sources):
            return not origin and bool(sources)
        case said.Add(sources=sources):
            return bool(sources)
        case said.Run(mounts=mounts):
            return any(not mount.origin for mount in mounts)
        case _:
            return False


@dataclass(slots=True)
class Moves:
    """Entries of context directories that will go into a layer's own directory, once its overlay is closed."""

    _planned: list[tuple[bytes, str, list[bytes]]] = field(default_factory=list)

    def plan(self, root: int, source_root: int, source: bytes, target: str) -> frozenset[bytes]:
        """Note which entries of the directory `source` can be moved into the directory `target` of the tree `root`.

        The target is there. Returns their names; they are not to be copied.
        """
        held = open_in_root(root, target, _DIRECTORY)
        try:
            place = os.readlink(f"/proc/self/fd/{held}").strip("/")
            names = [name for name in _names(source_root, source) if not _has(held, name)]
            if names:
                os.fchmod(held, os.fstat(held).st_mode & 0o7777)  # the directory itself has to be in the upper one
                self._planned.append((source, place, names))
        finally:
            os.close(held)
        return frozenset(names)

    def carry_out(self, source_root: int, upper: str) -> None:
        """Move what was planned into the upper directory."""
        top = os.open(upper, _DIRECTORY)
        try:
            for source, place, names in self._planned:
                origin = openat2(source_root, source or b".", _DIRECTORY, 0, _PLAINLY)
                try:
                    target = openat2(top, place or ".", _DIRECTORY, 0, _PLAINLY)
                    try:
                        for name in names:
                            os.rename(name, name, src_dir_fd=origin, dst_dir_fd=target)
                    finally:
                        os.close(target)
                finally:
                    os.close(origin)
        finally:
            os.close(top)


def _names(root: int, path: bytes) -> list[bytes]:
    directory = openat2(root, path or b".", _DIRECTORY, 0, _PLAINLY)
    try:
        return sorted(map(os.fsencode, os.listdir(directory)))
    finally:
        os.close(directory)


def _has(directory: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
