"""What `sampan build` says of a base image's triggers, and of sums that are one or none."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Command, FakeDaemon
from tests.cli.test_build import IMAGE, event, stream


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([5_000_000], ["5MB in 1 layer that holds files:", "SIZE MADE BY", "5MB RUN make"]),
        ([0], ["no layer holds files"]),
    ],
)
def test_a_sum_of_one_or_none_is_said_as_such(
    fake_daemon: FakeDaemon, sampan: Command, sizes: list[int], said: list[str]
) -> None:
    fake_daemon.on("POST", "/build", stream(event("step", number=1, total=1, text="FROM base"), {"aux": {"ID": IMAGE}}))
    layers = [{"Size": one, "CreatedBy": "RUN make"} for one in sizes]
    fake_daemon.on("GET", "/images/.*/history", fake_daemon.reply(200, layers))
    fake_daemon.on("GET", "/images/.*/diet", fake_daemon.reply(200, {"Savings": []}))
    done = sampan("build", "-", input=b"FROM base\n")
    lines = done.stderr.decode().splitlines()
    assert lines[2].endswith("s, 0 of 1 step from the cache")
    assert [" ".join(line.split()) for line in lines[3:]] == said


def test_the_triggers_of_a_base_are_part_of_its_step(fake_daemon: FakeDaemon, sampan: Command) -> None:
    """Some of them may be in the cache when others are not, so the step is never said to be."""
    told = [
        event("step", number=1, total=1, text="FROM base"),
        event("triggers", count=2),
        event("cached"),
        event("output", text="from a trigger\n", error=False),
        event("step-end", image=IMAGE),
        {"aux": {"ID": IMAGE}},
    ]
    fake_daemon.on("POST", "/build", stream(*told))
    done = sampan("build", "-", input=b"FROM base\n")
    lines = done.stderr.decode().splitlines()
    assert [line.split(" ", 2)[2] for line in lines[1:3]] == [
        "executing 2 build triggers of the base image",
        "from a trigger",
    ]
    assert lines[3].startswith("#1 done ")
