"""What `--from` and `from=` mean when it is neither a stage nor an image."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from sampan.build.file_steps import find_origin
from sampan.build.graph import plan_stages
from sampan.build.parser import parse
from sampan.build.request import BuildRequest
from sampan.build.scopes import global_scope
from sampan.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from sampan.build.progress import Tell
    from sampan.build.workshop import Workshop
    from sampan.image.records import Image

DOCKERFILE = b"""FROM a AS build
FROM a
COPY --from=biuld /x /x
FROM a AS later
"""


class NoBases:
    """No image is to be had."""

    async def find(self, name: str, *, pull: bool, platform: str, tell: Tell) -> Image:
        del pull, platform, tell
        raise NotFound(f"No such image: {name}", remedy="look at the name")


@pytest.mark.parametrize(
    ("origin", "remedy"),
    [("biuld", "did you mean the stage build?"), ("latre", "look at the name"), ("busybox", "look at the name")],
)
def test_a_stage_that_is_nearly_named_is_meant(origin: str, remedy: str) -> None:
    dockerfile = parse(DOCKERFILE, name="Dockerfile")
    graph = plan_stages(dockerfile, global_scope(dockerfile, {}, {}), "later")
    plan = plan_stages(dockerfile, global_scope(dockerfile, {}, {}), "1").target
    workshop = SimpleNamespace(graph=graph, bases=NoBases(), request=BuildRequest())
    with pytest.raises(NotFound) as caught:
        asyncio.run(find_origin(cast("Workshop", workshop), plan, origin, lambda _: None))
    assert caught.value.remedy == remedy


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("COPY --from=1 /x /x", "invalid from flag value 1: refers to current build stage"),
        ("COPY --from=Here /x /x", "invalid from flag value Here: refers to current build stage"),
        ("COPY --from=2 /x /x", "invalid from flag value 2: index out of bounds"),
        ("COPY --from=-1 /x /x", "invalid from flag value -1: index out of bounds"),
        ("COPY --from=later /x /x", "invalid from flag value later: the stage is defined after this one"),
        ("COPY --from=scratch /x /x", "invalid from flag value scratch: 'scratch' is a reserved name"),
        ("RUN --mount=from=here,target=/x true", "invalid from flag value here: refers to current build stage"),
    ],
)
def test_what_is_no_earlier_stage_is_refused_before_the_first_step(line: str, sentence: str) -> None:
    text = f"FROM a AS first\nFROM a AS here\n{line}\nFROM a AS later\nFROM here\n"
    dockerfile = parse(text.encode(), name="Dockerfile")
    scope = global_scope(dockerfile, {}, {})
    with pytest.raises(InvalidArgument) as caught:
        plan_stages(dockerfile, scope, "")
    assert caught.value.sentence == f"Dockerfile:3: {sentence}: {line!r}"
    assert caught.value.remedy
    assert plan_stages(dockerfile, scope, "later").target.index == 2  # which does not need that stage
    if "here" in line.lower() or "later" in line:
        assert plan_stages(dockerfile, scope, "", replaced={"here", "later"}).target.index == 3


def test_a_name_that_is_given_twice_means_the_stage_that_had_it_last() -> None:
    dockerfile = parse(b"FROM x AS a\nFROM a AS b\nFROM y AS a\nFROM a\nCOPY --from=b / /\n", name="Dockerfile")
    stages = plan_stages(dockerfile, global_scope(dockerfile, {}, {}), "").stages
    assert [plan.base_stage for plan in stages] == [None, 0, None, 2]
