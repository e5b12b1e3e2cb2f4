"""What is said of a container that does not run, by what it does instead."""

from __future__ import annotations

import pytest

from sampan.engine.config import ContainerConfig
from sampan.engine.container import ContainerRecord, Created, Exited, Restarting, State
from sampan.engine.not_running import not_running


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (Created(), "container {} is not running"),
        (Exited(3, 1, 2), "container {} is not running"),
        (Restarting(Exited(3, 1, 2), 5), "Container {} is restarting, wait until the container is running"),
    ],
)
def test_a_container_that_is_to_start_again_is_not_said_to_have_ended(state: State, sentence: str) -> None:
    record = ContainerRecord(
        id="c" * 64, name="box", created_at_ns=1, image_id="", config=ContainerConfig(), state=state
    )
    error = not_running(record)

    assert str(error) == sentence.format("c" * 64)
    assert "`sampan start box`" in error.remedy
