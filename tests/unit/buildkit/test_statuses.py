"""What a client is told while a build goes on."""

from __future__ import annotations

import asyncio

from sampan.build import progress
from sampan.buildkit.proto.control_pb2 import StatusResponse
from sampan.buildkit.statuses import CANCELED, MOST_UNREAD_BYTES, Statuses


async def all_of(statuses: Statuses) -> StatusResponse:
    """Everything that is told, put together."""
    told = StatusResponse()
    async for response in statuses.read():
        told.MergeFrom(response)
    return told


def of(stage: int, *events: progress.Event) -> list[progress.Event]:
    return [progress.OfStage(stage, "", event) for event in events]


def begins(number: int, text: str) -> progress.StepBegins:
    return progress.StepBegins(number, 9, text)


async def test_steps_that_change_files_are_vertexes_counted_in_their_stage() -> None:
    statuses = Statuses("ref")
    statuses.hear(of(0, progress.StageBegins("build", 2, is_alone=False), begins(1, "FROM x AS build")))
    statuses.hear(of(1, progress.StageBegins("stage-1", 1, is_alone=False), begins(4, "FROM y")))
    statuses.hear(of(0, progress.StepEnds("i"), begins(2, "ENV A=b"), progress.StepEnds("i"), begins(3, "RUN c")))
    statuses.hear(of(0, progress.UsesCache(), progress.StepEnds("i")))
    statuses.hear(of(1, progress.Output(b"out", is_error=False), progress.Output(b"err", is_error=True)))
    statuses.hear(of(1, progress.StepEnds("j")))
    statuses.close()
    told = await all_of(statuses)
    done = [one for one in told.vertexes if one.HasField("completed")]
    assert [one.name for one in done] == ["[build 1/2] FROM x AS build", "[build 2/2] RUN c", "[stage-1 1/1] FROM y"]
    assert [one.cached for one in done] == [False, True, False]
    assert [(log.stream, log.msg) for log in told.logs] == [(1, b"out"), (2, b"err")]
    assert {log.vertex for log in told.logs} == {told.vertexes[-1].digest}


async def test_a_stage_that_is_alone_and_has_no_name_is_not_named() -> None:
    statuses = Statuses("ref")
    statuses.hear(of(0, progress.StageBegins("stage-0", 1, is_alone=True), begins(1, "FROM x")))
    statuses.close()
    assert (await all_of(statuses)).vertexes[0].name == "[1/1] FROM x"


async def test_the_step_that_failed_has_the_error_and_the_others_are_cancelled() -> None:
    statuses = Statuses("ref")
    for stage in (0, 1):
        statuses.hear(of(stage, progress.StageBegins(f"s{stage}", 1, is_alone=False), begins(1, "FROM x")))
    statuses.hear(of(0, progress.StepFails()))
    statuses.close("it broke")
    statuses.close("it broke again")
    ended = {one.name: one.error for one in (await all_of(statuses)).vertexes if one.HasField("completed")}
    assert ended == {"[s0 1/1] FROM x": "it broke", "[s1 1/1] FROM x": CANCELED}


async def test_a_reader_that_comes_late_hears_every_beginning_and_end_but_not_all_that_was_written() -> None:
    statuses = Statuses("ref")
    digest = statuses.begin("talks")
    for _ in range(40):
        statuses.write(digest, bytes(MOST_UNREAD_BYTES // 10))
        await statuses.room()
    statuses.end(digest)
    statuses.close()
    told = await all_of(statuses)
    assert 0 < sum(len(log.msg) for log in told.logs) < 2 * MOST_UNREAD_BYTES
    assert [one.HasField("completed") for one in told.vertexes] == [False, True]


async def test_who_reads_slowly_hears_everything_and_is_waited_for() -> None:
    statuses = Statuses("ref")
    digest = statuses.begin("talks")
    sizes = []

    async def read_slowly() -> None:
        async for response in statuses.read():
            sizes.append(sum(len(log.msg) for log in response.logs))
            await asyncio.sleep(0.02)

    reading = asyncio.ensure_future(read_slowly())
    await asyncio.sleep(0)
    for _ in range(100):
        statuses.write(digest, bytes(MOST_UNREAD_BYTES // 10))
        await statuses.room()
    statuses.close()
    await reading
    assert sum(sizes) == 100 * (MOST_UNREAD_BYTES // 10)
    assert max(sizes) < 2 * MOST_UNREAD_BYTES


async def test_of_a_transfer_the_latest_is_told_and_when_it_began() -> None:
    statuses = Statuses("ref")
    digest = statuses.begin("transfers")
    for count in range(1000):
        statuses.advance(digest, "files", count, 999, done=count == 999)
    statuses.advance(digest, "others", 5)
    statuses.close()
    told = (await all_of(statuses)).statuses
    assert [(one.ID, one.current, one.HasField("completed")) for one in told] == [
        ("files", 999, True),
        ("others", 5, True),
    ]
    assert told[0].started.ToNanoseconds() < told[0].completed.ToNanoseconds()


async def test_a_transfer_of_what_failed_is_never_done() -> None:
    statuses = Statuses("ref")
    digest = statuses.begin("transfers")
    statuses.advance(digest, "files", 5)
    statuses.close("no room")
    told = await all_of(statuses)
    assert [(one.ID, one.HasField("completed")) for one in told.statuses] == [("files", False)]
    assert [one.error for one in told.vertexes if one.error] == ["no room"]


async def test_warnings_name_the_rule_and_the_lines() -> None:
    statuses = Statuses("ref", source=b"from x\n", filename="Dockerfile")
    warned = progress.Warned("FromAsCasing", "about", "the message", ".dockerfile.x", 1, 2)
    statuses.hear([progress.OfStage(progress.OF_NONE, "", warned)])
    statuses.close()
    (warning,) = (await all_of(statuses)).warnings
    assert warning.short == b"FromAsCasing: the message (line 1)"
    assert (warning.info.filename, warning.info.data) == ("Dockerfile", b"from x\n")
    assert [(one.start.line, one.end.line) for one in warning.ranges] == [(1, 2)]
