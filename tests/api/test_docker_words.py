"""What a comparison with Docker's own output brought to light: refusals, answers and events as it has them."""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.raw_http import ask
from tests.waiting import until

from sampan.cgroup import Mode, hierarchies


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Isolation": "hyperv"}, "Invalid isolation: \"hyperv\" - linux only supports 'default'"),
        ({"Runtime": "kata"}, "unknown or invalid runtime name: kata"),
        ({"Tmpfs": {"relative": ""}}, "invalid mount path: 'relative' mount path must be absolute"),
        ({"CapAdd": ["flying"]}, 'invalid CapAdd: unknown capability: "CAP_FLYING"'),
        ({"ExtraHosts": ["name:address"]}, 'invalid IP address in add-host: "address"'),
        ({"ExtraHosts": [":10.0.0.1"]}, 'bad format for add-host: ":10.0.0.1"'),
        ({"PidMode": "container:nobody"}, "No such container: nobody"),
        ({"VolumesFrom": ["nobody"]}, "No such container: nobody"),
        (
            {"Binds": ["/x:relative"]},
            (
                "invalid volume specification: '/x:relative': invalid mount config for type \"bind\": "
                "invalid mount path: 'relative' mount path must be absolute"
            ),
        ),
        (
            {"Mounts": [{"Type": "volume", "Target": "/"}]},
            "invalid mount config for type \"volume\": invalid specification: destination can't be '/'",
        ),
        (
            {"Mounts": [{"Type": "tmpfs", "Source": "/tmp", "Target": "/x"}]},
            'invalid mount config for type "tmpfs": field Source must not be specified',
        ),
        ({"Tmpfs": {"/a/..": ""}}, "invalid specification: destination can't be '/'"),
        ({"Tmpfs": {"/x": ""}, "Binds": ["named:/x"]}, "Duplicate mount point: /x"),
        ({"Binds": ["/tmp:/x:ro,rw"]}, "invalid mode: ro,rw"),
        ({"Binds": ["/tmp:/x:z,Z"]}, "invalid mode: z,Z"),
        (
            {"Binds": ["named:/x:rslave"]},
            (
                "invalid volume specification: 'named:/x:rslave': invalid mount config for type \"volume\": "
                "field BindOptions must not be specified"
            ),
        ),
        (
            {"Binds": ["/tmp:/x:nocopy"]},
            (
                "invalid volume specification: '/tmp:/x:nocopy': invalid mount config for type \"bind\": "
                "field VolumeOptions must not be specified"
            ),
        ),
    ],
)
def test_what_cannot_be_is_refused_in_docker_s_words(engine: EngineProcess, body: dict[str, Any], message: str) -> None:
    answer = ask(engine, "POST", "/containers/create", {"Image": "host", "Cmd": ["true"], "HostConfig": body})
    assert (answer.status, answer.message) == (400, message)


@pytest.mark.parametrize(
    ("body", "host", "message"),
    [
        ({"Hostname": "x"}, {"UTSMode": "host"}, "conflicting options: hostname and the UTS mode"),
        (
            {"ExposedPorts": {"80/tcp": {}}},
            {"NetworkMode": "container:base"},
            "conflicting options: port exposing and the container type network mode",
        ),
        ({"Hostname": "x" * 65}, {}, f"invalid hostname format: {'x' * 65}"),
    ],
)
def test_what_excludes_each_other_is_refused_in_docker_s_words(
    engine: EngineProcess, body: dict[str, Any], host: dict[str, Any], message: str
) -> None:
    answer = ask(engine, "POST", "/containers/create", {"Image": "host", "Cmd": ["true"], "HostConfig": host, **body})
    assert (answer.status, answer.message) == (400, message)


def test_a_start_says_that_it_takes_no_configuration(engine: EngineProcess) -> None:
    engine.create("bodiless", "true")
    answer = ask(engine, "POST", "/containers/bodiless/start", {"Binds": ["/:/host"]})
    assert (answer.status, answer.message.startswith("starting container with non-empty request body")) == (400, True)
    assert ask(engine, "POST", "/containers/bodiless/start", {}).status == 204


