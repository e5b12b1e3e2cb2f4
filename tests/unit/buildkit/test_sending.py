"""Files sent to a client: a tree as fsutil asks for it, an archive as bytes, and clients that take neither."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from tests.buildkit_client import SEND, Serves, served, streaming

from sampan.buildkit.proto.control_pb2 import BytesMessage
from sampan.buildkit.proto.session_pb2 import Packet, Stat
from sampan.buildkit.sending import send_archive, send_tree
from sampan.buildkit.stats import FileKind
from sampan.errors import InvalidArgument, NotImplementedHere


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir(mode=0o750)
    (tmp_path / "a" / "inner").write_bytes(b"i" * 300_000)
    (tmp_path / "a-b").write_text("sorted by bytes")
    (tmp_path / "set").write_text("x")
    (tmp_path / "set").chmod(0o4755)
    os.link(tmp_path / "set", tmp_path / "twin")
    (tmp_path / "link").symlink_to("../nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / os.fsdecode(b"\xff")).touch()
    return tmp_path


async def sent(tree: Path, client: Serves, exporter: int = 0) -> int:
    """Send a tree to a client; the bytes that were told of last."""
    counts = [0]
    root_fd = os.open(tree, os.O_PATH | os.O_DIRECTORY)
    try:
        async with served({SEND: streaming(client)}) as session:
            await send_tree(session, exporter, root_fd, counts.append)
    finally:
        os.close(root_fd)
    return counts[-1]


async def test_a_tree_is_listed_in_order_and_its_files_are_sent_as_they_are_asked_for(tree: Path) -> None:
    listed: list[Stat] = []
    contents: dict[bytes, bytes] = {}
    exporters = []

    async def client(stream: Any) -> None:
        exporters.append(stream.metadata["buildkit-attachable-exporter-id"])
        while (packet := await stream.recv_message()).HasField("stat"):
            listed.append(packet.stat)
        for number in reversed([index for index, one in enumerate(listed) if not one.mode & FileKind.ANY]):
            if listed[number].linkname:
                continue
            await stream.send_message(Packet(type=Packet.PACKET_REQ, ID=number))
            while (packet := await stream.recv_message()).data:
                assert number == packet.ID
                contents[listed[number].path] = contents.get(listed[number].path, b"") + packet.data
        await stream.send_message(Packet(type=Packet.PACKET_FIN))
        assert (await stream.recv_message()).type == Packet.PACKET_FIN

    assert await sent(tree, client, exporter=3) == 300_016
    assert exporters == ["3"]
    assert [one.path for one in listed] == [b"a", b"a/inner", b"a-b", b"link", b"pipe", b"set", b"twin", b"\xff"]
    by_path = {one.path: one for one in listed}
    assert by_path[b"a"].mode == FileKind.DIRECTORY | 0o750
    assert by_path[b"set"].mode == 1 << 23 | 0o755
    assert by_path[b"pipe"].mode & FileKind.FIFO
    assert (by_path[b"link"].linkname, by_path[b"twin"].linkname) == (b"../nowhere", b"set")
    assert contents == {b"a/inner": b"i" * 300_000, b"a-b": b"sorted by bytes", b"set": b"x"}


async def _leaves(stream: Any) -> None:
    await stream.recv_message()


async def _asks_for_what_is_not_there(stream: Any) -> None:
    await stream.send_message(Packet(type=Packet.PACKET_REQ, ID=99))
    async for _ in stream:
        pass


async def _cannot_write(stream: Any) -> None:
    await stream.send_message(Packet(type=Packet.PACKET_ERR, data=b"disk full"))
    async for _ in stream:
        pass


async def _has_enough_at_once(stream: Any) -> None:
    await stream.send_message(Packet(type=Packet.PACKET_FIN))
    async for _ in stream:
        pass


async def _refuses(_: Any) -> None:
    raise GRPCError(Status.ALREADY_EXISTS, "target already exists")


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (_leaves, "in the middle|does not take the files"),
        (_asks_for_what_is_not_there, "not in the list"),
        (_cannot_write, "disk full"),
        (_has_enough_at_once, "in the middle"),
        (_refuses, "target already exists"),
    ],
)
async def test_a_client_that_does_not_take_the_files_is_told_of(tree: Path, client: Serves, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        await sent(tree, client)


async def test_a_client_that_fails_and_reads_no_more_is_waited_for_no_longer(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}").mkdir()
        for inner in range(50):
            (tmp_path / f"{number:02}" / f"{inner:0200}").touch()

    async def client(stream: Any) -> None:
        await stream.recv_message()
        await stream.send_message(Packet(type=Packet.PACKET_ERR, data=b"disk full"))
        await asyncio.Event().wait()

    with (
        mock.patch("sampan.buildkit.connections._CONFIGURATION", Configuration(http2_stream_window_size=1 << 16)),
        pytest.raises(InvalidArgument, match="disk full"),
    ):
        await asyncio.wait_for(sent(tmp_path, client), 20)


async def test_an_archive_goes_in_pieces() -> None:
    got: list[bytes] = []

    async def client(stream: Any) -> None:
        got.extend([message.data async for message in stream])

    counts: list[int] = []
    async with served({SEND: streaming(client, BytesMessage)}) as session:
        await send_archive(session, 0, iter([b"one", b"two", b"three"]), counts.append)
    assert (got, counts) == ([b"one", b"two", b"three"], [3, 6, 11])


async def test_a_client_that_takes_nothing_is_told_so() -> None:
    async with served({}) as session:
        with pytest.raises(NotImplementedHere, match="takes no files"):
            await send_archive(session, 0, iter([b"x"]), lambda _: None)
