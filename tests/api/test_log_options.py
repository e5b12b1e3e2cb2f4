"""Where output goes: the daemon's default, the container's own, rotation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.hijack import demultiplex


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    options = ("--log-opt", "max-size=20k", "--log-opt", "max-file=2")
    with EngineProcess(tmp_path_factory.mktemp("engine"), *options) as running:
        yield running


def test_the_daemon_s_options_hold_for_containers_that_say_nothing(engine: EngineProcess) -> None:
    container_id = engine.run("plain", "seq", "5000")
    engine.wait("plain")
    shown = engine.inspect("plain")["HostConfig"]["LogConfig"]
    assert shown == {"Type": "json-file", "Config": {"max-size": "20k", "max-file": "2"}}
    files = sorted(Path(engine.data_root, "containers", container_id).glob("*-json.log*"))
    assert len(files) == 2
    assert all(file.stat().st_size < 21 * 1024 for file in files)  # the line that fills a file is its last


def test_a_container_s_own_options_win(engine: EngineProcess) -> None:
    log = {"Type": "json-file", "Config": {"max-size": "1m"}}
    engine.run("own", "seq", "5000", host={"LogConfig": log})
    engine.wait("own")
    assert len(engine.output("own")) == 5000


def test_without_a_log_nothing_is_kept_and_nothing_can_be_read(engine: EngineProcess) -> None:
    container_id = engine.run("unlogged", "seq", "10", host={"LogConfig": {"Type": "none"}})
    engine.wait("unlogged")
    assert not list(Path(engine.data_root, "containers", container_id).glob("*-json.log*"))
    answer = engine.json("GET", "/containers/unlogged/logs?stdout=1", expect=501)
    assert "does not support reading" in answer["message"]


def test_a_driver_that_is_not_there_is_refused_by_name(engine: EngineProcess) -> None:
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "splunk"}}}
    assert "splunk" in engine.json("POST", "/containers/create", body, expect=501)["message"]


def test_lines_carry_what_expressions_choose_and_a_tag_filled_in(engine: EngineProcess) -> None:
    options = {"labels-regex": "^com\\.", "env-regex": "LEVEL$", "tag": "{{.Name}}/{{ .ID }}/{{.ImageName}}"}
    labels = {"com.one": "1", "com.two": "2", "org.three": "3"}
    log = {"LogConfig": {"Type": "json-file", "Config": options}}
    container_id = engine.run("tagged", "echo", "x", host=log, Labels=labels, Env=["A_LEVEL=high", "LEVELS=no"])
    engine.wait("tagged")
    (line,) = Path(engine.inspect("tagged")["LogPath"]).read_text().splitlines()
    wanted = {"com.one": "1", "com.two": "2", "A_LEVEL": "high", "tag": f"tagged/{container_id[:12]}/host"}
    assert json.loads(line)["attrs"] == wanted
    shown = demultiplex(engine.request("GET", "/containers/tagged/logs?stdout=1&details=1")[1])[1].decode()
    assert shown == f"A_LEVEL=high,com.one=1,com.two=2,tag=tagged%2F{container_id[:12]}%2Fhost x\n"


@pytest.mark.parametrize(
    ("option", "text"), [("tag", "{{.Wings}}"), ("tag", "{{.ID"), ("labels-regex", "("), ("env-regex", "[")]
)
def test_an_expression_or_a_tag_that_is_none_is_refused(engine: EngineProcess, option: str, text: str) -> None:
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"LogConfig": {"Config": {option: text}}}}
    assert option.split("-", maxsplit=1)[0] in engine.json("POST", "/containers/create", body, expect=400)["message"]
