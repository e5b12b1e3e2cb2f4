"""The daemon's default of what containers see."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.daemon.options import parse
from sampan.engine.config import HostConfig
from sampan.engine.store import ContainerStore, open_database
from sampan.engine.views import Views
from sampan.errors import InvalidArgument


def test_it_comes_from_the_settings_or_the_command_line(tmp_path: Path) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text('resource-view = "host"\n')
    assert parse(["--config-file", str(settings)]).resource_view == "host"
    assert parse(["--config-file", str(settings), "--resource-view", "full"]).resource_view == "full"
    assert parse([]).resource_view == "auto"


def test_one_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="sideways"):
        parse(["--resource-view=sideways"])


@pytest.mark.parametrize(
    ("default", "asked", "privileged", "expected"),
    [
        ("auto", "", False, True),
        ("auto", "", True, False),
        ("host", "", False, False),
        ("host", "auto", False, True),
        ("host", "auto", True, False),
        ("auto", "host", False, False),
        ("auto", "full", True, True),
        ("full", "", True, True),
    ],
)
def test_what_the_container_says_comes_first(
    tmp_path: Path, default: str, asked: str, *, privileged: bool, expected: bool
) -> None:
    connection = open_database(str(tmp_path / "db"))
    try:
        views = Views(ContainerStore(connection), str(tmp_path), default)
        assert views.has_view(HostConfig(resource_view=asked, privileged=privileged)) is expected
    finally:
        connection.close()
