"""`--squash`: the layers of a build's last stage as one, on top of what the stage began from.

Nothing is copied: files of layers are never changed, so the new layer has them by another link. What a layer deletes of
those below it stays a mark when it may be of the base's, which is not looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

import msgspec

from sampan.build.snapshots import Snapshots
from sampan.image.adopt import adopt
from sampan.image.layers import Hold, Layer
from sampan.image.records import Image
from sampan.image.tree import remove_tree
from sampan.linux.openat import Resolve, openat2
from sampan.linux.overlay import is_opaque, is_whiteout, make_opaque, make_whiteout
from sampan.oci.image_spec import History, ImageConfig, RootFs

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PLAINLY = int(Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
_MARKS = ("trusted.overlay.", "user.overlay.")


def merge_layers(snapshots: Snapshots, hold: Hold, base: Sequence[str], diff_ids: Sequence[str]) -> Layer:
    """One layer that is what these are on top of each other (lowest first) and on the base. For a thread."""
    layers = snapshots.layers
    new = layers.begin()
    try:
        upper = os.path.join(new, "upper")
        os.mkdir(upper, 0o755)
        target = os.open(upper, _DIRECTORY | os.O_CLOEXEC)
        try:
            for diff_id in diff_ids:
                source = os.open(layers.diff(diff_id), _DIRECTORY | os.O_CLOEXEC)
                try:
                    _lay_over(source, target)
                finally:
                    os.close(source)
            with snapshots.readable(base) as below:
                _drop_marks(target, below)
        finally:
            os.close(target)
        return adopt(upper, layers, hold)
    finally:
        remove_tree(new)


def _lay_over(source: int, target: int) -> None:
    """Put a layer's tree over what is in the target."""
    pending: list[bytes] = [b""]
    done: list[tuple[bytes, os.stat_result]] = []
    while pending:
        path = pending.pop()
        above = openat2(source, path or b".", _DIRECTORY, 0, _PLAINLY)
        below = openat2(target, path or b".", _DIRECTORY, 0, _PLAINLY)
        try:
            if is_opaque(above):
                for name in _names(below):
                    remove_tree(name, dir_fd=below)
                make_opaque(below)
            done.append((path, os.fstat(above)))
            for name in _names(above):
                status = os.stat(name, dir_fd=above, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    _make_directory(below, name)
                    pending.append(path + b"/" + name if path else name)
                else:
                    remove_tree(name, dir_fd=below)
                    _put(above, below, name, status)
        finally:
            os.close(above)
            os.close(below)
    for path, status in reversed(done):
        _dress(source, target, path, status)


def _put(above: int, below: int, name: bytes, status: os.stat_result) -> None:
    if is_whiteout(status):
        make_whiteout(name, dir_fd=below)
    else:
        os.link(name, name, src_dir_fd=above, dst_dir_fd=below, follow_symlinks=False)


def _make_directory(below: int, name: bytes) -> None:
    """A directory in the place of whatever there is; it hides the base's when it was deleted before."""
    try:
        status = os.stat(name, dir_fd=below, follow_symlinks=False)
    except FileNotFoundError:
        os.mkdir(name, 0o700, dir_fd=below)
        return
    if stat.S_ISDIR(status.st_mode):
        return
    os.unlink(name, dir_fd=below)
    os.mkdir(name, 0o700, dir_fd=below)
    fd = os.open(name, _DIRECTORY, dir_fd=below)
    try:
        make_opaque(fd)
    finally:
        os.close(fd)


def _drop_marks(target: int, base: int) -> None:
    """Remove the marks of deleted names that the base does not have: overlayfs shows them where nothing is merged."""
    pending = [(b"", False)]
    while pending:
        path, hides = pending.pop()
        directory = openat2(target, path or b".", _DIRECTORY, 0, _PLAINLY)
        try:
            hides = hides or is_opaque(directory)
            for name in _names(directory):
                whole = path + b"/" + name if path else name
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append((whole, hides))
                elif is_whiteout(status) and (hides or not _has(base, whole)):
                    os.unlink(name, dir_fd=directory)
        finally:
            os.close(directory)


def _has(base: int, path: bytes) -> bool:
    try:
        os.close(openat2(base, path, os.O_PATH | os.O_NOFOLLOW, 0, _PLAINLY))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise
    return True


def _names(directory: int) -> list[bytes]:
    return sorted(map(os.fsencode, os.listdir(directory)))


def _dress(source: int, target: int, path: bytes, status: os.stat_result) -> None:
    """Give a directory the attributes that the upper layer's has."""
    above = openat2(source, path or b".", _DIRECTORY, 0, _PLAINLY)
    below = openat2(target, path or b".", _DIRECTORY, 0, _PLAINLY)
    try:
        os.fchown(below, status.st_uid, status.st_gid)
        os.fchmod(below, stat.S_IMODE(status.st_mode))
        for name in os.listxattr(above):
            if not name.startswith(_MARKS):
                os.setxattr(below, name, os.getxattr(above, name))
        os.utime(below, ns=(status.st_mtime_ns, status.st_mtime_ns))
    finally:
        os.close(above)
        os.close(below)


def squashed_config(image: Image, base: Image | None, layer: Layer, created: str) -> ImageConfig:
    """The configuration of the image with one layer above its base; its history keeps every step, as Docker's does."""
    known = len(base.config.history or ()) if base else 0
    steps = tuple(
        step if number < known else msgspec.structs.replace(step, empty_layer=True)
        for number, step in enumerate(image.config.history or ())
    )
    merge = History(created=created, comment=f"merge {image.id} to {base.id if base else ''}")
    below = base.diff_ids if base else ()
    return msgspec.structs.replace(
        image.config, created=created, rootfs=RootFs(diff_ids=(*below, layer.diff_id)), history=(*steps, merge)
    )