def test_a_hostname_may_be_as_long_as_the_kernel_s(engine: EngineProcess) -> None:
    engine.run("long", "hostname", Hostname="x" * 64)
    assert engine.wait("long") == 0
    assert engine.output("long") == ["x" * 64]


def test_a_container_that_nothing_kills_and_no_limit_holds_is_warned_of(engine: EngineProcess) -> None:
    body: dict[str, Any] = {"Image": "host", "Cmd": ["true"], "HostConfig": {"OomKillDisable": True}}
    (warning,) = ask(engine, "POST", "/containers/create", body).json["Warnings"]
    assert warning.startswith("OOM killer is disabled for the container, but no memory limit is set")
    body["HostConfig"]["Memory"] = 10**8
    assert ask(engine, "POST", "/containers/create", body).json["Warnings"] == []


@pytest.mark.parametrize("asked", [{}, {"OomKillDisable": True, "Memory": 10**8}])
def test_whether_the_oom_killer_is_disabled_is_told_where_the_kernel_can(
    engine: EngineProcess, asked: dict[str, Any]
) -> None:
    made = ask(engine, "POST", "/containers/create", {"Image": "host", "Cmd": ["true"], "HostConfig": asked}).json
    shown = engine.inspect(made["Id"])["HostConfig"]["OomKillDisable"]
    assert shown is (None if hierarchies().mode is Mode.V2 else bool(asked))


def test_a_containers_command_may_be_one_string_and_that_of_an_exec_may_not(engine: EngineProcess) -> None:
    made = ask(engine, "POST", "/containers/create?name=one", {"Image": "host", "Entrypoint": "echo", "Cmd": "a b"})
    assert made.status == 201
    inspected = engine.inspect("one")
    assert (inspected["Path"], inspected["Args"]) == ("echo", ["a b"])
    engine.run("many", "sleep", "1000")
    refused = ask(engine, "POST", "/containers/many/exec", {"Cmd": "true"})
    assert (refused.status, refused.message.startswith("invalid JSON: ")) == (400, True)
    assert ask(engine, "POST", "/containers/many/exec", {"Cmd": ["true"]}).status == 201


def test_a_host_that_is_the_gateway_is_not_known_without_one(engine: EngineProcess) -> None:
    engine.run("alone", "cat", "/etc/hosts", host={"ExtraHosts": ["up:host-gateway", "v6:[::7]", "v4:10.0.0.7"]})
    assert engine.wait("alone") == 0
    assert [line for line in engine.output("alone") if line.endswith(("up", "v6", "v4"))] == ["::7\tv6", "10.0.0.7\tv4"]


def test_an_image_without_labels_has_null_and_its_containers_have_none(engine: EngineProcess) -> None:
    assert engine.json("GET", "/images/host/json")["Config"]["Labels"] is None
    assert engine.inspect(engine.create("bare", "true"))["Config"]["Labels"] == {}


def test_in_the_network_of_the_machine_its_hosts_are_known(engine: EngineProcess) -> None:
    engine.run("open", "cat", "/etc/hosts", host={"NetworkMode": "host"})
    engine.run("more", "cat", "/etc/hosts", host={"NetworkMode": "host", "ExtraHosts": ["v4:10.0.0.7"]})
    assert engine.wait("open") == engine.wait("more") == 0
    assert engine.output("open") == Path("/etc/hosts").read_text().splitlines()
    assert [line for line in engine.output("more") if "localhost" in line or "v4" in line] == [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "10.0.0.7\tv4",
    ]


def test_an_image_of_another_platform_is_not_found(engine: EngineProcess) -> None:
    body = {"Image": "host", "Cmd": ["true"]}
    answer = ask(engine, "POST", "/containers/create?platform=linux/s390x", body)
    assert (answer.status, "wanted linux/s390x, actual: linux/" in answer.message) == (404, True)


