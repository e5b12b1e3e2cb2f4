"""The Python client builds images, of a directory, an archive or a Dockerfile alone."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from tests.building import need_busybox

from sampan.client.connect import Client
from sampan.client.failure import ApiError, BuildError

DOCKERFILE = b"FROM busybox\nARG WORD=none\nLABEL word=$WORD\nCOPY . /srv/\n"


@pytest.fixture
def client(client: Client) -> Client:
    """One of an engine that has a base to build from."""
    need_busybox()
    return client


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_bytes(DOCKERFILE)
    (tmp_path / ".dockerignore").write_text("*.log\nskipped\n!skipped/kept\nDockerfile\n.dockerignore\n")
    (tmp_path / "skipped").mkdir()
    for name in ("a", "b.log", "skipped/one", "skipped/kept"):
        (tmp_path / name).write_text("x")
    return tmp_path


def test_a_directory_is_built_without_what_is_to_be_ignored(client: Client, context: Path) -> None:
    image, log = client.images.build(str(context), tag="made:1", buildargs={"WORD": "said"}, labels={"a": "b"})
    assert image.tags == ["made:1"]
    assert image.labels == {"a": "b", "word": "said"}
    assert any("Step 1/" in str(message.get("stream")) for message in log)
    found = client.containers.run("made:1", "find /srv -type f -user 0", remove=True)
    assert sorted(found.split()) == [b"/srv/a", b"/srv/skipped/kept"]


def test_a_dockerfile_alone_and_an_archive_are_built(client: Client) -> None:
    image, _ = client.images.build(fileobj=io.BytesIO(b"FROM busybox\nLABEL a=b\n"))
    assert image.labels == {"a": "b"}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("other")
        entry.size = len(DOCKERFILE)
        tar.addfile(entry, io.BytesIO(DOCKERFILE))
    image, _ = client.images.build(fileobj=archive.getvalue(), custom_context=True, dockerfile="other")
    assert image.labels == {"word": "none"}


def test_a_build_that_fails_says_why_and_what_came_before(client: Client) -> None:
    with pytest.raises(BuildError, match="no-such-file") as caught:
        client.images.build(fileobj=b"FROM busybox\nRUN echo before; cat /no-such-file\n")
    assert any("before" in str(message.get("stream")) for message in caught.value.log)
    with pytest.raises((ApiError, BuildError), match="WINGS"):
        client.images.build(fileobj=b"FROM busybox\nWINGS\n")


def test_a_build_of_nothing_is_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a path or a fileobj"):
        client.images.build()
    with pytest.raises(FileNotFoundError):
        client.images.build(str(tmp_path / "nowhere"))
    with pytest.raises(TypeError, match="no argument 'wings'"):
        client.images.build(str(tmp_path), wings=2)  # type: ignore[call-arg]
