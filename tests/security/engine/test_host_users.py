"""What ordinary users of the host find below an engine's folders, whose names everybody knows (CVE-2021-41091)."""

from __future__ import annotations

import os
import stat

from tests.child import run_in_child
from tests.engine_process import EngineProcess

NOBODY = 65534


def reached_by_nobody(root: str, names: list[str], *, mode: int) -> list[str]:
    """Those of the names below `root` that a user without rights may open so, who need not look for them."""

    def look() -> list[str]:
        os.chdir(root)  # what lies above is the test runner's matter
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        return [name for name in names if os.access(name, mode)]

    return run_in_child(look)


def test_users_of_the_host_can_read_no_file_and_run_no_program_of_containers(engine: EngineProcess) -> None:
    script = "cp /bin/busybox /kept/own; chmod 4755 /kept/own; cp /kept/own /own; echo 1 > /kept/file; cat /kept/file"
    engine.run("writer", "sh", "-c", script, host={"Binds": ["kept:/kept"]}, Env=["PASSWORD=of the host"])
    assert engine.wait("writer") == 0
    files = [
        os.path.relpath(os.path.join(folder, name), engine.data_root)
        for folder, _, found in os.walk(engine.data_root)
        for name in found
        if stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode)
    ]
    assert {"sampan.db", "sampan.db-wal", "volumes/kept/_data/own"} <= set(files)
    assert reached_by_nobody(engine.data_root, files, mode=os.R_OK) == []
    assert reached_by_nobody(engine.data_root, files, mode=os.X_OK) == []
