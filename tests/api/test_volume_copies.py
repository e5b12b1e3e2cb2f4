"""Volumes renamed, cloned, kept as snapshots, written as archives and made of them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.waiting import until

import sampan
from sampan.client.failure import ApiError, ConflictError, NotFoundError
from sampan.client.volumes import Volume, Volumes


@pytest.fixture
def volumes(engine: EngineProcess) -> Iterator[Volumes]:
    with sampan.connect(f"unix://{engine.socket}") as client:
        yield client.volumes
        for volume in client.volumes.list():
            volume.remove(force=True)


def place(volume: Volume) -> Path:
    return Path(volume.attrs["Mountpoint"])


def fill(path: Path) -> None:
    """A bit of everything."""
    (path / "file").write_text("content\n")
    os.chown(path / "file", 12, 34)
    (path / "file").chmod(0o4750)
    os.link(path / "file", path / "same")
    (path / "link").symlink_to("/nowhere")
    os.mkfifo(path / "fifo")
    (path / "below").mkdir(mode=0o2750)
    (path / "below" / "deep").write_bytes(b"x" * 100_000)
    os.setxattr(path / "below" / "deep", "user.note", b"kept")
    with (path / "holes").open("wb") as file:
        file.truncate(50_000_000)
    os.utime(path / "file", ns=(1, 1_234_567_890_123_456_789))
    os.chown(path, 56, 78)
    path.chmod(0o1770)


def picture(path: Path) -> list[Any]:
    """All that a volume is, links by their numbers left out."""
    found = []
    for file in [path, *sorted(path.rglob("*"))]:
        status = file.lstat()
        content = file.read_bytes() if file.is_file() and not file.is_symlink() and status.st_size < 10**6 else b""
        what = (status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_blocks < 10_000, content)
        notes = os.listxattr(file, follow_symlinks=False)
        found.append((str(file.relative_to(path)), *what, status.st_mtime_ns if file.name == "file" else 0, notes))
    return found


def test_a_clone_is_all_that_its_original_is_and_independent_of_it(volumes: Volumes) -> None:
    original = volumes.create("original", labels={"a": "b"})
    fill(place(original))
    clone = original.clone("copy")
    assert picture(place(clone)) == picture(place(original))
    assert clone.attrs["Labels"] == {"a": "b"}
    (place(clone) / "file").write_text("changed\n")
    assert (place(original) / "file").read_text() == "content\n"
    with pytest.raises(ConflictError, match="exists or is being made"):
        original.clone("copy")
    assert len(original.clone().name) == 64
    with pytest.raises(ApiError, match="invalid characters"):
        original.clone("../copy")
    assert {volume.name for volume in volumes.list()} >= {"original", "copy"}


def test_a_snapshot_is_put_back_as_often_as_wanted(volumes: Volumes) -> None:
    volume = volumes.create("kept")
    fill(place(volume))
    before = picture(place(volume))
    assert volume.snapshot("first") == "first"
    for _ in range(2):
        (place(volume) / "file").unlink()
        (place(volume) / "new").touch()
        volume.restore("first")
        assert picture(place(volume)) == before
    by_time = volume.snapshot()
    assert [snapshot["Name"] for snapshot in volume.snapshots()] == ["first", by_time]
    with pytest.raises(ConflictError, match="has a snapshot first"):
        volume.snapshot("first")
    volume.forget("first")
    with pytest.raises(NotFoundError, match="no snapshot first"):
        volume.restore("first")
    with pytest.raises(NotFoundError, match="no snapshot first"):
        volume.forget("first")
    with pytest.raises(ApiError, match="invalid name of a snapshot"):
        volume.snapshot("../../up")
    assert sorted(os.listdir(place(volume).parent)) == ["_data", "snapshots"]


def test_what_runs_is_not_restored_behind_its_back(engine: EngineProcess, volumes: Volumes) -> None:
    volume = volumes.create("running")
    volume.snapshot("clean")
    engine.run("user", "sh", "-c", "echo dirty > /data/file; sleep 1000", host={"Binds": ["running:/data"]})
    until((place(volume) / "file").exists)
    with pytest.raises(ConflictError, match="in use by running containers"):
        volume.restore("clean")
    with pytest.raises(ConflictError, match="volume is in use"):
        volume.rename("other")
    engine.json("POST", "/containers/user/stop?t=0", expect=204)
    volume.restore("clean")
    assert os.listdir(place(volume)) == []
    engine.json("DELETE", "/containers/user", expect=204)


def test_a_container_that_writes_stands_still_while_its_volume_is_copied(
    engine: EngineProcess, volumes: Volumes
) -> None:
    volume = volumes.create("busy")
    script = "i=0; while :; do i=$((i+1)); echo $i > /data/one; echo $i > /data/two; done"
    engine.run("writer", "sh", "-c", script, host={"Binds": ["busy:/data"]})
    until((place(volume) / "two").exists)
    before = (place(volume) / "one").read_text()
    volume.snapshot("still", pause=True)
    until(lambda: (place(volume) / "one").read_text() not in {"", before})  # it goes on
    assert engine.inspect("writer")["State"]["Status"] == "running"
    engine.json("DELETE", "/containers/writer?force=1", expect=204)


def test_a_renamed_volume_keeps_content_labels_and_snapshots(volumes: Volumes) -> None:
    volume = volumes.create("before", labels={"a": "b"})
    (place(volume) / "file").touch()
    volume.snapshot("one")
    volume.rename("after")
    again = volumes.get("after")
    assert (place(again) / "file").exists()
    assert again.attrs["Labels"] == {"a": "b"}
    assert [snapshot["Name"] for snapshot in again.snapshots()] == ["one"]
    with pytest.raises(NotFoundError):
        volumes.get("before")
    volumes.create("taken")
    with pytest.raises(ConflictError, match="exists"):
        again.rename("taken")
    anonymous = volumes.create()
    anonymous.rename("named")
    assert volumes.get("named").attrs["Labels"] is None


def test_an_archive_of_a_volume_makes_the_same_volume_elsewhere(volumes: Volumes) -> None:
    volume = volumes.create("packed")
    fill(place(volume))
    archive = b"".join(volume.export())
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert {"file", "same", "link", "fifo", "below/deep"} <= set(tar.getnames())
    made = volumes.import_archive(archive, "unpacked", labels={"from": "tar"})
    assert picture(place(made)) == picture(place(volume))
    assert made.attrs["Labels"] == {"from": "tar"}
    with pytest.raises(ConflictError):
        volumes.import_archive(archive, "unpacked")


@pytest.mark.parametrize("archive", [b"no archive at all" * 100, b"\x1f\x8b\x08broken"])
def test_of_an_archive_that_is_none_no_volume_is_left(volumes: Volumes, archive: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        volumes.import_archive(archive, "never")
    assert caught.value.status == 400
    assert volumes.list() == []


def test_an_archive_cannot_lead_out_of_its_volume(volumes: Volumes, tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        for name in ("out/through", f"..{tmp_path}/up"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    with suppress(ApiError):
        volumes.import_archive(data.getvalue(), "hostile")
    assert os.listdir(tmp_path) == []


def test_a_volume_that_is_no_directory_of_ours_is_cloned_or_refused(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bind = volumes.create("bind", driver_opts={"type": "none", "o": "bind", "device": str(tmp_path)})
    assert os.listdir(place(bind.clone("of-bind"))) == ["file"]
    with pytest.raises(ApiError, match="mount of its own"):
        bind.snapshot("no")
    memory = volumes.create("memory", driver_opts={"type": "tmpfs", "device": "tmpfs"})
    with pytest.raises(ApiError, match="file system of type tmpfs"):
        memory.clone("no")
    with pytest.raises(NotFoundError):
        volumes.get("no")
