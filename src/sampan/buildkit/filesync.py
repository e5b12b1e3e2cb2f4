"""Files of a client, by fsutil's protocol (FileSync/DiffCopy): what it lists becomes a tar archive, piece by piece.

The client sends a STAT for each entry in the order of their paths, and an empty one behind the last. The n-th is called
n: a REQ asks for the content of a file, DATA brings it, an empty DATA ends it; FIN from both sides ends the transfer.
Files are asked for ahead, so many that what waits in memory stays bounded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from grpclib.client import StreamStreamMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from sampan.build.threads import away
from sampan.buildkit.errors import reason
from sampan.buildkit.packets import Packets, encoded
from sampan.buildkit.proto.session_pb2 import Packet, Stat
from sampan.buildkit.sessions import Session
from sampan.buildkit.stats import FileKind, file_entry, has_content, is_hard_link, other_entry
from sampan.buildkit.unchanged import find_unchanged, link_unchanged
from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.image.tar_entry import Entry, Kind
from sampan.image.tar_write import encode_entry, padding

METHOD = "/moby.filesync.v1.FileSync/DiffCopy"
END_OF_ARCHIVE = bytes(1024)
_AHEAD_BYTES = 4 << 20
_AHEAD_FILES = 1024
_TOGETHER_BYTES = 1 << 18  # of an archive that are given on at once: each time a thread is woken
_TELLS_S = 0.1
_MOST_STEPS = 4096
_LARGEST_TEXT = 16 << 20  # of a Dockerfile


Heard = Callable[[int], None]  # is told how many bytes have come


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a client: the name of one of its directories, and which of the files below it.

    `follow` are paths, with what links in them lead to; none means all. `excludes` are lines of an ignore file.
    """

    directory: str
    follow: Sequence[str] = ()
    excludes: Sequence[str] = ()

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """As headers of the call; what is not ASCII is escaped, and said to be."""
        found: list[tuple[str, str]] = []
        for key, values in (
            ("dir-name", (self.directory,)),
            ("followpaths", self.follow),
            ("exclude-patterns", self.excludes),
        ):
            if all(value.isascii() and value.isprintable() for value in values):
                found += [(key, value) for value in values]
            else:
                found += [(key, quote_plus(value.encode("utf-8", "surrogateescape"))) for value in values]
                found.append((f"{key}-encoded", "1"))
        return found


async def archive_of(session: Session, wanted: Wanted, heard: Heard) -> AsyncGenerator[bytes]:
    """The entries of an archive, without its end. Raises InvalidArgument with what the client says."""
    async with listing_of(session, wanted, heard) as listing:
        async for piece in listing.archive():
            yield piece


@contextlib.asynccontextmanager
async def listing_of(session: Session, wanted: Wanted, heard: Heard) -> AsyncGenerator[Listing]:
    """What a client lists of a directory of its. Raises InvalidArgument with what the client says, here and later."""
    if not session.serves(METHOD):
        raise NotImplementedHere("the client sends no files", remedy="give a context that the daemon can fetch")
    call = StreamStreamMethod(session.caller, METHOD, Packet, Packet)
    try:
        async with call.open(metadata=wanted.metadata) as stream:
            transfer = _Transfer(Packets(stream), heard)
            await transfer.take_list()
            yield Listing(transfer)
    except (GRPCError, StreamTerminatedError) as error:
        raise InvalidArgument(f"{wanted.directory} cannot be read: {reason(error)}") from error


async def file_of(session: Session, directory: str, names: Sequence[str]) -> dict[str, bytes]:
    """The contents of those of the named files that are there, or that links of these names lead to.

    Raises InvalidArgument as `archive_of`, and for a file that is too large to be a Dockerfile.
    """
    async with listing_of(session, Wanted(directory, names), lambda _: None) as listing:
        return await listing.texts(names)


