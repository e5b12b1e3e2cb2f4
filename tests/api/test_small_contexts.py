"""Build contexts that are unpacked where they arrive, and those that are not: the same comes of both."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from tests.building import build, context_of, files_of, post_build
from tests.engine_process import EngineProcess

pytestmark = pytest.mark.usefixtures("busybox")

DOCKERFILE = "FROM busybox\nCOPY . /c\n"


@pytest.mark.parametrize("size", [10, 10_000, 20_000, 3_000_000])
def test_a_context_of_any_size_is_copied_whole(engine: EngineProcess, size: int) -> None:
    files = files_of(engine, build(engine, {"Dockerfile": DOCKERFILE, "file": b"x" * size}).image_id)
    assert files["c/file"].size == size


def test_a_small_context_may_be_compressed(engine: EngineProcess) -> None:
    archive = gzip.compress(context_of({"Dockerfile": DOCKERFILE, "file": b"x" * 5_000_000}))
    assert len(archive) < 16384
    assert files_of(engine, post_build(engine, archive).image_id)["c/file"].size == 5_000_000


@pytest.mark.parametrize("bulk", [b"", b"x" * 50_000])
def test_a_context_that_is_cut_off_is_refused_and_leaves_nothing(engine: EngineProcess, bulk: bytes) -> None:
    archive = context_of({"bulk": bulk, "Dockerfile": DOCKERFILE, "file": b"x" * 3000})
    told = post_build(engine, archive[: 512 * 4 + len(bulk)] + b"y" * 100)
    assert (told.status, told.text) == (400, ""), told
    assert list(Path(engine.data_root, "build").iterdir()) == []


def test_a_small_context_cannot_leave_its_directory(engine: EngineProcess) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("out/sampan-was-here"))
    assert post_build(engine, content.getvalue()).status == 400
    with pytest.raises(FileNotFoundError):
        open("/sampan-was-here", "rb").close()
