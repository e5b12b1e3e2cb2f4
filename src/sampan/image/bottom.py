"""What every container finds whatever its image lacks: mount points, /.dockerenv and /etc/mtab, as the lowest layer.

Docker makes them in a layer between an image's and the container's own (moby, daemon/initlayer). Below the image's
they need not be made for each image: what one has itself, be it a link, hides them. In neither place they are changes
of a container, nor of an image that is made of it. A tree of an image alone, as it is mounted or exported, has none.
"""

from __future__ import annotations

import os
from contextlib import suppress

_DIRECTORIES = ("", "dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
_FILES = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")
_LINKS = (("etc/mtab", "/proc/mounts"),)
_MODE = 0o755


def make_bottom(path: str) -> None:
    """Make the tree, or what is missing of it: containers that run may stand on it."""
    for name in _DIRECTORIES:
        with suppress(FileExistsError):
            os.mkdir(f"{path}/{name}", _MODE)
        os.chmod(f"{path}/{name}", _MODE)
    for name in _FILES:
        descriptor = os.open(f"{path}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            os.fchmod(descriptor, _MODE)
        finally:
            os.close(descriptor)
    for name, target in _LINKS:
        with suppress(FileExistsError):
            os.symlink(target, f"{path}/{name}")
