"""Many containers of one image: each writes for itself, the layers below stay as they are, the disk grows by that."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess, UnixConnection
from tests.unit.image.conftest import make_archive

from sampan.image.tar_entry import Entry, Kind
from sampan.image.tar_write import encode_entry, padding

BUSYBOX = Path("/bin/busybox")
COUNT = 20
WRITTEN = 100_000
WORDS = f"head -c {WRITTEN} /dev/urandom > /mine; echo $HOSTNAME >> /etc/shared; rm /etc/gone; mv /etc/old /etc/new"


@pytest.fixture
def engine(tmp_path: Path) -> EngineProcess:
    if not BUSYBOX.exists():
        pytest.skip("needs /bin/busybox: apt-get install busybox-static")
    return EngineProcess(tmp_path)


def fingerprint(directory: Path) -> str:
    """A digest of every name, content, mode, owner and time below a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        about = path.lstat()
        digest.update(f"{path} {about.st_mode} {about.st_uid} {about.st_gid} {about.st_mtime_ns} ".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def used(directory: Path) -> int:
    """Bytes of disk below a directory."""
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*"))


def test_containers_of_one_image_write_for_themselves(engine: EngineProcess) -> None:
    tree = make_archive(
        Entry(b"bin", Kind.DIRECTORY, mode=0o755),
        ("etc/shared", b"of the image\n"),
        ("etc/gone", b"gone"),
        ("etc/old", b"old" * 100_000),
        Entry(b"proc", Kind.DIRECTORY, mode=0o755),
    )
    busybox = Entry(b"bin/busybox", Kind.FILE, mode=0o755, size=BUSYBOX.stat().st_size)
    content = BUSYBOX.read_bytes()
    archive = encode_entry(busybox) + content + padding(len(content)) + tree
    with engine:
        connection = UnixConnection(engine.socket)
        connection.request("POST", "/images/create?fromSrc=-&repo=shared", archive)
        assert connection.getresponse().read()
        connection.close()
        layers = Path(engine.data_root) / "layers"
        (layer,) = (path for path in layers.iterdir() if path.name != "bottom")
        before = fingerprint(layer / "diff")
        names = [f"writer{number}" for number in range(COUNT)]
        for name in names:
            engine.create(name, "/bin/busybox", "sh", "-c", WORDS, image="shared")
            engine.json("POST", f"/containers/{name}/start", expect=204)
        assert [engine.wait(name) for name in names] == [0] * COUNT
        uppers = [Path(engine.data_root) / "containers" / engine.inspect(name)["Id"] / "upper" for name in names]
        mine = {(upper / "mine").read_bytes() for upper in uppers}
        assert len(mine) == COUNT
        assert {len(one) for one in mine} == {WRITTEN}
        for name, upper in zip(names, uppers, strict=True):
            said = (upper / "etc/shared").read_text()
            assert said == f"of the image\n{engine.inspect(name)['Config']['Hostname']}\n"
        assert fingerprint(layer / "diff") == before
        assert set(os.listdir(layers)) == {layer.name, "bottom"}
        for upper in uppers:
            assert WRITTEN + 300_000 <= used(upper) < WRITTEN + 300_000 + 60_000  # and the file that was renamed