def test_filters_that_cannot_be_are_refused(engine: EngineProcess) -> None:
    for path, filters, message in (
        ("/containers/json", {"health": ["well"]}, "unrecognized filter value for health: well"),
        ("/images/json", {"dangling": ["maybe"]}, "invalid filter 'dangling=[maybe]'"),
        (
            "/containers/json",
            {"exited": ["x"]},
            "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
    ):
        answer = ask(engine, "GET", f"{path}?filters={urllib.parse.quote(json.dumps(filters))}")
        assert (answer.status, answer.message) == (400, message)


def test_the_name_of_no_image_is_not_pulled(engine: EngineProcess) -> None:
    answer = ask(engine, "POST", "/images/create?fromImage=scratch&tag=1")
    assert (answer.status, answer.message) == (400, "'scratch' is a reserved name")


def test_an_exec_makes_no_working_directory(engine: EngineProcess) -> None:
    engine.run("cwd", "sleep", "300")
    exec_id = engine.json("POST", "/containers/cwd/exec", {"Cmd": ["true"], "WorkingDir": "/no/such"}, expect=201)["Id"]
    assert ask(engine, "POST", f"/exec/{exec_id}/start", {"Detach": True}).status == 400
    assert engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"] == 126
    assert engine.json("GET", "/containers/cwd/changes") in ([], None)


def test_a_namespace_is_joined_by_the_id_of_who_has_it(engine: EngineProcess) -> None:
    first = engine.run("first", "sleep", "300")
    engine.create("second", "true", host={"PidMode": "container:first", "NetworkMode": "container:first"})
    host = engine.inspect("second")["HostConfig"]
    assert (host["PidMode"], host["NetworkMode"]) == (f"container:{first}", f"container:{first}")
    engine.json("POST", "/containers/first/rename?name=renamed", expect=204)
    engine.json("POST", "/containers/second/start", expect=204)
    assert engine.wait("second") == 0


@pytest.mark.parametrize("mode", ["host", "container:owner"])
def test_there_is_no_init_where_others_processes_are(engine: EngineProcess, mode: str) -> None:
    engine.run("owner", "sleep", "300", host={"Init": True})
    engine.run("guest", "sleep", "300", host={"Init": True, "PidMode": mode})
    first, guest = (Path(f"/proc/{engine.inspect(name)['State']['Pid']}/comm") for name in ("owner", "guest"))
    until(lambda: guest.read_text() == "sleep\n")
    assert first.read_text() == "sampan-init\n"
    for name in ("guest", "owner"):
        engine.json("DELETE", f"/containers/{name}?force=1", expect=204)


def test_a_forced_removal_of_what_removes_itself_is_no_error(engine: EngineProcess) -> None:
    for number in range(10):
        engine.run(f"brief{number}", "sleep", "300", host={"AutoRemove": True})
        assert ask(engine, "DELETE", f"/containers/brief{number}?force=1").status == 204
    assert ask(engine, "DELETE", "/containers/brief0?force=1").status == 404


def test_events_are_told_from_the_beginning_for_since_0(engine: EngineProcess) -> None:
    engine.create("told", "true")
    wanted = urllib.parse.quote(json.dumps({"container": ["told"]}))
    status, content = engine.request("GET", f"/events?since=0&until=0s&filters={wanted}")
    assert status == 200
    assert [json.loads(line)["Action"] for line in content.splitlines()] == ["create"]


class _Registry(BaseHTTPRequestHandler):
    """A registry that knows one user."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Basic dXNlcjpyaWdodA=="  # user:right
        self.send_response(200 if known else 401)
        if not known:
            self.send_header("WWW-Authenticate", 'Basic realm="here"')
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_login_is_judged_by_the_registry(engine: EngineProcess, registry: str) -> None:
    given = {"username": "user", "password": "right", "serveraddress": registry}
    assert ask(engine, "POST", "/auth", given).json == {"Status": "Login Succeeded", "IdentityToken": ""}
    assert ask(engine, "POST", "/auth", {**given, "password": "wrong"}).status == 401
