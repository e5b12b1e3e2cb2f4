"""Directories that are given as devices, which may hold anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.engine import spec_resources
from sampan.engine.config import DeviceMapping, HostConfig, Resources
from sampan.engine.spec_resources import host_devices
from sampan.errors import InvalidArgument


def test_a_directory_with_too_many_files_to_look_for_devices_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "file").touch()
    host = HostConfig(resources=Resources(devices=(DeviceMapping(str(tmp_path), "/dev/crowd", "rwm"),)))
    monkeypatch.setattr(spec_resources, "MOST_FILES", 8)
    assert host_devices(host) == ()
    (tmp_path / "3" / "another").touch()
    with pytest.raises(InvalidArgument, match="there are more than 8 files in it"):
        host_devices(host)
