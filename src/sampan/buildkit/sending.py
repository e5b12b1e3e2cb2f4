"""Files to a client (FileSend/DiffCopy): the tree of an image into a directory of the client's, or any archive.

For a directory the protocol is fsutil's with the roles changed: here is the list, the client asks for what it wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence

from grpclib.client import StreamStreamMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from sampan.build.threads import away
from sampan.buildkit.errors import reason
from sampan.buildkit.packets import Packets, encoded
from sampan.buildkit.proto.control_pb2 import BytesMessage
from sampan.buildkit.proto.session_pb2 import Packet, Stat
from sampan.buildkit.sessions import Session
from sampan.buildkit.stats import LENT, FileKind, has_content
from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.image.feed import from_thread
from sampan.linux.openat import open_in_root

METHOD = "/moby.filesync.v1.FileSend/DiffCopy"
_EXPORTER_ID = "buildkit-attachable-exporter-id"
_PIECE = 1 << 17
_KINDS = {
    stat.S_IFDIR: FileKind.DIRECTORY,
    stat.S_IFLNK: FileKind.SYMLINK,
    stat.S_IFIFO: FileKind.FIFO,
    stat.S_IFBLK: FileKind.DEVICE,
    stat.S_IFCHR: FileKind.DEVICE | FileKind.CHARACTER,
    stat.S_IFREG: 0,
}

Heard = Callable[[int], None]  # is told how many bytes have gone


async def send_archive(session: Session, exporter: int, pieces: Iterator[bytes], heard: Heard) -> None:
    """Send an archive to what the client has for this exporter. Raises InvalidArgument with what the client says."""
    sent = 0
    call = StreamStreamMethod(session.caller, _method(session), BytesMessage, BytesMessage)
    try:
        async with call.open(metadata=[(_EXPORTER_ID, str(exporter))]) as stream:
            while piece := await away(lambda: next(pieces, b"")):
                await stream.send_message(BytesMessage(data=piece))
                sent += len(piece)
                heard(sent)
            await stream.end()
            while await stream.recv_message() is not None:
                continue
    except (GRPCError, StreamTerminatedError) as error:
        raise InvalidArgument(f"the client does not take the archive: {reason(error)}") from error


async def send_tree(session: Session, exporter: int, root_fd: int, heard: Heard) -> None:
    """Send the tree below a directory. Raises InvalidArgument with what the client says."""
    call = StreamStreamMethod(session.caller, _method(session), Packet, Packet)
    try:
        async with call.open(metadata=[(_EXPORTER_ID, str(exporter))]) as stream:
            await _Sending(Packets(stream), root_fd, heard).run()
    except (GRPCError, StreamTerminatedError) as error:
        raise InvalidArgument(f"the client does not take the files: {reason(error)}") from error


def _method(session: Session) -> str:
    if not session.serves(METHOD):
        raise NotImplementedHere("the client takes no files", remedy="leave the image here")
    return METHOD


class _Sending:
    def __init__(self, packets: Packets, root_fd: int, heard: Heard) -> None:
        self.packets = packets
        self.root_fd = root_fd
        self.heard = heard
        self.paths: dict[int, bytes] = {}  # of files, by their numbers in the list
        self.sent = 0
        self.is_listed = False
        self.one_at_a_time = asyncio.Lock()  # of those who send, whose packets may be several frames

    async def run(self) -> None:
        await self.packets.begin()
        listing, answering = asyncio.ensure_future(self._list()), asyncio.ensure_future(self._answer())
        try:
            await asyncio.gather(listing, answering)
        finally:
            listing.cancel()
            answering.cancel()
            await asyncio.gather(listing, answering, return_exceptions=True)

    async def _list(self) -> None:
        await self._send(self._entries())
        self.is_listed = True
        await self._send(iter([encoded(Packet(type=Packet.PACKET_STAT))]))

    def _entries(self) -> Iterator[bytes]:
        for number, one in enumerate(_walk(self.root_fd)):
            if has_content(one):
                self.paths[number] = one.path
            yield encoded(Packet(type=Packet.PACKET_STAT, stat=one))

    async def _answer(self) -> None:
        while packets := await self.packets.some():
            for packet in packets:
                if packet.type == Packet.PACKET_ERR:
                    said = packet.data.decode("utf-8", "replace")
                    raise InvalidArgument(f"the client cannot write the files: {said}")
            await self._send(self._contents([one.ID for one in packets if one.type == Packet.PACKET_REQ]))
            if any(one.type == Packet.PACKET_FIN for one in packets):
                break
        if not packets or not self.is_listed:
            raise InvalidArgument("the client ends in the middle of the files")
        async with self.one_at_a_time:
            await self.packets.end()

    def _contents(self, numbers: Sequence[int]) -> Iterator[bytes]:
        for number in numbers:
            path = self.paths.pop(number, b"")
            if not path:
                raise InvalidArgument("the client asks for a file that is not in the list")
            fd = open_in_root(self.root_fd, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                while data := os.read(fd, _PIECE):
                    self.sent += len(data)
                    yield encoded(Packet(type=Packet.PACKET_DATA, ID=number, data=data))
            finally:
                os.close(fd)
            yield encoded(Packet(type=Packet.PACKET_DATA, ID=number))

    async def _send(self, packets: Iterator[bytes]) -> None:
        async with contextlib.aclosing(from_thread(packets)) as pieces:
            async for piece in pieces:
                async with self.one_at_a_time:
                    await self.packets.send(piece)
                self.heard(self.sent)


def _walk(root_fd: int) -> Iterator[Stat]:
    """All below a directory, each directory before what is in it, names in the order of their bytes."""
    names: dict[tuple[int, int], str] = {}  # the first name of files with several

    def below(fd: int, before: str) -> Iterator[Stat]:
        for name in sorted(os.listdir(fd), key=os.fsencode):
            path = before + name
            status = os.lstat(name, dir_fd=fd)
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFSOCK:
                continue  # as in archives
            link = os.readlink(name, dir_fd=fd) if kind == stat.S_IFLNK else ""
            if kind == stat.S_IFREG and status.st_nlink > 1:
                first = names.setdefault((status.st_dev, status.st_ino), path)
                link = first if first != path else ""
            yield _stat(path, status, link)
            if kind == stat.S_IFDIR:
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                try:
                    yield from below(inner, f"{path}/")
                finally:
                    os.close(inner)

    top = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        yield from below(top, "")
    finally:
        os.close(top)


def _stat(path: str, status: os.stat_result, link: str) -> Stat:
    mode = stat.S_IMODE(status.st_mode) & 0o777 | _KINDS[stat.S_IFMT(status.st_mode)]
    mode |= sum(lent for lent, bit in LENT.items() if status.st_mode & bit)
    return Stat(
        path=os.fsencode(path),
        mode=mode,
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if stat.S_ISREG(status.st_mode) else 0,
        modTime=status.st_mtime_ns,
        linkname=os.fsencode(link),
        devmajor=os.major(status.st_rdev),
        devminor=os.minor(status.st_rdev),
    )