@dataclass(slots=True)
class Listing:
    """The list of a directory of a client's, whose files may be asked for: once, or not at all."""

    _transfer: _Transfer
    _kept: str = ""
    _is_over: bool = False

    @property
    def digest(self) -> bytes:
        """Another one when a file is another by its name, size, time, mode or kind."""
        contents = [one.SerializeToString(deterministic=True) for one in self._transfer.listed]
        return hashlib.sha256(b"".join(b"%d:%b" % (len(one), one) for one in contents)).digest()

    async def leave_out(self, directory: str) -> int:
        """Ask for no file that is the same in a directory, to which nobody writes; how many bytes these have.

        They are not in the archive: `link` brings them to what that is unpacked to.
        """
        self._kept = directory
        self._transfer.unchanged = await away(lambda: find_unchanged(self._transfer.listed, directory))
        return sum(self._transfer.listed[index].size for index in self._transfer.unchanged)

    def link(self, context: str) -> None:
        """Bring what was left out, for a thread. Raises SystemFailure."""
        if self._transfer.unchanged:
            listed = self._transfer.listed
            link_unchanged((listed[index] for index in sorted(self._transfer.unchanged)), self._kept, context)

    async def archive(self) -> AsyncGenerator[bytes]:
        """The entries of an archive, as of `archive_of`."""
        async for piece in _together(self._transfer.entries()):
            yield piece
        await self.end()

    async def texts(self, names: Sequence[str]) -> dict[str, bytes]:
        """The contents of single files, as of `file_of`."""
        contents: dict[str, bytes] = {}
        paths = self._transfer.only(names)
        async for entry, content in self._transfer.files():
            path = os.fsdecode(entry.path)
            contents[path] = contents.get(path, b"") + content
            if len(contents[path]) > _LARGEST_TEXT:
                raise InvalidArgument(f"{path} is larger than {_LARGEST_TEXT >> 20} MiB")
        await self.end()
        return {name: contents[path] for name, path in paths.items() if path in contents}

    async def end(self) -> None:
        """Say that nothing more is wanted."""
        if not self._is_over:
            self._is_over = True
            await self._transfer.finish()


