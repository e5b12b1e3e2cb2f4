"""What may be the path of a cgroup: checked once, before any directory is touched."""

from __future__ import annotations

from sampan.errors import InvalidArgument

MAX_COMPONENT = 255  # NAME_MAX
MAX_PATH = 3072  # leaves room for the mount point and a file name below PATH_MAX
_FILES = frozenset({"tasks", "notify_on_release", "release_agent"})
# A group named like a file of a controller would clash with it: in one hierarchy today, in another tomorrow.
_PREFIXES = (
    *("blkio.", "cgroup.", "cpu.", "cpuacct.", "cpuset.", "devices.", "dmem.", "freezer.", "hugetlb.", "io."),
    *("irq.", "memory.", "misc.", "net_cls.", "net_prio.", "perf_event.", "pids.", "rdma."),
)


def check_path(path: str) -> str:
    """`path` as it is when it names a group: "/a/b" below each hierarchy's root, "a/b" below the process's own group.

    Raises InvalidArgument for an empty path or component, ".", "..", a newline or NUL, a name like a control file, or
    one that is too long.
    """
    parts = path.removeprefix("/").split("/")
    for part in parts:
        if part in ("", ".", ".."):
            raise _refuse(path, f"{part!r} cannot be a part of it")
        if "\n" in part or "\0" in part:
            raise _refuse(path, "it holds a newline or a null byte")
        if len(part.encode(errors="surrogateescape")) > MAX_COMPONENT:
            raise _refuse(path, f"a part is longer than {MAX_COMPONENT} bytes")
        if part in _FILES or part.startswith(_PREFIXES):
            raise _refuse(path, f"{part!r} is a name of the kernel's own")
    if len(path.encode(errors="surrogateescape")) > MAX_PATH:
        raise _refuse(path, f"it is longer than {MAX_PATH} bytes")
    return path


def _refuse(path: str, reason: str) -> InvalidArgument:
    return InvalidArgument(f"not a cgroup path: {path!r}: {reason}", remedy="give a path such as /sampan/NAME")
