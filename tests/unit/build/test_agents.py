"""The sockets by which steps reach an ssh agent: as whoever they run, and no longer than they do."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from sampan.build.agents import agent_socket
from sampan.build.steps import Owner

LONG = "/".join(["a-folder-whose-name-is-long"] * 6)  # more than the 108 bytes that bind(2) takes


@pytest.fixture
def place(tmp_path: Path) -> str:
    directory = tmp_path / LONG
    directory.mkdir(parents=True)
    return str(directory / "socket")


async def connect(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """By a descriptor of its directory, as the path is too long for connect(2)."""
    held = os.open(os.path.dirname(path), os.O_PATH)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{held}/{os.path.basename(path)}")
    finally:
        os.close(held)


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An agent that answers each line in capitals, and says good-bye to who has no more to say."""
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.write(b"good-bye\n")
    writer.close()


def test_what_is_said_is_passed_on_both_ways_for_any_number_of_clients(tmp_path: Path, place: str) -> None:
    async def talk() -> list[bytes]:
        agent = await asyncio.start_unix_server(shout, tmp_path / "agent", limit=1 << 21)
        async with agent, agent_socket(str(tmp_path / "agent"), place, Owner(0o640)):
            clients = [await connect(place) for _ in range(3)]
            heard = []
            for reader, writer in clients:
                writer.write(b"hello\n")
                heard.append(await reader.readline())
            for reader, writer in clients:
                writer.write(b"x" * 1_000_000 + b"\n" if writer is clients[0][1] else b"")
                writer.write_eof()
                heard.append(await reader.read())
                writer.close()
            return heard

    hellos, rest = (heard := asyncio.run(asyncio.wait_for(talk(), 60)))[:3], heard[3:]
    assert hellos == [b"HELLO\n"] * 3
    assert rest == [b"X" * 1_000_000 + b"\ngood-bye\n", b"good-bye\n", b"good-bye\n"]


def test_it_has_the_owner_and_mode_that_were_asked_for(tmp_path: Path, place: str) -> None:
    async def look() -> os.stat_result:
        async with agent_socket(str(tmp_path / "nobody"), place, Owner(0o741, os.geteuid(), os.getegid())):
            return os.stat(place)

    status = asyncio.run(look())
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o741
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())


def test_without_an_agent_a_client_hears_the_end_at_once(tmp_path: Path, place: str) -> None:
    async def ask() -> bytes:
        async with agent_socket(str(tmp_path / "nobody"), place, Owner(0o600)):
            reader, writer = await connect(place)
            heard = await reader.read()
            writer.close()
            return heard

    assert asyncio.run(asyncio.wait_for(ask(), 60)) == b""


def test_the_end_of_a_step_ends_talks_that_go_on(tmp_path: Path, place: str) -> None:
    async def leave() -> bytes:
        agent = await asyncio.start_unix_server(shout, tmp_path / "agent")
        async with agent:
            async with agent_socket(str(tmp_path / "agent"), place, Owner(0o600)):
                reader, writer = await connect(place)
                writer.write(b"hello\n")
                assert await reader.readline() == b"HELLO\n"
            heard = await reader.read()
            writer.close()
            with pytest.raises(OSError, match="refused"):
                await connect(place)
            return heard

    assert asyncio.run(asyncio.wait_for(leave(), 60)) == b""
