"""What helps where a file of the caller's cannot be read or written; looked for only when that has failed."""

from __future__ import annotations

import errno
import os

from sampan.cli.grammar import Failure

_REMEDIES = {
    errno.EISDIR: "name a file, not a directory",
    errno.ENOTDIR: "name a path that does not go through a file",
    errno.EACCES: "become root with sudo, or name another path",
    errno.EPERM: "become root with sudo, or name another path",
    errno.EROFS: "name a path on a file system that may be written",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.ELOOP: "name a path whose links lead somewhere",
}


def remedy_for_path(error: OSError) -> str:
    """By the system's reason, and by what is there of the path; "" where nothing is known to help."""
    if error.errno == errno.ENOENT:
        folder = os.path.dirname(os.fsdecode(error.filename)) or "."
        if not os.path.isdir(folder):
            return f"make the directory {folder} first, or name a path that is there"
        return "name a file that is there"
    return _REMEDIES.get(error.errno or 0, "")


def check_can_be_made(path: str, option: str) -> None:
    """Failure when the file that `option` names cannot be made; what is there already stays as it is."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if not os.path.isdir(path):
            return
        error: OSError = IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    except OSError as refused:
        error = refused
    else:
        os.close(fd)
        os.unlink(path)
        return
    reason = (error.strerror or str(error)).lower()
    raise Failure(f"{option} {path}: {reason}", remedy=remedy_for_path(error)) from None
