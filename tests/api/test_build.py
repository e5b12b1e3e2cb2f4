"""POST /build: single stages, their stream, their images, and what goes wrong."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.building import build, context_of, layers_of, post_build, run
from tests.engine_process import EngineProcess, UnixConnection
from tests.raw_http import connect, request
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("busybox")


def masked(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{12}\b", "ID", text)


def test_the_stream_is_that_of_dockers_own_builder(engine: EngineProcess) -> None:
    told = build(
        engine,
        {"Dockerfile": "ARG T=latest\nFROM busybox:$T\nENV A=1\nRUN echo said\nCOPY f /f\n", "f": "x"},
        t="stream",
        nocache="1",
    )
    assert told.status == 200
    assert masked(told.text) == (
        "Step 1/5 : ARG T=latest\n"
        "Step 2/5 : FROM busybox:$T\n ---> ID\n"
        "Step 3/5 : ENV A=1\n ---> Running in ID\n ---> Removed intermediate container ID\n ---> ID\n"
        "Step 4/5 : RUN echo said\n ---> Running in ID\nsaid\n ---> Removed intermediate container ID\n ---> ID\n"
        "Step 5/5 : COPY f /f\n ---> ID\n"
        "Successfully built ID\nSuccessfully tagged stream:latest\n"
    )


def test_what_the_checks_find_is_told_at_the_end_and_to_who_reads_a_text_alone(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nMAINTAINER me\nENV A=$PATH B=$NEVER\nRUN true\n"}
    told = build(engine, files)
    assert masked(told.text).endswith(
        "[Warning] MaintainerDeprecated: use a label for the author (Dockerfile:2)\n"
        "[Warning] UndefinedVar: '$NEVER' is not set (Dockerfile:3)\n"
        "Successfully built ID\n"
    )
    assert "[Warning]" not in "".join(map(str, build(engine, files, progress="events").lines))
    skipped = build(engine, {"Dockerfile": "# check=skip=all\n" + files["Dockerfile"]})
    assert "[Warning]" not in skipped.text


def test_what_a_step_writes_to_stderr_is_red(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN echo bad >&2\n"}, nocache="1")
    assert {"stream": "\x1b[91mbad\n\x1b[0m"} in told.lines


def test_the_image_has_what_the_instructions_say(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox
LABEL a=b
ENV GREETING="hello there"
EXPOSE 80 90/udp
VOLUME /data
WORKDIR /work
WORKDIR sub
USER 1000:1000
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s CMD true
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo $GREETING from $PWD"]
"""
    told = build(engine, {"Dockerfile": dockerfile}, t="facts", labels={"given": "later", "b": "c d"})
    assert "Step 13/14 : LABEL b=c d\n" in told.text
    assert "Step 14/14 : LABEL given=later\n" in told.text
    config = engine.json("GET", "/images/facts/json")["Config"]
    assert config["Labels"] == {"a": "b", "b": "c d", "given": "later"}
    assert "GREETING=hello there" in config["Env"]
    assert set(config["ExposedPorts"]) == {"80/tcp", "90/udp"}
    assert set(config["Volumes"]) == {"/data"}
    assert (config["WorkingDir"], config["User"], config["StopSignal"]) == ("/work/sub", "1000:1000", "SIGUSR1")
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000}
    assert run(engine, told.image_id) == "hello there from /work/sub"


def test_an_image_without_a_path_gets_dockers(engine: EngineProcess) -> None:
    wanted = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    told = build(engine, {"Dockerfile": "FROM scratch\nCOPY f /\nENV A=b:$PATH\n", "f": ""})
    environment = engine.json("GET", f"/images/{told.image_id}/json")["Config"]["Env"]
    assert environment == [wanted, f"A=b:{wanted.removeprefix('PATH=')}"]
    connection = UnixConnection(engine.socket)
    try:
        connection.request("POST", "/images/create?fromSrc=-&repo=bare&changes=ENV+B=c", context_of({"f": ""}))
        assert connection.getresponse().read()
    finally:
        connection.close()
    told = build(engine, {"Dockerfile": "FROM bare\nLABEL a=b\n"})
    assert engine.json("GET", f"/images/{told.image_id}/json")["Config"]["Env"] == ["B=c", wanted]


