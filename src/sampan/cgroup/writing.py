"""Values on their way to files: what will be written as data, and the order that the kernel accepts found by trying.

Which files there are is the matter of `v1_limits` and `v2_limits`; here it is only how a group of them gets in.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass

from sampan.cgroup.directory import Directory
from sampan.cgroup.limits import MemoryLimits
from sampan.errors import InvalidArgument, NotImplementedHere

# The kernel's ways of saying that the value is at fault and not the machine. ENOTSUPP (524) has no name in errno(3).
_REFUSALS = frozenset(
    {
        errno.EINVAL,
        errno.ERANGE,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOSPC,
        errno.EBUSY,
        errno.EACCES,
        errno.EPERM,
        errno.EOVERFLOW,
    }
)
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, 524, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class Write:
    """One value for one of several files: the first of `choices` (file, value) whose file exists is written.

    `what` names in words what was asked; `remedy` is what a reader can do when the kernel refuses the value,
    `unsupported` when it has the file but cannot do it. With `verify` the number is read back, for files that take
    every value and may heed none.
    """

    controller: str
    choices: tuple[tuple[str, str], ...]
    what: str
    remedy: str = ""
    verify: bool = False
    unsupported: str = "leave it out"

    @property
    def files(self) -> str:
        """The file names, for messages."""
        return " or ".join(file for file, _ in self.choices)


# Writes whose order depends on what is there already: raising a limit needs another order than lowering it.
Batch = tuple[Write, ...]


def one(controller: str, file: str, value: object, what: str, remedy: str = "") -> Write:
    """A Write with a single file."""
    return Write(controller, ((file, str(value)),), what, remedy)


def settle(directory: Directory, batch: Sequence[Write]) -> None:
    """Write all of `batch`: what is refused with EINVAL is tried again after the others, while any of them gets in.

    So memory and memory plus swap, or quota, period and burst, are raised and lowered without reading them first.
    Raises InvalidArgument for a value that stays refused, NotImplementedHere for a file that does not exist.
    """
    waiting = list(batch)
    while waiting:
        refused: list[Write] = []
        reason: OSError | None = None
        for write in waiting:
            try:
                put(directory, write)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise refusal(write, error) from error
                refused.append(write)
                reason = reason or error
        if reason is not None and len(refused) == len(waiting):
            raise refusal(refused[0], reason) from reason
        waiting = refused


def put(directory: Directory, write: Write) -> None:
    """Write the first choice whose file exists; OSError as write(2) gives it, FileNotFoundError when none exists."""
    for file, value in write.choices[:-1]:
        try:
            directory.write(file, value)
        except FileNotFoundError:
            continue
        return
    file, value = write.choices[-1]
    directory.write(file, value)
    if write.verify and abs(int(directory.read(file)) - int(value)) >= mmap.PAGESIZE and int(value) >= 0:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), file)


def refuse_below_usage(directory: Directory | None, file: str, memory: MemoryLimits) -> None:
    """The specification's checkBeforeUpdate: InvalidArgument when the new limit is below what `file` says is used."""
    limit = memory.limit_bytes or 0
    if not memory.check_before_update or limit <= 0 or directory is None or not directory.has(file):
        return
    usage = int(directory.read(file))
    if usage > limit:
        raise InvalidArgument(
            f"memory limit {limit} is below the {usage} bytes in use", remedy="give a limit above what is in use"
        )


def refusal(write: Write, error: OSError) -> Exception:
    """The error that a user reads; `error` itself when the machine failed and not the request."""
    if isinstance(error, FileNotFoundError):
        return NotImplementedHere(
            f"{write.what}: this kernel has no {write.files}", remedy="leave it out, or use a kernel that has it"
        )
    if error.errno in _UNSUPPORTED:
        return NotImplementedHere(
            f"{write.what}: the kernel does not support it here ({write.files})", remedy=write.unsupported
        )
    if error.errno in _REFUSALS and error.errno is not None:
        value = " or ".join(dict.fromkeys(value for _, value in write.choices))
        return InvalidArgument(
            f"{write.what}: the kernel refuses {value!r} in {error.filename}: {os.strerror(error.errno)}",
            remedy=write.remedy,
        )
    return error
