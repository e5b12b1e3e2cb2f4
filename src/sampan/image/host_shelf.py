"""Masks of the image `host` as layers that its containers share: made once for what is to be hidden, not once for each.

A mask can lie between "/" and a container's own directory only on another file system, since overlayfs refuses a lower
layer inside of another; where the engine's run directory is a tmpfs, as on most machines, that is the place. It is
empty after a boot, and what is needed is made again. What a mask hides is `host_mask`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sampan.image.host_mask import Hidden, HostMask
from sampan.image.tree import remove_tree
from sampan.linux.statfs import Magic, filesystem_type

_NEW = "new-"
_MOST = 8  # up to this number those that nothing uses are let be


@dataclass(frozen=True, slots=True)
class MaskShelf:
    """The masks below one directory; "" is a shelf on which nothing can be put."""

    path: str = ""

    def is_usable(self) -> bool:
        """Whether a mask here may lie over "/": on a tmpfs that is not the machine's root."""
        if not self.path:
            return False
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return filesystem_type(fd) == Magic.TMPFS and os.fstat(fd).st_dev != os.stat("/").st_dev
        finally:
            os.close(fd)

    def place(self, name: str) -> str:
        """Where the mask of that name is, if it is."""
        return os.path.join(self.path, name)

    def keep(self, mask: HostMask, plan: Sequence[Hidden], used: Callable[[], Iterable[str]] = tuple) -> str:
        """The name of the mask that hides this, made when it is not here; when there are many, the unused ones go."""
        name = mask.fingerprint(plan)
        if os.path.isdir(self.place(name)):
            return name
        self._sweep(used)
        new = self.place(_NEW + secrets.token_hex(8))
        os.mkdir(new, 0o700)
        try:
            mask.build(plan, new)
            os.rename(new, self.place(name))
        except BaseException:
            remove_tree(new)
            raise
        return name

    def _sweep(self, used: Callable[[], Iterable[str]]) -> None:
        names = os.listdir(self.path)
        if len(names) >= _MOST:
            for name in set(names) - set(used()):
                remove_tree(self.place(name))
