"""Log drivers beside json-file: where lines go, what can be read again, and what is refused."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import PROGRAM, SOURCE, EngineProcess
from tests.hijack import demultiplex
from tests.waiting import until


def logged(driver: str, **options: str) -> dict[str, Any]:
    return {"LogConfig": {"Type": driver, "Config": {name.replace("_", "-"): text for name, text in options.items()}}}


def read(engine: EngineProcess, name: str, query: str = "stdout=1&stderr=1") -> list[str]:
    status, content = engine.request("GET", f"/containers/{name}/logs?{query}")
    assert status == 200, content
    lines = []
    while content:
        size = int.from_bytes(content[4:8], "big")
        lines.append(content[8 : 8 + size].decode())
        content = content[8 + size :]
    return lines


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "journal"))
        listening.settimeout(30)
        yield listening


def fields(message: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in message.decode().splitlines())


def test_local_rotates_compressed_files_and_is_read_as_any_log(engine: EngineProcess) -> None:
    container_id = engine.run("local", "seq", "20000", host=logged("local", max_size="100k", max_file="4"))
    assert engine.wait("local") == 0
    folder = Path(engine.data_root, "containers", container_id, "local-logs")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["container.log", *(f"container.log.{number}.gz" for number in (1, 2, 3))]
    numbers = [int(line) for line in read(engine, "local")]
    assert numbers == list(range(numbers[0], 20001))
    assert read(engine, "local", "stdout=1&tail=2") == ["19999\n", "20000\n"]
    assert engine.inspect("local")["LogPath"] == ""


def test_local_gives_every_byte_back_as_it_was(engine: EngineProcess) -> None:
    engine.run("binary", "head", "-c", "40000", "/bin/sh", host=logged("local"))
    assert engine.wait("binary") == 0
    _, content = engine.request("GET", "/containers/binary/logs?stdout=1")
    assert demultiplex(content) == {1: Path("/bin/sh").read_bytes()[:40000]}


def test_local_is_followed_to_the_end(engine: EngineProcess, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    script = "echo one; until [ -e /gate/open ]; do sleep 0.05; done; echo two"
    engine.run("followed", "sh", "-c", script, host={"Binds": [f"{gate}:/gate"], **logged("local")})
    found: list[list[str]] = []
    reader = threading.Thread(target=lambda: found.append(read(engine, "followed", "stdout=1&follow=1")))
    reader.start()
    until(lambda: read(engine, "followed") == ["one\n"], 30)
    (gate / "open").touch()
    reader.join(30)
    assert found == [["one\n", "two\n"]]


def test_lines_to_a_journal_say_whose_they_are_and_can_be_read_again(
    engine: EngineProcess, journal: socket.socket
) -> None:
    options = {"journald_socket": journal.getsockname(), "labels": "com.shop", "tag": "{{.Name}}/{{.ID}}"}
    labels = {"com.shop": "corner"}
    script = "echo out; echo err >&2"
    container_id = engine.run("noted", "sh", "-c", script, host=logged("journald", **options), Labels=labels)
    assert engine.wait("noted") == 0
    sent = {found["MESSAGE"]: found for found in (fields(journal.recv(65536)) for _ in range(2))}
    assert (sent["out"]["PRIORITY"], sent["err"]["PRIORITY"]) == ("6", "3")
    stamp = sent["out"].pop("SYSLOG_TIMESTAMP")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", stamp)
    assert sent["out"] == {
        "MESSAGE": "out",
        "PRIORITY": "6",
        "CONTAINER_ID": container_id[:12],
        "CONTAINER_ID_FULL": container_id,
        "CONTAINER_NAME": "noted",
        "CONTAINER_TAG": f"noted/{container_id[:12]}",
        "SYSLOG_IDENTIFIER": f"noted/{container_id[:12]}",
        "IMAGE_NAME": "host",
        "COM_SHOP": "corner",
    }
    assert sorted(read(engine, "noted")) == ["err\n", "out\n"]


def test_without_the_cache_what_was_sent_cannot_be_read(engine: EngineProcess, journal: socket.socket) -> None:
    options = {"journald_socket": journal.getsockname(), "cache_disabled": "true"}
    engine.run("uncached", "echo", "x", host=logged("journald", **options))
    assert engine.wait("uncached") == 0
    answer = engine.json("GET", "/containers/uncached/logs?stdout=1", expect=501)
    assert answer["message"] == "configured logging driver does not support reading"
    assert "cache-disabled" in answer["remedy"]


def test_without_a_journal_the_start_fails_and_says_why(engine: EngineProcess, tmp_path: Path) -> None:
    engine.create("mute", "true", host=logged("journald", journald_socket=f"{tmp_path}/none"))
    answer = engine.json("POST", "/containers/mute/start", expect=500)
    words = "failed to create task for container: failed to initialize logging driver: journald is not enabled"
    assert answer["message"] == f"{words} on this host ({tmp_path}/none: nobody listens there)"
    assert "no such file" not in answer["message"].lower()  # clients would take that for a program that is missing
    assert answer["remedy"]
    assert engine.inspect("mute")["State"]["Status"] == "created"


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_tls_files_that_cannot_be_used_fail_the_start(engine: EngineProcess, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").write_text("no certificate")
    options = {"syslog_address": "tcp+tls://127.0.0.1:6514", "syslog_tls_ca_cert": f"{tmp_path}/{name}"}
    engine.create(f"{name}-ca", "true", host=logged("syslog", **options))
    answer = engine.json("POST", f"/containers/{name}-ca/start", expect=500)
    assert "failed to initialize logging driver: cannot use the TLS files" in answer["message"]
    assert "no such file" not in answer["message"].lower()
    assert answer["remedy"]


def test_lines_to_a_syslog_server_have_its_form_and_the_tag(engine: EngineProcess) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        options = {
            "syslog_address": f"udp://127.0.0.1:{server.getsockname()[1]}",
            "syslog_format": "rfc5424micro",
            "syslog_facility": "local3",
            "tag": "{{.Name}}",
        }
        engine.run("told", "echo", "to whom it may concern", host=logged("syslog", **options))
        assert engine.wait("told") == 0
        message = server.recv(65536).decode()
    assert re.fullmatch(r"<158>1 \S+\.\d{6}\S* \S+ told \d+ told - to whom it may concern\n", message)
    assert read(engine, "told") == ["to whom it may concern\n"]


def test_a_syslog_server_that_reads_nothing_holds_no_container_up(engine: EngineProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        options = {"syslog_address": address, "mode": "non-blocking", "max_buffer_size": "64k"}
        engine.run("flood", "sh", "-c", "seq 150000; exit 7", host=logged("syslog", **options))
        assert engine.wait("flood") == 7
        assert read(engine, "flood", "stdout=1&tail=1") == ["150000\n"]
        until(lambda: f"log lines are dropped: {address} does not keep up" in engine.log.read_text(), 30)


@pytest.mark.parametrize(
    ("driver", "options", "status", "words"),
    [
        ("gelf", {}, 501, "the log driver 'gelf' is not built into sampan"),
        ("fluentd", {}, 501, "the log driver 'fluentd' is not built into sampan"),
        ("nolog", {}, 400, 'error looking up logging plugin nolog: plugin "nolog" not found'),
        ("local", {"labels": "x"}, 400, "unknown log opt 'labels' for log driver local"),
        ("json-file", {"syslog_address": "x"}, 400, "unknown log opt 'syslog-address' for json-file log driver"),
        ("syslog", {"max_size": "1m"}, 400, "unknown log opt 'max-size' for syslog log driver"),
        ("journald", {"max_size": "1m"}, 400, "unknown log opt 'max-size' for journald log driver"),
        ("syslog", {"syslog_facility": "lost"}, 400, "invalid syslog facility"),
        ("syslog", {"syslog_format": "rfc1"}, 400, "Invalid syslog format"),
        ("syslog", {"syslog_address": "1.2.3.4"}, 400, "syslog-address should be in form proto://address, got 1.2.3.4"),
        ("syslog", {"syslog_address": "unix:///no/such"}, 400, "stat /no/such: no such file or directory"),
        ("local", {"mode": "fast"}, 400, "logger: logging mode not supported: fast"),
        ("local", {"max_buffer_size": "1m"}, 400, "max-buffer-size option is only supported with 'mode=non-blocking'"),
        ("local", {"compress": "maybe"}, 400, "invalid value for compress: 'maybe'"),
        ("local", {"max_file": "0"}, 400, "max-file must be a positive number"),
        ("syslog", {"cache_max_size": "big"}, 400, "invalid size: 'big'"),
    ],
)
def test_what_a_driver_does_not_take_is_refused_by_name(
    engine: EngineProcess, driver: str, options: dict[str, str], status: int, words: str
) -> None:
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", **logged(driver, **options)}}
    answer = engine.json("POST", "/containers/create", body, expect=status)
    assert words in answer["message"]
    assert answer["remedy"]


def test_the_daemon_s_own_driver_is_shown_and_used(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, "--log-driver", "local", "--log-opt", "max-file=2") as engine:
        info = engine.json("GET", "/info")
        assert info["LoggingDriver"] == "local"
        assert {"local", "json-file", "journald", "syslog", "none"} == set(info["Plugins"]["Log"])
        engine.run("said-nothing", "true")
        shown = engine.inspect("said-nothing")["HostConfig"]["LogConfig"]
    assert shown == {"Type": "local", "Config": {"max-file": "2"}}


def test_a_daemon_does_not_start_with_a_driver_that_it_has_not(tmp_path: Path) -> None:
    roots = ["--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/run", "--bridge", "none"]
    words = [sys.executable, "-I", "-c", PROGRAM, str(SOURCE), *roots, "--log-driver", "splunk"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "sampand: the log driver 'splunk' is not built into sampan" in ended.stderr
