from __future__ import annotations

import os

from sampan.monitor.loop import Loop
from sampan.monitor.stdin import Stdin


def test_the_end_of_input_comes_behind_all_that_waits() -> None:
    loop = Loop()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    told: list[str] = []
    stdin = Stdin(loop, write_end, lambda: told.append("room"))
    content = bytes(200_000)
    stdin.write(content[:150_000])
    assert stdin.full
    stdin.write(content[150_000:])
    stdin.end()
    stdin.write(b"too late")
    received = b""
    while chunk := os.read(read_end, 50_000):
        received += chunk
        if stdin.full:
            loop.step()
    assert received == content
    assert told == ["room"]
    os.close(read_end)
    loop.close()


def test_a_process_that_reads_no_more_swallows_what_waits_and_what_comes() -> None:
    loop = Loop()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    told: list[str] = []
    stdin = Stdin(loop, write_end, lambda: told.append("room"))
    stdin.write(bytes(100_000))
    os.close(read_end)
    loop.step()
    assert not stdin.full
    stdin.write(b"more")
    assert not stdin.full
    assert told == ["room"]
    stdin.close()
    loop.close()
