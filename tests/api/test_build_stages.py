"""Several stages: only what is needed, side by side, and what goes from one into another."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from tests.building import build, files_of, layers_of, run
from tests.engine_process import EngineProcess

pytestmark = pytest.mark.usefixtures("busybox")


def inspect(engine: EngineProcess, image: str) -> dict[str, Any]:
    found: dict[str, Any] = engine.json("GET", f"/images/{image}/json")
    return found


def test_a_stage_gives_its_files_and_nothing_else(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox AS builder
ENV ONLY=here
RUN mkdir /out && echo built > /out/program && chmod 750 /out/program && chown 5:6 /out/program && touch /rubbish
FROM busybox
COPY --from=builder /out /opt
COPY --from=0 /out/program /by-number
"""
    told = build(engine, {"Dockerfile": dockerfile})
    files = files_of(engine, told.image_id)
    assert (files["opt/program"].mode, files["opt/program"].uid, files["opt/program"].gid) == (0o750, 5, 6)
    assert "by-number" in files
    assert "rubbish" not in files
    assert "ONLY" not in run(engine, told.image_id, "env")


@pytest.mark.parametrize("stage", ["", "LABEL a=b\n", "WORKDIR /\n"])
def test_a_stage_that_is_nothing_at_all_gives_nothing(engine: EngineProcess, stage: str) -> None:
    told = build(engine, {"Dockerfile": f"FROM scratch AS none\n{stage}FROM busybox\nCOPY --from=none / /given/\n"})
    assert set(layers_of(engine, told.image_id)[-1]) == {"given"}


