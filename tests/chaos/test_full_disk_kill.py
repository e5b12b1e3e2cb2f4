"""A daemon killed while its disk is full, whose blocks are smaller than SQLite takes them for."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.api.test_full_disk import fill
from tests.engine_process import EngineProcess
from tests.ext4_disk import ext4_disk


def test_a_killed_daemon_comes_back_on_a_full_disk_with_small_blocks(tmp_path: Path) -> None:
    made_with = ("-b", "1024")
    lacks = "needs ext4 on a loop device"
    with (
        ext4_disk(tmp_path, *made_with, megabytes=32, mounted_with="loop", lacks=lacks) as disk,
        EngineProcess(disk) as engine,
    ):
        engine.run("goes-on", "sleep", "1000")
        engine.kill()
        Path(engine.data_root, "sampan.db-shm").unlink(missing_ok=True)  # SQLite makes it anew, whatever it finds
        fill(disk)
        with (disk / "rest").open("wb", buffering=0) as rest, contextlib.suppress(OSError):
            while rest.write(bytes(512)):  # what statvfs keeps for root
                pass
        try:
            engine.start()
            assert engine.has_started("goes-on")
        finally:
            (disk / "ballast").unlink()
            (disk / "rest").unlink()
