"""`system df --verbose` by a template, and the word by which `stats` was asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon

IMAGE = {"Id": "sha256:" + "a" * 64, "RepoTags": ["app:1"], "Created": 1, "Size": 2_025_000, "SharedSize": 25_000}
CONTAINER = {"Id": "c" * 64, "Names": ["/web"], "Image": "app:1", "Command": "sh", "Created": 1, "State": "running"}
VOLUME = {
    "Name": "db",
    "Driver": "local",
    "Scope": "local",
    "Mountpoint": "/d",
    "UsageData": {"Size": 9, "RefCount": 1},
}
CACHE = {"ID": "k", "Type": "regular", "Size": 5, "InUse": True, "Shared": False, "UsageCount": 2}
USAGE: dict[str, Any] = {
    "LayersSize": 2_025_000,
    "Images": [{**IMAGE, "Containers": 1}],
    "Containers": [{**CONTAINER, "Status": "Up 2 hours", "SizeRw": 7, "SizeRootFs": 9, "Ports": [], "Mounts": []}],
    "Volumes": [VOLUME],
    "BuildCache": [CACHE],
}


def test_all_that_takes_disk_is_written_as_json(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/system/df", fake_daemon.reply(200, USAGE))

    found = json.loads(sampan("system", "df", "-v", "--format", "json").stdout)

    assert list(found) == ["Images", "Containers", "Volumes", "BuildCache"]
    image, container, volume, cache = (found[kind][0] for kind in found)
    assert (image["ID"], image["Repository"], image["Tag"]) == (IMAGE["Id"], "app", "1")
    assert (image["Size"], image["SharedSize"], image["UniqueSize"], image["Containers"]) == (
        "2.02MB",
        "25kB",
        "2MB",
        "1",
    )
    assert (container["ID"], container["Names"], container["Size"]) == (CONTAINER["Id"], "web", "7B")
    assert (volume["Name"], volume["Size"], volume["Links"]) == ("db", "9B", "1")
    assert (cache["ID"], cache["CacheType"], cache["Size"], cache["InUse"]) == ("k", "regular", "5B", "true")


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{range .Images}}{{.Repository}}:{{.Tag}} {{.UniqueSize}}{{end}}", b"app:1 2MB\n"),
        ("{{len .Volumes}} {{(index .BuildCache 0).UsageCount}}", b"1 2\n"),
    ],
)
def test_all_that_takes_disk_is_shown_by_a_template(
    fake_daemon: FakeDaemon, sampan: Command, template: str, printed: bytes
) -> None:
    fake_daemon.on("GET", "/system/df", fake_daemon.reply(200, USAGE))

    assert sampan("system", "df", "--verbose", "--format", template).stdout == printed
    assert sampan("system", "df", "-v", "--format", "{{.Type}}").returncode == 1
    assert sampan("system", "df", "-v", "--format", "table").stdout == sampan("system", "df", "-v").stdout


def test_stats_name_a_container_as_it_was_asked_for(fake_daemon: FakeDaemon, sampan: Command) -> None:
    sample = {"id": "c" * 64, "name": "/web", "read": "0001-01-01T00:00:00Z"}
    for name in ("web", "c" * 64, "cccc"):
        fake_daemon.on("GET", f"/containers/{name}/stats", fake_daemon.reply(200, sample))
    fake_daemon.on("GET", "/containers/json", fake_daemon.reply(200, [CONTAINER]))
    template = ("stats", "--no-stream", "--format", "{{.Container}} {{.Name}} {{.ID}}")

    assert sampan(*template, "web").stdout == b"web web cccccccccccc\n"
    assert sampan(*template, "cccc").stdout == b"cccc web cccccccccccc\n"
    assert sampan(*template).stdout == b"cccccccccccc web cccccccccccc\n"
