"""What is told of limits: that of the command, of the API, and the counters of what they refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.engine_process import SOURCE, EngineProcess
from tests.groups import remove_groups
from tests.waiting import until

MEGABYTE = 1024 * 1024
PATIENCE_S = 30.0
COMMAND = "import sys; sys.path.insert(0, sys.argv.pop(1)); from sampan.cli.__main__ import main; sys.exit(main())"


def _limits(engine: EngineProcess, name: str) -> dict[str, Any]:
    return {line["Name"]: line for line in engine.json("GET", f"/containers/{name}/limits")}


def test_forks_and_periods_that_were_refused_are_counted(engine: EngineProcess) -> None:
    forks = "(sleep 9 & sleep 9 & sleep 9 & sleep 9 & wait) 2>/dev/null"
    script = f"while :; do {forks}; i=0; while [ $i -lt 99999 ]; do i=$((i+1)); done; done"
    host = {"PidsLimit": 4, "NanoCpus": 50_000_000, "Memory": 64 * MEGABYTE}
    engine.run("tight", "bash", "-c", script, host=host)
    until(lambda: bool(_limits(engine, "tight")["processes"]["Refused"]), PATIENCE_S)
    until(lambda: bool(_limits(engine, "tight")["cpu quota"]["Refused"]), PATIENCE_S)
    found = _limits(engine, "tight")
    assert (found["processes"]["Value"], found["memory"]["Value"]) == ("4", str(64 * MEGABYTE))
    assert found["processes"]["Use"] <= 4
    assert found["memory"]["Use"] > 0
    for line in found.values():
        assert Path(line["File"]).exists(), line
    stats = engine.json("GET", "/containers/tight/stats?stream=false&one-shot=true")
    assert stats["cpu_stats"]["throttling_data"]["throttled_periods"] > 0
    if Path("/proc/pressure/cpu").exists():
        assert stats["pressure_stats"]["cpu"]["some"]["total"] > 0
    words = [sys.executable, "-I", "-c", COMMAND, str(SOURCE), "-H", f"unix://{engine.socket}", "limits", "tight"]
    table = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "forks refused" in table
    assert "periods cut short" in table
    document = json.loads(subprocess.run([*words, "--json"], capture_output=True, text=True, check=True).stdout)
    assert {line["Name"] for line in document} == set(found)
    engine.json("DELETE", "/containers/tight?force=1", expect=204)


def test_a_limit_of_a_parent_that_containers_share_is_told_with_its_file(engine: EngineProcess) -> None:
    group = f"/sampan-test-shared-{os.getpid()}"
    container_id = engine.run("child", "sleep", "300", host={"CgroupParent": group})
    own = Path(_limits(engine, "child")["processes"]["File"])
    parent = own.parent.parent / "pids.max"
    assert own.parent.name == container_id
    parent.write_text("77")
    shared = [line for line in engine.json("GET", "/containers/child/limits") if line["Name"] == "processes"]
    assert [(line["Value"], line["File"]) for line in shared] == [(None, str(own)), ("77", str(parent))]
    engine.json("DELETE", "/containers/child?force=1", expect=204)
    remove_groups(group)


def test_a_container_that_does_not_run_has_none_to_tell(engine: EngineProcess) -> None:
    engine.create("still", "true")
    assert "not running" in engine.json("GET", "/containers/still/limits", expect=409)["message"]