async def _together(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The same bytes in larger pieces."""
    held: list[bytes] = []
    size = 0
    async for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _TOGETHER_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


@dataclass(slots=True)
class _Transfer:
    """One call: `take_list` first, then what is wanted, then `finish`."""

    packets: Packets
    heard: Heard
    listed: list[Stat] = field(default_factory=list)
    _asked: dict[int, None] = field(default_factory=dict)  # files whose content is awaited, in order
    _ahead_bytes: int = 0  # of these
    _kept: dict[int, list[bytes]] = field(default_factory=dict)  # what has come of those that are not the first
    _ended: set[int] = field(default_factory=set)
    unchanged: set[int] = field(default_factory=set)  # files that need not be asked for
    _told_s: float = 0.0

    async def take_list(self) -> None:
        """Take the list of entries."""
        await self.packets.begin()
        while True:
            packet = await self._receive()
            if packet.type != Packet.PACKET_STAT:
                raise InvalidArgument("the client sends files that nobody asked for")
            if not packet.HasField("stat"):
                return
            self.listed.append(packet.stat)

    def only(self, names: Iterable[str]) -> dict[str, str]:
        """Of the list only what these names lead to counts: the paths of that."""
        links = {os.fsdecode(one.path): os.fsdecode(one.linkname) for one in self.listed if one.mode & FileKind.SYMLINK}
        paths = {name: _followed(name, links) for name in names}
        for index, one in enumerate(self.listed):
            if os.fsdecode(one.path) not in paths.values():
                self.listed[index] = Stat(path=one.path, mode=FileKind.IRREGULAR)
        return paths

    async def files(self) -> AsyncGenerator[tuple[Stat, bytes]]:
        """The regular files, each in one or several pieces, the last one empty."""
        waiting = deque(
            index for index, one in enumerate(self.listed) if has_content(one) and index not in self.unchanged
        )
        while waiting or self._asked:
            await self._ask(waiting)
            index = next(iter(self._asked))
            async for piece in self._content(index):
                yield self.listed[index], piece
            del self._asked[index]
            self._ahead_bytes -= self.listed[index].size
            yield self.listed[index], b""

    async def entries(self) -> AsyncGenerator[bytes]:
        """The rest of it: all that is no file first, but for links to files, which follow these."""
        links = []
        for one in self.listed:
            if is_hard_link(one):
                links.append(one)
            elif not has_content(one) and (entry := other_entry(one)) is not None:
                yield encode_entry(entry)
        begun, left = False, 0
        async for one, piece in self.files():
            if not begun:
                begun, left = True, one.size
                yield encode_entry(file_entry(one))
            if piece:
                yield piece[:left]
                left -= min(left, len(piece))
                continue
            while left:  # one that became shorter meanwhile is filled up
                yield bytes(min(left, _TOGETHER_BYTES))
                left -= min(left, _TOGETHER_BYTES)
            yield padding(one.size)
            begun = False
        for one in links:
            yield encode_entry(Entry(one.path, Kind.LINK, link=one.linkname))

    async def finish(self) -> None:
        """Say that nothing more is wanted, and wait until the client has heard it."""
        await self.packets.end()
        while (packet := await self.packets.next()) is not None and packet.type != Packet.PACKET_FIN:
            continue
        self.heard(self.packets.received_bytes)

    async def _ask(self, waiting: deque[int]) -> None:
        """Ask for more files, once few of those are left that were asked for before."""
        if len(self._asked) > _AHEAD_FILES // 2 or self._ahead_bytes > _AHEAD_BYTES // 2:
            return
        more: list[bytes] = []
        while waiting and len(self._asked) < _AHEAD_FILES:
            size = self.listed[waiting[0]].size
            if self._asked and self._ahead_bytes + size > _AHEAD_BYTES:
                break
            index = waiting.popleft()
            self._ahead_bytes += size
            self._asked[index] = None
            more.append(encoded(Packet(type=Packet.PACKET_REQ, ID=index)))
        await self.packets.send(b"".join(more))

    async def _content(self, index: int) -> AsyncGenerator[bytes]:
        for piece in self._kept.pop(index, ()):
            yield piece
        while index not in self._ended:
            packet = await self._receive()
            if packet.type != Packet.PACKET_DATA or packet.ID not in self._asked:
                raise InvalidArgument("the client sends what nobody asked for")
            if not packet.data:
                self._ended.add(packet.ID)
            elif index == packet.ID:
                yield packet.data
            elif sum(map(len, kept := self._kept.setdefault(packet.ID, []))) < self.listed[packet.ID].size:
                kept.append(packet.data)

    async def _receive(self) -> Packet:
        packet = await self.packets.next()
        if packet is None:
            raise InvalidArgument("the client ends in the middle of its files")
        if packet.type == Packet.PACKET_ERR:
            raise InvalidArgument(f"the client cannot send its files: {packet.data.decode('utf-8', 'replace')}")
        moment = time.monotonic()
        if moment - self._told_s >= _TELLS_S:
            self._told_s = moment
            self.heard(self.packets.received_bytes)
        return packet


def _followed(name: str, links: Mapping[str, str]) -> str:
    """Where a path leads by links, none of which leaves the directory; a path that goes round has no end, and is ""."""
    left, path = name.split("/")[::-1], ""
    for _ in range(_MOST_STEPS):
        if not left:
            return path
        part = left.pop()
        if part == "..":
            path = posixpath.dirname(path)
        elif part not in {"", "."}:
            inner = posixpath.join(path, part)
            if inner in links:
                left += links[inner].split("/")[::-1]
                path = "" if links[inner].startswith("/") else path
            else:
                path = inner
    return ""
