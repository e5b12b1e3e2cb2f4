"""The streams part of the API's checklist: hijacked connections, logs, events, statistics, process tables."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.hijack import Hijacked, demultiplex
from tests.raw_http import ask, connect, receive_head, request
from tests.waiting import until

ENGINE_HEADERS = ("Api-Version:", "Docker-Experimental:", "Ostype:", "Server:")
STDIN: dict[str, Any] = {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True}
RAW, MULTIPLEXED = "application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream"


def _exec(engine: EngineProcess, name: str, *command: str, **more: Any) -> str:
    body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, **more}
    found: str = engine.json("POST", f"/containers/{name}/exec", body, expect=201)["Id"]
    return found


def _sleeper(engine: EngineProcess, name: str = "streams-host", **config: Any) -> str:
    if ask(engine, "GET", f"/containers/{name}/json").status == 404:
        engine.run(name, "sleep", "300", **config)
    return name


def _events(engine: EngineProcess, since: float, **filters: list[str]) -> list[dict[str, Any]]:
    query = f"since={since:.9f}&until={time.time():.9f}&filters=" + urllib.parse.quote(json.dumps(filters))
    return [json.loads(line) for line in ask(engine, "GET", f"/events?{query}").body.splitlines()]


def test_an_upgrade_is_answered_with_101_and_without_one_the_answer_is_200(engine: EngineProcess) -> None:
    name = _sleeper(engine)
    attached = Hijacked(engine, f"/containers/{name}/attach?stream=1&stdout=1")
    assert attached.head.startswith("HTTP/1.1 101 UPGRADED\r\n")
    assert "Connection: Upgrade\r\nUpgrade: tcp" in attached.head
    assert not any(header in attached.head for header in ENGINE_HEADERS)
    executed = Hijacked(engine, f"/exec/{_exec(engine, name, 'true')}/start", {"Detach": False})
    assert executed.head.startswith("HTTP/1.1 101 UPGRADED\r\n")
    assert all(header in executed.head for header in ENGINE_HEADERS)
    plain = Hijacked(engine, f"/exec/{_exec(engine, name, 'echo', 'x')}/start", {"Detach": False}, upgrade=False)
    assert plain.head.startswith("HTTP/1.1 200 OK\r\n")
    assert "chunked" not in plain.head.lower()
    assert demultiplex(plain.read_all()) == {1: b"x\n"}
    attached.close()
    executed.close()


@pytest.mark.parametrize(
    ("tty", "version", "content_type"), [(False, "1.42", MULTIPLEXED), (False, "1.41", RAW), (True, "1.47", RAW)]
)
def test_the_content_type_tells_how_a_stream_is_framed(
    engine: EngineProcess,
    tty: bool,  # noqa: FBT001
    version: str,
    content_type: str,
) -> None:
    name = _sleeper(engine, f"framed-{tty}", Tty=tty)
    attached = Hijacked(engine, f"/v{version}/containers/{name}/attach?stream=1&stdout=1")
    exec_id = _exec(engine, name, "true", Tty=tty)
    executed = Hijacked(engine, f"/v{version}/exec/{exec_id}/start", {"Detach": False, "Tty": tty})
    logged = ask(engine, "GET", f"/v{version}/containers/{name}/logs?stdout=1")
    assert f"Content-Type: {content_type}" in attached.head
    assert f"Content-Type: {content_type}" in executed.head
    assert logged.headers["content-type"] == content_type
    attached.close()
    executed.close()


def test_a_frame_is_a_stream_s_number_three_zeros_and_a_length(engine: EngineProcess) -> None:
    engine.create("frame", "printf", "12345")
    client = Hijacked(engine, "/containers/frame/attach?stream=1&stdout=1")
    engine.json("POST", "/containers/frame/start", expect=204)
    assert client.read_all() == b"\x01\x00\x00\x00\x00\x00\x00\x0512345"


def test_output_after_the_end_of_input_comes_and_the_end_of_the_program_ends_the_stream(engine: EngineProcess) -> None:
    name = _sleeper(engine)
    exec_id = _exec(engine, name, "sh", "-c", "cat; sleep 0.2; seq 1 20000", AttachStdin=True)
    client = Hijacked(engine, f"/exec/{exec_id}/start", {"Detach": False}, behind=b"0\n")
    client.end_input()
    assert demultiplex(client.read_all())[1].split() == [str(number).encode() for number in range(20001)]


def test_logs_are_replayed_first_and_then_the_stream_goes_on(engine: EngineProcess) -> None:
    engine.run("replayed", "sh", "-c", "echo old; read line; echo $line", **STDIN)
    until(lambda: engine.output("replayed") == ["old"])
    client = Hijacked(engine, "/containers/replayed/attach?logs=1&stream=1&stdin=1&stdout=1")
    client.send(b"new\n")
    assert demultiplex(client.read_all()) == {1: b"old\nnew\n"}


def test_a_stopped_container_may_be_attached_to_and_its_next_run_is_seen_whole(engine: EngineProcess) -> None:
    engine.run("stopped", "echo", "run")
    engine.wait("stopped")
    client = Hijacked(engine, "/containers/stopped/attach?stream=1&stdout=1")
    assert client.status == 101
    engine.json("POST", "/containers/stopped/start", expect=204)
    assert demultiplex(client.read_all()) == {1: b"run\n"}


def test_an_exec_that_cannot_run_is_an_error_when_detached_and_a_text_when_attached(engine: EngineProcess) -> None:
    name = _sleeper(engine)
    detached = ask(engine, "POST", f"/exec/{_exec(engine, name, 'nothing-here')}/start", {"Detach": True})
    assert (detached.status, "executable file not found" in detached.message) == (400, True)
    exec_id = _exec(engine, name, "nothing-here")
    attached = Hijacked(engine, f"/exec/{exec_id}/start", {"Detach": False})
    assert attached.status == 101
    told = demultiplex(attached.read_all())
    assert list(told) == [1]
    assert told[1].startswith(b"OCI runtime exec failed: ")
    assert told[1].endswith(b"\r\n")
    assert engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"] in {126, 127}


def test_resize_takes_rows_by_h_and_columns_by_w(engine: EngineProcess) -> None:
    script = 'trap "stty size" WINCH; echo ready; while :; do sleep 0.05; done'
    engine.run("sized", "bash", "-c", script, Tty=True, OpenStdin=True)
    client = Hijacked(engine, "/containers/sized/attach?logs=1&stream=1&stdout=1")
    client.read_until(b"ready")
    answer = ask(engine, "POST", "/containers/sized/resize?h=31&w=97")
    assert (answer.status, answer.body) == (200, b"")
    client.read_until(b"31 97")
    client.close()
    exec_id = _exec(engine, "sized", "sh", "-c", "stty size", Tty=True, ConsoleSize=[17, 71])
    shown = Hijacked(engine, f"/exec/{exec_id}/start", {"Detach": False, "Tty": True})
    assert shown.read_all().split() == [b"17", b"71"]
    exec_id = _exec(engine, "sized", "sh", "-c", "stty size", Tty=True, ConsoleSize=[17, 71])
    shown = Hijacked(engine, f"/exec/{exec_id}/start", {"Detach": False, "Tty": True, "ConsoleSize": [18, 72]})
    assert shown.read_all().split() == [b"18", b"72"]
    exec_id = _exec(engine, "sized", "true", Tty=True)
    assert ask(engine, "POST", f"/exec/{exec_id}/resize?h=5&w=6").status == 200  # before its start: tolerated
    waiting = _exec(engine, "sized", "bash", "-c", script, Tty=True, AttachStdin=True)
    shown = Hijacked(engine, f"/exec/{waiting}/start", {"Detach": False, "Tty": True})
    shown.read_until(b"ready")
    assert ask(engine, "POST", f"/exec/{waiting}/resize?h=12&w=34").status == 200
    shown.read_until(b"12 34")
    shown.close()
    assert ask(engine, "POST", "/containers/sized/resize?h=x&w=1").status == 400
    assert ask(engine, "POST", "/containers/sized/resize").status == 400


def test_logs_keep_what_was_written_and_tell_nanoseconds(engine: EngineProcess) -> None:
    engine.run("kept", "printf", r"a\n\n  b\r\nno end")
    engine.wait("kept")
    path = "/containers/kept/logs?stdout=1&stderr=1"
    assert demultiplex(ask(engine, "GET", path).body) == {1: b"a\n\n  b\r\nno end"}
    assert demultiplex(ask(engine, "GET", f"{path}&tail=all").body) == {1: b"a\n\n  b\r\nno end"}
    assert demultiplex(ask(engine, "GET", f"{path}&tail=1").body) == {1: b"no end"}
    assert ask(engine, "GET", f"{path}&tail=0").body == b""
    stamped = demultiplex(ask(engine, "GET", f"{path}&timestamps=1").body)[1]
    assert re.match(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z a\n", stamped)
    assert ask(engine, "GET", f"{path}&until=5m").body == b""
    assert ask(engine, "GET", f"{path}&since={time.time() + 60:.3f}").body == b""
    answer = ask(engine, "GET", "/containers/kept/logs")
    assert (answer.status, answer.message) == (400, "Bad parameters: you must choose at least one stream")


def test_logs_of_a_terminal_are_not_framed(engine: EngineProcess) -> None:
    engine.run("terminal", "echo", "plain", Tty=True)
    engine.wait("terminal")
    assert ask(engine, "GET", "/containers/terminal/logs?stdout=1&stderr=1").body == b"plain\r\n"


def test_a_life_is_told_in_docker_s_events(engine: EngineProcess) -> None:
    since = time.time()
    container_id = engine.create("told", "sleep", "300", Labels={"mark": "x"})
    engine.json("POST", "/containers/told/start", expect=204)
    exec_id = _exec(engine, "told", "echo", "hi", "there")
    Hijacked(engine, f"/exec/{exec_id}/start", {"Detach": False}).read_all()
    until(lambda: bool(_events(engine, since, container=["told"], event=["exec_die"])))
    engine.json("POST", "/containers/told/kill?signal=TERM", expect=204)
    engine.json("POST", "/containers/told/stop?t=0", expect=204)
    engine.json("DELETE", "/containers/told", expect=204)
    told = _events(engine, since, container=["told"])
    actions = [event["Action"] for event in told]
    wanted = ["create", "start", "exec_create: echo hi there", "exec_start: echo hi there", "exec_die"]
    assert actions[:5] == wanted
    assert actions[5:] == ["kill", "kill", "kill", "die", "stop", "destroy"]  # stop sends two
    for event in told:
        assert list(event)[-6:] == ["Type", "Action", "Actor", "scope", "time", "timeNano"]
        assert (event["Type"], event["scope"], event["Actor"]["ID"]) == ("container", "local", container_id)
        assert (event["status"], event["id"], event["from"]) == (event["Action"], container_id, "host")
        assert event["time"] == event["timeNano"] // 10**9
        assert {"image": "host", "name": "told", "mark": "x"}.items() <= event["Actor"]["Attributes"].items()
        assert all(isinstance(value, str) for value in event["Actor"]["Attributes"].values())
    by_action = {event["Action"]: event["Actor"]["Attributes"] for event in told}
    assert by_action["die"]["exitCode"] == "137"
    assert by_action["die"]["execDuration"].isdigit()
    assert by_action["exec_die"]["exitCode"] == "0"
    assert by_action["exec_die"]["execID"] == exec_id
    assert told[5]["Actor"]["Attributes"]["signal"] == "15"
    assert [event["Action"] for event in _events(engine, since, container=["told"], event=["die"])] == ["die"]
    assert [e["Action"] for e in _events(engine, since, label=["mark=x"], event=["exec_create"])] == wanted[2:3]
    assert not _events(engine, since, container=["told"], type=["image"])


def test_only_so_many_past_events_are_told(engine: EngineProcess) -> None:
    engine.create("many-events", "true")
    for number in range(300):
        path = f"/containers/many-events{number - 1 if number else ''}/rename?name=many-events{number}"
        engine.json("POST", path, expect=204)
    assert len(_events(engine, 1.0)) == 256


def test_statistics_have_docker_s_fields(engine: EngineProcess) -> None:
    _sleeper(engine, "counted")
    one = ask(engine, "GET", "/containers/counted/stats?stream=false").json
    assert (one["name"], len(one["id"])) == ("/counted", 64)
    assert one["precpu_stats"]["system_cpu_usage"] < one["cpu_stats"]["system_cpu_usage"]
    assert one["cpu_stats"]["online_cpus"] >= 1
    total = engine.json("GET", "/info")["MemTotal"]
    assert one["memory_stats"]["limit"] == total
    assert one["memory_stats"]["usage"] > 0
    assert one["preread"] < one["read"]
    shot = ask(engine, "GET", "/containers/counted/stats?stream=false&one-shot=true").json
    assert shot["preread"] == "0001-01-01T00:00:00Z"
    assert shot["precpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_statistics_stream_one_document_a_line(engine: EngineProcess) -> None:
    _sleeper(engine, "counted")
    with connect(engine) as connection:
        connection.sendall(request("GET", "/containers/counted/stats"))
        assert receive_head(connection)[0] == 200
        received = b""
        while received.count(b"}\n") < 2:
            received += connection.recv(65536)
    documents = [json.loads(line) for line in received.split(b"\r\n") if line.startswith(b"{")]
    assert documents[1]["preread"] == documents[0]["read"]


def test_the_process_table_is_titles_and_rows_of_strings(engine: EngineProcess) -> None:
    _sleeper(engine, "table")
    table = ask(engine, "GET", "/containers/table/top").json
    assert table["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [len(row) for row in table["Processes"]] == [8]
    assert all(isinstance(word, str) for row in table["Processes"] for word in row)
    chosen = ask(engine, "GET", "/containers/table/top?ps_args=-eo%20pid,comm").json
    assert (chosen["Titles"], chosen["Processes"][0][1]) == (["PID", "COMMAND"], "sleep")
    engine.create("tableless", "true")
    assert ask(engine, "GET", "/containers/tableless/top").status == 409