def test_stages_that_the_target_does_not_need_are_not_built(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox AS broken
RUN false
FROM busybox AS wanted
RUN echo yes
FROM wanted AS later
RUN false
"""
    told = build(engine, {"Dockerfile": dockerfile}, target="wanted")
    assert not told.error
    assert "Step 1/2 : FROM busybox AS wanted" in told.text


def test_who_wrote_a_base_is_not_who_writes_what_is_built_on_it(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox AS one\nMAINTAINER somebody\nRUN true\nFROM one\nLABEL a=b\n"
    told = build(engine, {"Dockerfile": dockerfile})
    assert inspect(engine, told.image_id)["Author"] == ""
    first = build(engine, {"Dockerfile": dockerfile}, target="one")
    assert inspect(engine, first.image_id)["Author"] == "somebody"


def test_a_stage_begins_with_another_ones_image_arguments_and_all(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox AS one
ARG V=kept
ENV E=env
FROM one
RUN echo "$V $E"
"""
    assert "kept env\n" in build(engine, {"Dockerfile": dockerfile}).text


def test_independent_stages_run_side_by_side(engine: EngineProcess) -> None:
    """Each waits for the other: one after the other they would never end."""
    meet = "i=0; until test -e /m/{other}; do sleep 0.05; i=$((i+1)); test $i -lt 600; done"
    mount = "--mount=type=cache,id=meeting,target=/m"
    dockerfile = "".join(
        f"FROM busybox AS {own}\nRUN {mount} touch /m/{own}; {meet.format(other=other)}\n"
        for own, other in (("left", "right"), ("right", "left"))
    )
    dockerfile += "FROM busybox\nCOPY --from=left /bin/true /l\nCOPY --from=right /bin/true /r\n"
    told = build(engine, {"Dockerfile": dockerfile}, nocache="1")
    assert not told.error


def test_the_stream_tells_stages_one_after_the_other(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox AS slow
RUN sleep 0.3; echo slow-said
FROM busybox AS quick
RUN echo quick-said
FROM busybox
COPY --from=slow /bin/true /1
COPY --from=quick /bin/true /2
"""
    told = build(engine, {"Dockerfile": dockerfile}, nocache="1")
    assert [int(block.split("/")[0]) for block in told.text.split("Step ")[1:]] == [1, 2, 3, 4, 5, 6, 7]
    assert told.text.index("slow-said\n ---> Removed") < told.text.index("Step 3/7")
    assert told.text.index("Step 4/7") < told.text.index("quick-said\n ---> Removed")


def test_a_stage_that_fails_is_heard_and_ends_the_others(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox AS endless
RUN sleep 1000
FROM busybox AS failing
RUN echo why; exit 3
FROM busybox
COPY --from=endless /bin/true /1
COPY --from=failing /bin/true /2
"""
    told = build(engine, {"Dockerfile": dockerfile}, forcerm="1", nocache="1")
    assert told.error["code"] == 3
    assert told.error["place"] == "Dockerfile:4"
    assert "why\n" in told.text
    assert engine.json("GET", "/containers/json?all=1") == []


def test_triggers_of_the_base_are_carried_out_and_not_inherited(engine: EngineProcess) -> None:
    build(engine, {"Dockerfile": "FROM busybox\nONBUILD COPY f /f\nONBUILD RUN echo triggered\n"}, t="trigger")
    assert inspect(engine, "trigger")["Config"]["OnBuild"] == ["COPY f /f", "RUN echo triggered"]
    told = build(engine, {"Dockerfile": "FROM trigger\nRUN cat /f\n", "f": "from the context\n"})
    begin, _ = re.sub(r"\b[0-9a-f]{12}\b", "ID", told.text).split("Step 2/2")
    triggered = " ---> Running in ID\ntriggered\n ---> Removed intermediate container ID\n"
    assert begin == f"Step 1/2 : FROM trigger\n# Executing 2 build triggers\n{triggered} ---> ID\n"
    assert "from the context\n" in told.text
    assert not inspect(engine, told.image_id)["Config"].get("OnBuild")


MAKERS = """FROM busybox AS deep
RUN echo from the deep > /deep
FROM busybox AS maker
COPY --from=deep /deep /made
COPY f /f
FROM busybox AS unwanted
RUN false
"""


@pytest.fixture
def taker(engine: EngineProcess) -> str:
    """An image that takes something from stages of whoever builds on it."""
    dockerfile = """FROM busybox
ONBUILD COPY --from=maker /made /taken
ONBUILD RUN --mount=from=1,target=/in cat /in/f
"""
    assert build(engine, {"Dockerfile": dockerfile}, t="taker").image_id
    return "taker"


@pytest.mark.parametrize("progress", ["", "events"])
def test_stages_that_only_triggers_take_from_are_built(engine: EngineProcess, taker: str, progress: str) -> None:
    dockerfile = f"{MAKERS}FROM {taker}\nCOPY f /again\nRUN cat /taken\n"
    files = {"Dockerfile": dockerfile, "f": f"in the context {progress}\n"}
    told = build(engine, files, progress=progress, nocache="1")
    found = files_of(engine, told.image_id)
    assert found["again"].size == len(files["f"])
    assert found["taken"].size == len("from the deep\n")
    if not progress:
        assert "from the deep\n" in told.text
        assert "in the context \n" in told.text.split("# Executing 2 build triggers")[1]
    else:
        steps = [line["build"] for line in told.lines if "build" in line and line["build"]["kind"] == "step"]
        texts = {
            number: [one["text"] for one in steps if one["stage"] == number] for number in {s["stage"] for s in steps}
        }
        assert sorted(texts.values()) == sorted([*(stage for stage in _texts(dockerfile) if "RUN false" not in stage)])


def _texts(dockerfile: str) -> list[list[str]]:
    stages = [stage.strip().splitlines() for stage in dockerfile.split("FROM ")[1:]]
    return [[f"FROM {first}", *rest] for first, *rest in stages]


def test_more_stages_than_may_be_built_at_once_wait_for_one_that_their_triggers_want(
    engine: EngineProcess, taker: str
) -> None:
    names = [f"s{number}" for number in range(4 + 2 * (os.cpu_count() or 1))]
    stages = "".join(f"FROM {taker} AS {name}\nRUN echo {name} > /own\n" for name in names)
    copies = "".join(f"COPY --from={name} /own /taken /{name}/\n" for name in names)
    told = build(engine, {"Dockerfile": f"{MAKERS}{stages}FROM scratch\n{copies}", "f": "x\n"}, nocache="1")
    assert {f"{name}/taken" for name in names} <= set(files_of(engine, told.image_id))


def test_a_late_stage_that_fails_ends_the_build(engine: EngineProcess, taker: str) -> None:
    dockerfile = f"FROM busybox\nRUN exit 5\nFROM busybox AS maker\nCOPY --from=0 /made /made\nFROM {taker}\n"
    told = build(engine, {"Dockerfile": dockerfile}, forcerm="1", nocache="1")
    assert (told.error["code"], told.error["place"]) == (5, "Dockerfile:2")
    assert engine.json("GET", "/containers/json?all=1") == []


def test_an_image_is_a_source_of_files(engine: EngineProcess) -> None:
    build(engine, {"Dockerfile": "FROM scratch\nCOPY f /given\n", "f": "x"}, t="given")
    told = build(engine, {"Dockerfile": "FROM busybox\nCOPY --from=given /given /taken\n"})
    assert set(layers_of(engine, told.image_id)[-1]) == {"taken"}


def test_arguments_before_from_choose_the_base(engine: EngineProcess) -> None:
    dockerfile = "ARG BASE=nothing\nFROM ${BASE:-busybox}\nARG BASE\nRUN echo base=$BASE\n"
    told = build(engine, {"Dockerfile": dockerfile}, buildargs={"BASE": "busybox"})
    assert "base=busybox\n" in told.text


def test_platform_arguments_are_there_when_they_are_declared(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox\nARG TARGETPLATFORM\nARG BUILDOS\nRUN echo on $TARGETPLATFORM $BUILDOS\n"
    told = build(engine, {"Dockerfile": dockerfile})
    architecture = json.loads(engine.request("GET", "/version")[1])["Arch"]
    assert f"on linux/{architecture}" in told.text
    assert "linux\n" in told.text


def test_heredocs_are_scripts_and_files(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox
ARG WHO=you
RUN <<END
echo one
echo two > /two
END
RUN <<SCRIPT
#!/bin/sh
echo script $0
SCRIPT
RUN cat <<A > /a && cat <<"B" > /b
a is $WHO
A
b is $WHO
B
COPY <<plain.txt <<"quoted.txt" /texts/
hello $WHO
plain.txt
hello $WHO
quoted.txt
"""
    told = build(engine, {"Dockerfile": dockerfile})
    assert "one\n" in told.text
    assert "script /dev/pipes/SCRIPT\n" in told.text
    shown = run(engine, told.image_id, "cat", "/two", "/a", "/b", "/texts/plain.txt", "/texts/quoted.txt")
    assert shown.splitlines() == ["two", "a is you", "b is $WHO", "hello you", "hello $WHO"]
