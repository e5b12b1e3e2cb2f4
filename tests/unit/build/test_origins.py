"""What `--from` and `from=` mean when it is neither a stage nor an image."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from sampan.build.file_steps import find_origin
from sampan.build.graph import plan_stages
from sampan.build.parser import parse
from sampan.build.scopes import global_scope
from sampan.errors import NotFound

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
    workshop = SimpleNamespace(graph=graph, bases=NoBases(), request=SimpleNamespace(platform=""))
    with pytest.raises(NotFound) as caught:
        asyncio.run(find_origin(cast("Workshop", workshop), plan, origin, lambda _: None))
    assert caught.value.remedy == remedy
