"""An archive becomes an image of one layer."""

from __future__ import annotations

import io
import json

import pytest
from tests.unit.image.conftest import MakeArchive

from sampan.errors import InvalidArgument
from sampan.image.images import Images
from sampan.image.import_rootfs import ImportRequest, check_import, imported_config, now
from sampan.image.platforms import host_platform, parse_platform


def test_an_imported_archive_is_an_image_in_docker_s_form(images: Images, archive: MakeArchive) -> None:
    request = ImportRequest(("CMD sh", "ENV A=1"), "from a test", "linux/arm64")
    with images.layers.hold() as hold:
        layer, _ = images.layers.add(io.BytesIO(archive(("bin/sh", b"#!"))).read, hold=hold)
        assert images.release_layers([layer.diff_id]).rubbish == ()
        image = images.record(imported_config(request, layer, "2026-01-02T03:04:05Z"))
    assert json.loads(images.records.config_document(image.id)) == {
        "created": "2026-01-02T03:04:05Z",
        "architecture": "arm64",
        "os": "linux",
        "config": {"Env": ["A=1"], "Cmd": ["/bin/sh", "-c", "sh"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": "2026-01-02T03:04:05Z", "comment": "from a test"}],
    }
    assert image.size == 2


def test_docker_s_own_message_stands_where_there_is_none(images: Images, archive: MakeArchive) -> None:
    layer = images.layers.add_chunks([archive()])
    config = json.loads(imported_config(ImportRequest(), layer, now()))
    assert config["history"][0]["comment"] == "Imported from -"
    assert config["architecture"] == host_platform()[0]


def test_a_request_that_cannot_be_is_refused_before_the_archive_is_read() -> None:
    with pytest.raises(InvalidArgument, match="not a valid change"):
        check_import(ImportRequest(("RUN x",)))
    with pytest.raises(InvalidArgument, match="no platform"):
        check_import(ImportRequest(platform="linux/pdp11"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("linux/amd64", ("linux", "amd64", "")),
        ("linux/arm64/v8", ("linux", "arm64", "v8")),
        ("Linux/ARM/v6", ("linux", "arm", "v6")),
        ("linux/x86_64", ("linux", "amd64", "")),
        ("aarch64", ("linux", "arm64", "v8")),
        ("linux", ("linux", *host_platform())),
        ("", ("linux", *host_platform())),
    ],
)
def test_platforms_are_read_as_docker_writes_them(text: str, found: tuple[str, str, str]) -> None:
    assert parse_platform(text) == found


@pytest.mark.parametrize("text", ["windows/amd64", "linux/", "linux/amd64/v1/x", "linux/unknown"])
def test_what_is_no_platform_of_ours_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_platform(text)


def test_the_time_is_written_as_go_writes_it() -> None:
    assert now().endswith("Z")
    assert "+00:00" not in now()
