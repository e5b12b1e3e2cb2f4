"""The configuration of a container as inspect shows it."""

from __future__ import annotations

import pytest

from sampan.api.container_config import process_to
from sampan.engine.config import ProcessConfig, Strings


@pytest.mark.parametrize("nothing", [None, ()])
def test_no_variables_at_all_are_null_as_with_docker(nothing: Strings) -> None:
    assert process_to(ProcessConfig(environment=nothing)).env is None
