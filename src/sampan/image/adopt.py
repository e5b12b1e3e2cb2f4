"""A tree that is on disk already becomes a layer where it is: nothing of it is copied, it is read once for its digest.

The tree is an overlay's upper directory that nobody writes to any more. What the store has to know beside it, the
recipe of its archive, is written while it is digested.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable

from sampan.image.layers import Hold, Layer, LayerStore
from sampan.image.pack import PackOptions, pack
from sampan.image.recipe import RecipeWriter
from sampan.image.tree import disk_failure, remove_tree
from sampan.image.unpack_terms import Unpacked
from sampan.linux.openat import Resolve, openat2
from sampan.linux.overlay import is_opaque

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FEW_FILES, _FEW_BYTES = 16, 1 << 17
_BENEATH = int(Resolve.BENEATH | Resolve.NO_SYMLINKS)


def adopt(
    upper: str,
    layers: LayerStore,
    hold: Hold,
    *,
    latest_mtime_s: int | None = None,
    dispose: Callable[[str], None] = remove_tree,
) -> Layer:
    """Make a layer of the directory `upper`, which is moved into the store; it has to be on the store's file system.

    With `latest_mtime_s` (SOURCE_DATE_EPOCH) no file keeps a later time. A layer that is there already stays, and
    `dispose` is given the new one. Raises SystemFailure for a disk that is full; nothing is left of `upper` then.
    """
    new = layers.begin()
    try:
        os.rename(upper, os.path.join(new, "diff"))
        tree = os.open(os.path.join(new, "diff"), _DIRECTORY)
        try:
            if latest_mtime_s is not None:
                clamp_times(tree, latest_mtime_s)
            layer = _digest(tree, os.path.join(new, "recipe"), latest_mtime_s)
        finally:
            os.close(tree)
        layers.keep(new, layer, hold)
    except OSError as error:
        raise disk_failure("cannot make a layer of what a step wrote", error) from error
    finally:
        if os.path.lexists(new):
            dispose(new)
    return layer


def is_small(upper: str) -> bool:
    """Whether `adopt` needs about a millisecond for the directory: it has few files, of few bytes."""
    count = size = 0
    pending = [os.open(upper, _DIRECTORY)]
    try:
        while pending:
            directory = pending.pop()
            try:
                with os.scandir(directory) as entries:
                    for entry in entries:
                        count, size = count + 1, size + entry.stat(follow_symlinks=False).st_size
                        if count > _FEW_FILES or size > _FEW_BYTES:
                            return False
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(os.open(entry.name, _DIRECTORY, dir_fd=directory))
            finally:
                os.close(directory)
    finally:
        for directory in pending:
            os.close(directory)
    return True


def _digest(tree: int, recipe: str, latest_mtime_s: int | None) -> Layer:
    digest = hashlib.sha256()
    size = 0
    tally = Unpacked()
    options = PackOptions(upper=True, latest_mtime_s=latest_mtime_s)
    with open(recipe, "wb") as file:
        recorder = RecipeWriter(file, -1)
        for piece in pack(tree, options, recorder, tally):
            digest.update(piece)
            size += len(piece)
        recorder.finish()
    diff_id = f"sha256:{digest.hexdigest()}"
    return Layer(diff_id, tally.bytes, size, tally.entries, opaque_root=is_opaque(tree))


def newest_file_s(path: str) -> int:
    """The latest time of all that is no directory in the tree at `path`, in whole seconds; 0 without any."""
    newest_ns = 0
    for _, _, names, directory in os.fwalk(path):
        for name in names:
            newest_ns = max(newest_ns, os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns)
    return -(-newest_ns // 1_000_000_000)


def clamp_times(tree: int, latest_s: int) -> None:
    """Give everything below the open directory, and itself, a modification time no later than `latest_s`."""
    latest_ns = latest_s * 1_000_000_000
    pending = [b""]
    while pending:
        path = pending.pop()
        directory = openat2(tree, path or b".", _DIRECTORY, 0, _BENEATH)
        try:
            for name in map(os.fsencode, os.listdir(directory)):
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path + b"/" + name if path else name)
                elif status.st_mtime_ns > latest_ns:
                    os.utime(name, ns=(latest_ns, latest_ns), dir_fd=directory, follow_symlinks=False)
            if os.fstat(directory).st_mtime_ns > latest_ns:
                os.utime(directory, ns=(latest_ns, latest_ns))
        finally:
            os.close(directory)