def test_a_directory_that_cannot_be_made_has_no_container(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nWORKDIR /etc/passwd\n"})
    assert told.error["message"] == "Cannot mkdir: /etc/passwd is not a directory"
    assert "Running in" not in told.text


def test_a_command_that_fails_ends_the_build_with_its_code_place_and_remedy(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\n\nRUN exit 7\nRUN echo never\n"}, forcerm="1")
    assert told.error["message"] == "The command '/bin/sh -c exit 7' returned a non-zero code: 7"
    assert told.error["code"] == 7
    assert told.error["place"] == "Dockerfile:3"
    began_from = engine.json("GET", "/images/busybox/json")["Id"].removeprefix("sha256:")[:12]
    assert f"`sampan run --rm -it {began_from} sh`" in told.error["remedy"]
    assert "never" not in told.text
    assert engine.json("GET", "/containers/json?all=1") == []


def test_a_list_that_is_no_json_and_fails_is_told_of(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN ['true', 'x']\n"}, forcerm="1")
    assert told.error["remedy"].startswith("the list is no JSON")
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN [ -f /nowhere ]\n"}, forcerm="1")
    assert "JSON" not in told.error["remedy"]


def test_the_container_of_a_failed_step_stays_without_forcerm(engine: EngineProcess) -> None:
    build(engine, {"Dockerfile": "FROM busybox\nRUN touch /clue; false\n"})
    (kept,) = engine.json("GET", "/containers/json?all=1")
    assert kept["State"] == "exited"
    changes = engine.json("GET", f"/containers/{kept['Id']}/changes")
    engine.json("DELETE", f"/containers/{kept['Id']}")
    assert "/clue" in [change["Path"] for change in changes]


def test_a_file_that_is_not_there_is_refused_in_dockers_words(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nCOPY lost /x\n"})
    assert told.error["message"] == (
        "COPY failed: file not found in build context or excluded by .dockerignore: stat lost: file does not exist"
    )
    assert told.error["place"] == "Dockerfile:2"


@pytest.mark.parametrize(
    ("dockerfile", "query", "word"),
    [
        ("FROM busybox\nFOO bar\n", {}, "FOO"),
        ("FROM busybox AS a\n", {"target": "b"}, 'target stage "b" could not be found'),
        ("FROM busybox\n", {"dockerfile": "Other"}, "Cannot locate specified Dockerfile: Other"),
        ("FROM busybox\n", {"t": "Not/A:Name"}, "repository name"),
        ("FROM busybox\n", {"buildargs": "{"}, "buildargs"),
        ("FROM busybox\n", {"memory": "much"}, "memory"),
        ("FROM busybox\n", {"platform": "plan9/vax"}, "plan9"),
    ],
)
def test_what_is_wrong_before_the_first_step_is_a_status(
    engine: EngineProcess, dockerfile: str, query: dict[str, str], word: str
) -> None:
    told = build(engine, {"Dockerfile": dockerfile}, **query)
    assert told.status == 400
    assert word in told.error["message"]


def test_a_context_that_is_no_archive_is_refused(engine: EngineProcess) -> None:
    told = post_build(engine, b"this is no archive" * 100)
    assert told.status == 400


def test_quiet_says_the_id_alone(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN echo loud\n"}, q="1")
    assert len(told.lines) == 1
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", told.lines[0]["stream"])


def test_quiet_says_the_id_as_an_event_to_who_reads_events(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN echo loud\n"}, q="1", progress="events")
    assert told.lines == [{"aux": {"ID": told.image_id}}]


def test_quiet_says_all_when_it_fails(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN echo loud; false\n"}, q="1", forcerm="1")
    assert "loud" in told.text
    assert told.error["code"] == 1


def test_of_much_that_a_quiet_build_has_said_the_last_is_told(engine: EngineProcess) -> None:
    script = "echo the first; yes some-words-that-fill-a-line | head -n 600000; echo the last; false"
    told = build(engine, {"Dockerfile": f"FROM busybox\nRUN {script}\n"}, q="1", forcerm="1")
    assert told.error["code"] == 1
    assert re.fullmatch(r"\[\d+ bytes of this build left out\]\n", told.lines[0]["stream"])
    assert "the last\n" in told.text
    assert "the first" not in told.text
    assert sum(len(json.dumps(line)) for line in told.lines) < 12 << 20


def test_a_step_leaves_no_mount_points_in_its_layer(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN touch /only\n"}, nocache="1")
    assert set(layers_of(engine, told.image_id)[-1]) == {"only"}


def test_a_step_sees_build_arguments_and_the_image_does_not(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox\nARG WHO=nobody\nENV KEPT=$WHO\nRUN echo $WHO > /who\n"
    told = build(engine, {"Dockerfile": dockerfile}, buildargs={"WHO": "me", "SPARE": "x"})
    assert "[Warning] One or more build-args [SPARE] were not consumed" in told.text
    assert run(engine, told.image_id, "cat", "/who") == "me"
    assert run(engine, told.image_id, "env").splitlines().count("WHO=me") == 0
    assert "KEPT=me" in run(engine, told.image_id, "env")


def test_the_machine_of_the_steps_may_be_named(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nRUN hostname > /name && cat /etc/hostname >> /name\n"}
    told = build(engine, files, buildargs={"BUILDKIT_SANDBOX_HOSTNAME": "a.b"})
    assert run(engine, told.image_id, "cat", "/name") == "a.b\na.b"
    assert build(engine, files, buildargs={"BUILDKIT_SANDBOX_HOSTNAME": "a.b"}).cached() == [True]
    assert run(engine, build(engine, files).image_id, "cat", "/name") != "a.b\na.b"
    assert "not consumed" not in told.text


def test_limits_hold_for_the_steps(engine: EngineProcess) -> None:
    told = build(
        engine,
        {"Dockerfile": "FROM busybox\nRUN df -k /dev/shm | tail -1 && ulimit -n && grep here /etc/hosts\n"},
        nocache="1",
        shmsize="1048576",
        ulimits='[{"Name": "nofile", "Soft": 77, "Hard": 99}]',
        extrahosts="here:10.9.8.7",
    )
    assert re.search(r"shm\s+1024\s", told.text), told.text
    assert "\n77\n" in told.text
    assert "10.9.8.7\there" in told.text


def test_an_empty_build_of_scratch_is_refused(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM scratch\n"})
    assert told.error["message"] == "No image was generated. Is your Dockerfile empty?"


def test_the_machine_itself_is_no_base(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM host\nRUN true\n"})
    assert "the machine itself" in told.error["message"]
    assert told.error["place"] == "Dockerfile:1"


def test_dockerfile_and_ignore_file_stay_out_when_the_rules_say_so(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nCOPY . /c\n", ".dockerignore": "Dockerfile\n.dockerignore\n", "kept": "x"}
    told = build(engine, files)
    assert set(layers_of(engine, told.image_id)[-1]) == {"c", "c/kept"}


def test_a_client_may_say_what_no_step_sees(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY . /c\n", ".dockerignore": "*\n", "d/x": "", "kept": ""}
    some = build(engine, files, leaveout='["d/x", "../..", "nothing"]')
    assert set(layers_of(engine, some.image_id)[-1]) == {"c", "c/Dockerfile", "c/.dockerignore", "c/d", "c/kept"}
    none = build(engine, files, leaveout="[]")
    assert set(layers_of(engine, none.image_id)[-1]) >= {"c/Dockerfile", "c/.dockerignore"}


def test_events_are_those_of_the_containers_and_the_tag(engine: EngineProcess) -> None:
    since = time.time()
    build(engine, {"Dockerfile": "FROM busybox\nRUN true\n"}, t="noted", nocache="1")
    _, content = engine.request("GET", f"/events?since={since}&until={time.time()}")
    told = [json.loads(line) for line in content.splitlines()]
    assert [one["Action"] for one in told if one["Type"] == "container"] == ["create", "start", "die", "destroy"]
    assert [one["Action"] for one in told if one["Type"] == "image"] == ["tag"]


def test_a_step_waits_for_a_client_that_does_not_read(engine: EngineProcess) -> None:
    """Output is never collected without a bound: the command stands still, and goes on when it is read."""
    archive = context_of({"Dockerfile": "FROM busybox\nRUN yes a-line-of-some-length | head -c 60000000\n"})
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(engine.socket)
        head = f"POST /build?nocache=1 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(archive)}\r\n\r\n"
        connection.sendall(head.encode() + archive)
        until(lambda: any("yes" in one["Command"] for one in engine.json("GET", "/containers/json")), 30)
        before = resident_kib(engine.pid)
        connection.settimeout(30)
        received = 0
        while b"Successfully built" not in (piece := connection.recv(1 << 16)):
            assert piece
            received += len(piece)
            assert resident_kib(engine.pid) < before + 64 * 1024
    assert received > 60_000_000


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


def test_an_image_has_its_name_before_anybody_could_remove_it(engine: EngineProcess) -> None:
    lines = "FROM busybox\nRUN head -c 1000000 /dev/zero | tr '\\0' a\nRUN echo named > /f\n"
    body = context_of({"Dockerfile": lines})  # whose build tells more than a socket holds
    with closing(connect(engine)) as connection:
        connection.sendall(request("POST", "/build?t=named-early", body=body, Connection="close"))
        until(lambda: engine.request("GET", "/images/named-early/json")[0] == 200)  # nothing of the stream is read yet
        engine.json("POST", "/build/prune?all=1", expect=200)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert b"Successfully tagged named-early" in answer.read()[-200:]
    assert run(engine, "named-early", "cat", "/f").strip() == "named"
