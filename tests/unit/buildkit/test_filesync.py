"""Files of a client that speaks fsutil's protocol, and of clients that break it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import resource
import tarfile
from collections.abc import Sequence
from typing import Any

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from tests.buildkit_client import DIFF_COPY, Serves, files, listing, served, streaming

from sampan.buildkit.filesync import END_OF_ARCHIVE, Wanted, archive_of, file_of
from sampan.buildkit.proto.session_pb2 import Packet, Stat
from sampan.buildkit.stats import FileKind
from sampan.errors import InvalidArgument, NotImplementedHere

CONTEXT = Wanted("context")


async def archived(client: Serves, wanted: Wanted = CONTEXT) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """The archive of what a client sends: entries and contents by names."""
    async with served({DIFF_COPY: streaming(client)}) as session:
        archive = b"".join([piece async for piece in archive_of(session, wanted, lambda _: None)])
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive + END_OF_ARCHIVE)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name] = member, file.read() if file else b""
    return found


async def test_a_tree_becomes_an_archive() -> None:
    large = os.urandom(300_000)
    entries = [
        Stat(path=b"a", mode=FileKind.DIRECTORY | 0o750),
        Stat(path=b"a/large", mode=0o644, size=len(large), modTime=1_700_000_000_500_000_000),
        Stat(path=b"a/small", mode=0o600 | 1 << 23, size=2, xattrs={"user.k": b"v"}),
        Stat(path=b"b", mode=0o600, size=2, linkname=b"a/small"),
        Stat(path=b"empty", mode=0o644),
        Stat(path=b"link", mode=FileKind.SYMLINK | 0o777, linkname=b"../out"),
        Stat(path=b"pipe", mode=FileKind.FIFO | 0o620),
        Stat(path=b"socket", mode=FileKind.SOCKET | 0o600),
        Stat(path=b"terminal", mode=FileKind.DEVICE | FileKind.CHARACTER | 0o600, devmajor=5),
        Stat(path="übel und\nlang ".encode() + b"x" * 150, mode=0o644, size=1),
        Stat(path=b"\xff", mode=0o644, size=1),
    ]
    contents = {"a/large": large, "a/small": b"hi", "empty": b"", os.fsdecode(entries[-2].path): b"!", "\udcff": b"?"}
    found = await archived(files(entries, contents))
    assert set(found) == {os.fsdecode(one.path) for one in entries} - {"socket", "terminal"}
    members = {name: member for name, (member, _) in found.items()}
    assert (members["a"].isdir(), members["a"].mode) == (True, 0o750)
    assert (found["a/large"][1], members["a/large"].mtime) == (large, 1_700_000_000.5)
    assert (found["a/small"][1], members["a/small"].mode) == (b"hi", 0o4600)
    assert members["a/small"].pax_headers["SCHILY.xattr.user.k"] == "v"
    assert (members["b"].islnk(), members["b"].linkname) == (True, "a/small")
    assert (members["link"].issym(), members["link"].linkname) == (True, "../out")
    assert members["pipe"].isfifo()
    assert found["empty"][1] == b""


async def test_thousands_of_files_are_asked_for_ahead_and_come_whole() -> None:
    entries = [Stat(path=b"%05d" % number, mode=0o644, size=5) for number in range(3000)]
    found = await archived(files(entries, {os.fsdecode(one.path): one.path for one in entries}))
    assert [found[os.fsdecode(one.path)][1] for one in entries] == [one.path for one in entries]


async def test_files_that_come_in_pieces_between_each_other_are_put_in_order() -> None:
    async def client(stream: Any) -> None:
        for packet in listing(*(Stat(path=os.fsencode(name), mode=0o644, size=4) for name in "abc")):
            await stream.send_message(packet)
        asked = [(await stream.recv_message()).ID for _ in range(3)]
        assert asked == [0, 1, 2]
        for half in (b"1.", b"2."):
            for number in (2, 0, 1):
                await stream.send_message(Packet(type=Packet.PACKET_DATA, ID=number, data=half))
        for number in (1, 2, 0):
            await stream.send_message(Packet(type=Packet.PACKET_DATA, ID=number))
        assert (await stream.recv_message()).type == Packet.PACKET_FIN
        await stream.send_message(Packet(type=Packet.PACKET_FIN))

    assert {name: content for name, (_, content) in (await archived(client)).items()} == dict.fromkeys("abc", b"1.2.")


async def test_no_file_is_asked_for_ahead_that_is_too_large_to_wait_in_memory() -> None:
    asked: list[int] = []

    async def client(stream: Any) -> None:
        for packet in listing(
            *(Stat(path=str(size).encode(), mode=0o644, size=size) for size in (1, 2, 5 << 20, 6 << 20, 3))
        ):
            await stream.send_message(packet)
        while True:
            with contextlib.suppress(TimeoutError):
                while (packet := await asyncio.wait_for(stream.recv_message(), 0.2)).type == Packet.PACKET_REQ:
                    waiting.append(packet.ID)
                break
            asked.append(len(waiting))
            for number in waiting:
                await stream.send_message(Packet(type=Packet.PACKET_DATA, ID=number))
            waiting.clear()
        await stream.send_message(Packet(type=Packet.PACKET_FIN))

    waiting: list[int] = []
    await archived(client)
    assert asked == [2, 1, 1, 1]


async def test_a_file_that_changes_meanwhile_has_the_size_that_was_said() -> None:
    entries = [Stat(path=b"longer", mode=0o644, size=3), Stat(path=b"shorter", mode=0o644, size=3)]
    found = await archived(files(entries, {"longer": b"123456", "shorter": b"1"}))
    assert (found["longer"][1], found["shorter"][1]) == (b"123", b"1\0\0")


async def test_what_is_wanted_is_said_in_headers() -> None:
    heard: list[dict[str, list[str]]] = []

    async def client(stream: Any) -> None:
        heard.append({key: stream.metadata.getall(key) for key in stream.metadata})
        await files([], {})(stream)

    await archived(client, Wanted("context", ["Dockerfile", "dockerfile"], ["*.o", "!ü"]))
    assert heard[0]["dir-name"] == ["context"]
    assert heard[0]["followpaths"] == ["Dockerfile", "dockerfile"]
    assert heard[0]["exclude-patterns"] == ["%2A.o", "%21%C3%BC"]
    assert heard[0]["exclude-patterns-encoded"] == ["1"]
    assert "followpaths-encoded" not in heard[0]


@pytest.mark.parametrize(
    ("name", "links", "found"),
    [
        ("real/f", {}, b"FROM"),
        ("D", {"D": "real/f"}, b"FROM"),
        ("D", {"D": "/real/f"}, b"FROM"),
        ("a/D", {"a/D": "../b", "b": "c", "c": "real/f"}, b"FROM"),
        ("d/f", {"d": "real"}, b"FROM"),
        ("D", {"D": "../../../real/f"}, b"FROM"),
        ("D", {"D": "E", "E": "D"}, None),
        ("D", {"D": "missing"}, None),
        ("missing", {}, None),
    ],
)
async def test_single_files_are_read_where_links_lead_to(name: str, links: dict[str, str], found: bytes | None) -> None:
    entries = [
        Stat(path=link.encode(), mode=FileKind.SYMLINK | 0o777, linkname=target.encode())
        for link, target in links.items()
    ]
    entries += [
        Stat(path=b"other", mode=0o644, size=3),
        Stat(path=b"real", mode=FileKind.DIRECTORY | 0o755),
        Stat(path=b"real/f", mode=0o644, size=4),
    ]
    client = files(entries, {"real/f": b"FROM", "other": b"no!"})
    async with served({DIFF_COPY: streaming(client)}) as session:
        read = await file_of(session, "dockerfile", [name, "not there"])
    assert read.get(name) == found
    assert set(read) <= {name}


def saying(*packets: Packet, then: Sequence[Packet] = ()) -> Serves:
    """A client that says this whatever it is asked, and more when it was asked for something."""

    async def client(stream: Any) -> None:
        for packet in packets:
            await stream.send_message(packet)
        if then:
            await stream.recv_message()
        for packet in then:
            await stream.send_message(packet)

    return client


async def test_a_file_that_is_too_large_to_be_a_dockerfile_is_refused() -> None:
    client = files([Stat(path=b"Dockerfile", mode=0o644, size=1)], {"Dockerfile": bytes(17 << 20)}, piece=1 << 20)
    async with served({DIFF_COPY: streaming(client)}) as session:
        with pytest.raises(InvalidArgument, match="Dockerfile is larger than 16 MiB"):
            await file_of(session, "dockerfile", ["Dockerfile"])


async def test_what_a_client_sends_beyond_the_size_that_it_said_is_not_kept() -> None:
    async def client(stream: Any) -> None:
        for packet in listing(*(Stat(path=os.fsencode(name), mode=0o644, size=4) for name in "ab")):
            await stream.send_message(packet)
        for _ in range(2):
            await stream.recv_message()
        for _ in range(500):
            await stream.send_message(Packet(type=Packet.PACKET_DATA, ID=1, data=bytes(1 << 20)))
        for number in range(2):
            await stream.send_message(Packet(type=Packet.PACKET_DATA, ID=number))
        await stream.recv_message()
        await stream.send_message(Packet(type=Packet.PACKET_FIN))

    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert {name: content for name, (_, content) in (await archived(client)).items()} == dict.fromkeys("ab", bytes(4))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 200_000


ONE = Stat(path=b"f", mode=0o644, size=1)


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (saying(), "ends in the middle"),
        (saying(Packet(type=Packet.PACKET_STAT, stat=ONE)), "ends in the middle"),
        (saying(*listing(ONE), then=[Packet(type=Packet.PACKET_DATA, ID=0, data=b"x")]), "ends in the middle"),
        (saying(Packet(type=Packet.PACKET_DATA, ID=0, data=b"x")), "nobody asked for"),
        (saying(*listing(ONE), then=[Packet(type=Packet.PACKET_DATA, ID=7, data=b"x")]), "nobody asked for"),
        (saying(*listing(ONE), then=[Packet(type=Packet.PACKET_STAT, stat=ONE)]), "nobody asked for"),
        (saying(Packet(type=Packet.PACKET_ERR, data=b"no rights")), "no rights"),
    ],
)
async def test_a_client_that_breaks_the_protocol_is_told_of(client: Serves, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        await archived(client)


@pytest.mark.parametrize("begin", [b"\0\xff\xff\xff\xff", b"\1\0\0\0\4"])
async def test_a_packet_without_bounds_or_in_another_coding_is_none(begin: bytes) -> None:
    async def client(stream: Any) -> None:
        await stream.send_initial_metadata()
        await stream._stream.send_data(begin + b"more")
        with contextlib.suppress(Exception):  # the call is given up
            await stream.recv_message()

    with pytest.raises(InvalidArgument, match="sends packets that are none"):
        await archived(client)


async def test_a_packet_without_its_end_is_the_end() -> None:
    async def client(stream: Any) -> None:
        await stream.send_message(listing(ONE)[0])
        await stream._stream.send_data(b"\0\0\0\0\4mor")

    with pytest.raises(InvalidArgument, match="ends in the middle"):
        await archived(client)


async def test_what_a_client_refuses_is_said_in_its_own_words() -> None:
    async def client(_: Any) -> None:
        raise GRPCError(Status.NOT_FOUND, 'no access allowed to dir "context"')

    with pytest.raises(InvalidArgument, match='context cannot be read: no access allowed to dir "context"'):
        await archived(client)


async def test_a_client_without_files_is_told_what_to_give() -> None:
    async with served({}) as session:
        with pytest.raises(NotImplementedHere, match="sends no files"):
            [piece async for piece in archive_of(session, Wanted("context"), lambda _: None)]
        with pytest.raises(NotImplementedHere, match="sends no files"):
            await file_of(session, "dockerfile", ["Dockerfile"])
