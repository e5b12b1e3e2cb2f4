"""The daemon killed while it copies: no volume is half there, no mount is lost, and everything can be done again.

`--kills N` says how often, each time during another of the acts below, in turn.
"""

from __future__ import annotations

import http.client
import io
import os
import random
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess, UnixConnection

FILES = 200
IMAGE_HAS = "/many"
IMAGE_FILES = 2000
_GONE = (OSError, http.client.HTTPException)


def content(path: Path) -> list[tuple[str, int]]:
    return sorted((str(file.relative_to(path)), file.stat().st_size) for file in path.rglob("*"))


class Acts:
    """What is done to volumes, a container and its mounts; and what must be so afterwards, whatever was cut off."""

    def __init__(self, engine: EngineProcess, folder: Path) -> None:
        self.engine, self.folder, self.number = engine, folder, 0
        engine.json("POST", "/volumes/create", {"Name": "first"})
        place = self.place("first")
        for number in range(FILES):
            (place / f"file{number}").write_bytes(b"x" * (number * 200))
        self.whole = content(place)
        self.of_image = self._import_image()
        with tarfile.open(folder / "archive.tar", "w") as tar:
            tar.add(place, ".")
        self.archive = (folder / "archive.tar").read_bytes()
        engine.json("POST", "/volumes/first/snapshots?name=one")
        engine.run("box", "sleep", "1000", host={"Binds": ["copied:/copied"]})

    def _import_image(self) -> set[str]:
        """Make the image `many`, of small files; their names. The machine's own files may change meanwhile."""
        made = io.BytesIO()
        names = {f"file{number}" for number in range(IMAGE_FILES)}
        with tarfile.open(fileobj=made, mode="w") as tar:
            for name in names:
                info = tarfile.TarInfo(IMAGE_HAS.strip("/") + f"/{name}")
                info.size = 1000
                tar.addfile(info, io.BytesIO(bytes(1000)))
        with closing(UnixConnection(self.engine.socket)) as connection:
            connection.request("POST", "/images/create?fromSrc=-&repo=many", made.getvalue())
            response = connection.getresponse()
            assert response.status == 200, response.read()
            response.read()
        return names

    def place(self, name: str) -> Path:
        return Path(self.engine.json("GET", f"/volumes/{name}")["Mountpoint"])

    def names(self) -> set[str]:
        return {found["Name"] for found in self.engine.json("GET", "/volumes")["Volumes"]}

    def original(self) -> str:
        (name,) = self.names() & {"first", "second"}
        return name

    def mounts(self) -> set[str]:
        return {point["Destination"] for point in self.engine.inspect("box")["Mounts"]} - {"/copied"}

    def send(self, method: str, path: str) -> None:
        with closing(UnixConnection(self.engine.socket)) as connection:
            connection.request(method, path, self.archive, {"Content-Type": "application/x-tar"})
            connection.getresponse().read()

    def clone(self) -> None:
        self.engine.request("POST", f"/volumes/{self.original()}/clone?name=clone{self.number}")

    def take_a_snapshot(self) -> None:
        self.engine.request("POST", f"/volumes/{self.original()}/snapshots?name=taken{self.number}")

    def restore(self) -> None:
        (self.place(self.original()) / "file7").unlink(missing_ok=True)
        self.engine.request("POST", f"/volumes/{self.original()}/snapshots/one/restore")

    def make_of_an_archive(self) -> None:
        self.send("POST", f"/volumes/import?name=archive{self.number}")

    def rename(self) -> None:
        now = self.original()
        self.engine.request("POST", f"/volumes/{now}/rename?name={({'first', 'second'} - {now}).pop()}")

    def fill(self) -> None:
        binds = [f"filled{self.number}:{IMAGE_HAS}"]
        self.engine.create("", "true", image="many", host={"Binds": binds})

    def copy_into_a_container(self) -> None:
        self.send("PUT", "/containers/box/archive?path=/copied")

    def change_mounts(self) -> None:
        there = sorted(self.mounts())
        bind = {"Type": "bind", "Source": str(self.folder), "Target": "/mnt/one"}
        wanted = [] if there else [bind, {"Type": "volume", "Source": "live", "Target": "/mnt/two"}]
        self.engine.request("POST", "/containers/box/update", {"Mounts": wanted, "Unmounts": there})

    def check(self, cut_off: Callable[[], None] | None = None) -> None:
        original = self.original()
        changed = [(name, size) for name, size in self.whole if name != "file7"]
        assert content(self.place(original)) in (self.whole, changed if cut_off == self.restore else self.whole)
        for name in self.names():
            found = content(self.place(name))
            if name.startswith(("clone", "archive")):
                assert found == self.whole, name
            elif name.startswith("filled"):
                is_done = cut_off is None and name == f"filled{self.number}"
                assert {file for file, _ in found} in ((self.of_image,) if is_done else (set(), self.of_image)), name
        snapshots = self.place(original).parent / "snapshots"
        for snapshot in self.engine.json("GET", f"/volumes/{original}/snapshots"):
            assert content(snapshots / snapshot["Name"] / "_data") == self.whole
        assert sorted(os.listdir(snapshots.parent)) == ["_data", "snapshots"]
        folders = {name for name in os.listdir(snapshots.parent.parent) if not name.startswith(".")}
        assert folders == self.names()
        self._check_mounts()

    def _check_mounts(self) -> None:
        table = Path(f"/proc/{self.engine.inspect('box')['State']['Pid']}/mountinfo").read_text()
        assert {line.split()[4] for line in table.splitlines() if " /mnt/" in line} == self.mounts()
        assert self.mounts() in (set(), {"/mnt/one", "/mnt/two"})
        assert str(self.folder) not in Path("/proc/self/mountinfo").read_text()


def kill_during(engine: EngineProcess, act: Callable[[], Any], longest_s: float) -> None:
    """Kill the daemon at a moment that is anywhere in the act, and start it again."""

    def run() -> None:
        try:
            act()
        except (*_GONE, AssertionError):  # the answer was cut off
            pass

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(random.uniform(0, longest_s))
    engine.kill()
    thread.join(60)
    assert not thread.is_alive()
    engine.start()


@pytest.mark.timeout(600)
def test_no_volume_is_half_there_and_no_mount_is_lost(
    engine: EngineProcess, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    acts = Acts(engine, tmp_path)
    each = [
        acts.clone,
        acts.take_a_snapshot,
        acts.restore,
        acts.make_of_an_archive,
        acts.rename,
        acts.fill,
        acts.copy_into_a_container,
        acts.change_mounts,
    ]
    took = {}
    for act in each:
        start = time.monotonic()
        act()
        took[act] = time.monotonic() - start
    acts.check()
    for number in range(1, int(pytestconfig.getoption("--kills")) + 1):
        acts.number = number
        act = each[number % len(each)]
        kill_during(engine, act, took[act])
        acts.check(cut_off=act)
        act()
        acts.check()
