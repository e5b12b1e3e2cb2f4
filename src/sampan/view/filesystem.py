"""The file system: a tree that never changes, whose files are written anew for whoever reads from their beginning.

All containers see the same files, and each reads its own content, so nothing of them may get into the kernel's page
cache. sendfile(2) looks there, and takes a file of no size for one that has ended: files have a size, and what is read
for the cache is refused, whereupon programs like BusyBox's cat read in the usual way.
"""

from __future__ import annotations

import errno
import stat
import sys
from collections.abc import Callable
from dataclasses import replace

from sampan.linux import fuse
from sampan.linux.fuse import Attributes, Operation, Request

_MOST_HANDLES = 65536
_SOME_BYTES = 4096  # the size of a file until somebody asks for it
_FILE, _DIRECTORY = stat.S_IFREG | 0o444, stat.S_IFDIR | 0o555


class FileSystem:
    """Answers the requests of one connection; `content(path, pid)` gives a file's bytes or raises OSError."""

    def __init__(self, paths: tuple[str, ...], content: Callable[[str, int], bytes]) -> None:
        self._content = content
        self._nodes: list[Attributes] = []
        self._names: list[dict[str, int]] = []  # beside _nodes: the entries of directories
        self._paths: dict[int, str] = {}
        self._open: dict[int, bytes] = {}
        self._next_handle = 1
        self._add(_DIRECTORY)
        for path in paths:
            self._place(path)

    def answer(self, connection: int, request: Request) -> None:
        """Answer one request."""
        if request.operation in fuse.UNANSWERED:
            return
        try:
            content = self._do(request)
        except OSError as error:
            fuse.answer(connection, request, error=error.errno or errno.EIO)
        except Exception:  # noqa: BLE001 -- one file that cannot be written ends nobody else's
            sys.excepthook(*sys.exc_info())
            fuse.answer(connection, request, error=errno.EIO)
        else:
            fuse.answer(connection, request, content)

    def _do(self, request: Request) -> bytes:
        match request.operation:
            case Operation.LOOKUP:
                return self._look_up(request)
            case Operation.GETATTR:
                return fuse.attributes_answer(self._attributes(request))
            case Operation.OPEN | Operation.OPENDIR:
                return fuse.open_answer(self._new_handle())
            case Operation.READ:
                return self._read(request)
            case Operation.READDIR:
                return self._list(request)
            case Operation.RELEASE | Operation.RELEASEDIR:
                self._open.pop(fuse.handle_of(request), None)
                return b""
        return _of_all(request)

    def _look_up(self, request: Request) -> bytes:
        number = self._names[request.node - 1].get(fuse.name_of(request))
        if number is None:
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return fuse.entry_answer(self._nodes[number - 1])

    def _new_handle(self) -> int:
        self._next_handle += 1
        return self._next_handle

    def _read(self, request: Request) -> bytes:
        """From the beginning the file is written anew; further on it stays what it was, for one opening."""
        if fuse.is_for_page_cache(request):
            raise OSError(errno.EINVAL, "what one container reads is not for another")
        handle, offset, size = fuse.read_arguments(request)
        if offset == 0 or handle not in self._open:
            if len(self._open) >= _MOST_HANDLES:
                self._open.clear()  # those who are in the middle of reading find it written anew
            self._open[handle] = self._content(self._paths[request.node], request.pid)
        return self._open[handle][offset : offset + size]

    def _list(self, request: Request) -> bytes:
        _, offset, size = fuse.read_arguments(request)
        here = self._nodes[request.node - 1]
        entries = [(".", here), ("..", here)]
        entries += [(name, self._nodes[number - 1]) for name, number in self._names[request.node - 1].items()]
        return fuse.directory_entries(entries, offset, size)

    def _attributes(self, request: Request) -> Attributes:
        """Those of a file with the size that it has for who asks, those of a directory as they are."""
        node = self._nodes[request.node - 1]
        if node.lasting:
            return node
        try:
            return replace(node, size=len(self._content(self._paths[request.node], request.pid)))
        except OSError:
            return node

    def _add(self, mode: int, size: int = 0) -> int:
        self._nodes.append(Attributes(len(self._nodes) + 1, mode, size=size, lasting=not size))
        self._names.append({})
        return len(self._nodes)

    def _place(self, path: str) -> None:
        number = fuse.ROOT_NODE
        *above, name = path.split("/")
        for part in above:
            names = self._names[number - 1]
            if part not in names:
                names[part] = self._add(_DIRECTORY)
            number = names[part]
        self._names[number - 1][name] = made = self._add(_FILE, _SOME_BYTES)
        self._paths[made] = path


def _of_all(request: Request) -> bytes:
    """What is asked about the whole of the file system."""
    match request.operation:
        case Operation.INIT:
            return fuse.init_answer(request)
        case Operation.STATFS:
            return fuse.statfs_answer()
        case Operation.DESTROY:
            return b""
    raise OSError(errno.ENOSYS, "not a matter of files that are read")
