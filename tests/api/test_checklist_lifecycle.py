"""The lifecycle part of the API's checklist: create, start, stop, wait, exit codes, what inspect gives back, info."""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
import threading
import urllib.parse
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.raw_http import ask, connect, receive_head, request
from tests.waiting import until


def _summary(engine: EngineProcess, name: str) -> Any:
    query = "all=1&filters=" + urllib.parse.quote(json.dumps({"name": [f"^/{name}$"]}))
    (found,) = ask(engine, "GET", f"/containers/json?{query}").json
    return found


def _import(engine: EngineProcess, repository: str, **config: str) -> str:
    """An image of one file; its id."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(f"of-{repository}")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    changes = "".join("&changes=" + urllib.parse.quote(f"{word} {value}") for word, value in config.items())
    answer = ask(engine, "POST", f"/images/create?fromSrc=-&repo={repository}{changes}", buffer.getvalue())
    assert answer.status == 200
    found: str = answer.json["status"]
    return found


def test_a_create_answers_an_id_and_no_warnings(engine: EngineProcess) -> None:
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    answer = ask(engine, "POST", "/containers/create?name=made&platform=linux/amd64", body)
    assert answer.status == 201
    assert re.fullmatch(r"[0-9a-f]{64}", answer.json["Id"])
    assert answer.json["Warnings"] == []
    again = ask(engine, "POST", "/containers/create?name=made", body)
    assert again.status == 409
    assert f'The container name "/made" is already in use by container "{answer.json["Id"]}"' in again.message


def test_an_image_that_is_missing_is_a_404_that_makes_a_client_pull(engine: EngineProcess) -> None:
    for image, said in (("nothing", "No such image: nothing:latest"), ("a/b:1", "No such image: a/b:1")):
        answer = ask(engine, "POST", "/containers/create", {"Image": image, "Cmd": ["true"]})
        assert (answer.status, answer.message) == (404, said)


def test_what_is_so_already_is_a_304(engine: EngineProcess) -> None:
    engine.create("already", "sleep", "300")
    assert ask(engine, "POST", "/containers/already/stop").status == 304
    assert ask(engine, "POST", "/containers/already/start").status == 204
    assert ask(engine, "POST", "/containers/already/start").status == 304
    assert ask(engine, "POST", "/containers/already/stop?t=0").status == 204
    assert ask(engine, "POST", "/containers/already/stop?t=0").status == 304


def test_what_the_state_forbids_is_a_409_and_what_is_not_there_a_404(engine: EngineProcess) -> None:
    engine.run("state", "sleep", "300")
    running = ask(engine, "DELETE", "/containers/state")
    assert (running.status, "container is running: stop the container before" in running.message) == (409, True)
    assert ask(engine, "POST", "/containers/state/unpause").status in {409, 500}
    engine.json("POST", "/containers/state/kill", expect=204)
    killed = ask(engine, "POST", "/containers/state/kill")
    assert (killed.status, "is not running" in killed.message) == (409, True)
    assert ask(engine, "POST", "/containers/state/pause").status == 409
    assert ask(engine, "DELETE", "/containers/state").status == 204
    for method, path in (
        ("DELETE", "/containers/state"),
        ("DELETE", "/containers/state?force=1"),
        ("POST", "/containers/state/start"),
        ("POST", "/containers/state/stop"),
        ("POST", "/containers/state/kill"),
        ("POST", "/containers/state/wait"),
        ("GET", "/containers/state/logs?stdout=1"),
        ("GET", "/containers/state/stats?stream=0"),
    ):
        answer = ask(engine, method, path)
        prefix = "cannot kill container: state: " if path.endswith("/kill") else ""
        assert (answer.status, answer.message) == (404, f"{prefix}No such container: state"), path


def test_a_stop_kills_at_once_with_0_and_never_with_minus_1(engine: EngineProcess) -> None:
    stubborn = ("bash", "-c", 'trap "echo term" TERM; echo up; while ! [ -e /go ]; do sleep 0.02; done; exit 3')
    engine.run("stubborn", *stubborn)
    until(lambda: engine.output("stubborn") == ["up"])  # before the trap is set, the signal would end it
    assert ask(engine, "POST", "/containers/stubborn/stop?t=0").status == 204
    assert engine.inspect("stubborn")["State"]["ExitCode"] == 137
    engine.run("patient", *stubborn)
    until(lambda: engine.output("patient") == ["up"])
    stopping = threading.Thread(target=ask, args=(engine, "POST", "/containers/patient/stop?t=-1"))
    stopping.start()
    until(lambda: engine.output("patient") == ["up", "term"])
    exec_id = engine.json("POST", "/containers/patient/exec", {"Cmd": ["touch", "/go"]}, expect=201)["Id"]
    engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True}, expect=200)
    stopping.join(60)
    assert engine.inspect("patient")["State"]["ExitCode"] == 3


def test_a_wait_tells_the_code_and_no_error(engine: EngineProcess) -> None:
    engine.run("awaited", "sh", "-c", "exit 9")
    assert ask(engine, "POST", "/containers/awaited/wait").json == {"StatusCode": 9}
    assert ask(engine, "POST", "/containers/awaited/wait?condition=not-running").json == {"StatusCode": 9}
    wrong = ask(engine, "POST", "/containers/awaited/wait?condition=tired")
    assert (wrong.status, wrong.message) == (400, 'invalid condition: "tired"')


def test_a_wait_for_the_next_exit_and_one_for_the_removal(engine: EngineProcess) -> None:
    engine.create("brief", "sh", "-c", "exit 5", host={"AutoRemove": True})
    with connect(engine) as exit_client, connect(engine) as removal_client:
        for client, condition in ((exit_client, "next-exit"), (removal_client, "removed")):
            client.sendall(request("POST", f"/containers/brief/wait?condition={condition}"))
            assert receive_head(client)[0] == 200
        engine.json("POST", "/containers/brief/start", expect=204)
        for client in (exit_client, removal_client):
            told = b""
            while b"}" not in told:  # a chunk may come in pieces
                told += client.recv(4096) or pytest.fail(f"the answer ended with {told!r}")
            assert b'{"StatusCode":5}\n' in told
    assert ask(engine, "GET", "/containers/brief/json").status == 404


@pytest.mark.parametrize(("number", "code"), [("KILL", 137), ("15", 143), ("SIGUSR1", 138)])
def test_a_signal_s_end_is_128_and_its_number(engine: EngineProcess, number: str, code: int) -> None:
    engine.run(
        f"ended-{code}",
        "/usr/bin/python3",
        "-c",
        "import signal, time\n"
        "for n in (10, 15): signal.signal(n, lambda n, f: exit(128 + n))\nprint('up', flush=True); time.sleep(60)",
    )
    until(lambda: engine.output(f"ended-{code}") == ["up"])
    assert ask(engine, "POST", f"/containers/ended-{code}/kill?signal={number}").status == 204
    assert engine.wait(f"ended-{code}") == code
    assert engine.inspect(f"ended-{code}")["State"]["OOMKilled"] is False


def test_a_start_that_fails_answers_400_and_leaves_it_created(engine: EngineProcess) -> None:
    for name, command, code, said in (
        ("missing", "/no/such/file", 127, "no such file or directory"),
        ("unsuited", "/etc/hostname", 126, "permission denied"),
    ):
        engine.create(name, command)
        answer = ask(engine, "POST", f"/containers/{name}/start")
        assert answer.status == 400
        assert said in answer.message
        state = engine.inspect(name)["State"]
        assert (state["Status"], state["ExitCode"], said in state["Error"]) == ("created", code, True)


def test_the_status_of_a_list_is_docker_s_text(engine: EngineProcess) -> None:
    engine.create("worded", "sleep", "300")
    assert (_summary(engine, "worded")["State"], _summary(engine, "worded")["Status"]) == ("created", "Created")
    engine.json("POST", "/containers/worded/start", expect=204)
    assert re.fullmatch(r"Up (Less than a second|\d+ seconds?)", _summary(engine, "worded")["Status"])
    engine.json("POST", "/containers/worded/pause", expect=204)
    paused = _summary(engine, "worded")
    assert paused["State"] == "paused"
    assert re.fullmatch(r"Up (Less than a second|\d+ seconds?) \(Paused\)", paused["Status"])
    engine.json("POST", "/containers/worded/unpause", expect=204)
    engine.json("POST", "/containers/worded/kill", expect=204)
    ended = _summary(engine, "worded")
    assert ended["State"] == "exited"
    assert re.fullmatch(r"Exited \(137\) (Less than a second|\d+ seconds?) ago", ended["Status"])


def test_a_network_mode_is_kept_as_it_was_sent(engine: EngineProcess) -> None:
    for mode in ("none", "host"):
        engine.create(f"mode-{mode}", "true", host={"NetworkMode": mode})
        assert engine.inspect(f"mode-{mode}")["HostConfig"]["NetworkMode"] == mode
        assert _summary(engine, f"mode-{mode}")["HostConfig"]["NetworkMode"] == mode


def test_a_bind_s_source_is_made_and_a_mount_s_is_not(engine: EngineProcess, tmp_path: Path) -> None:
    engine.create("bound", "true", host={"Binds": [f"{tmp_path}/made/:/inside/"]})
    engine.json("POST", "/containers/bound/start", expect=204)
    engine.wait("bound")
    assert (tmp_path / "made").is_dir()
    (mounted,) = engine.inspect("bound")["Mounts"]
    assert (mounted["Source"], mounted["Destination"]) == (f"{tmp_path}/made", "/inside")
    mount = {"Type": "bind", "Source": f"{tmp_path}/other", "Target": "/inside"}
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"Mounts": [mount]}}
    answer = ask(engine, "POST", "/containers/create", body)
    assert (answer.status, "bind source path does not exist" in answer.message) == (400, True)
    assert not (tmp_path / "other").exists()
    mount["BindOptions"] = {"CreateMountpoint": True}  # type: ignore[assignment]
    engine.run("mounted", "true", host={"Mounts": [mount]})
    engine.wait("mounted")
    assert (tmp_path / "other").is_dir()


def test_an_entrypoint_of_the_user_drops_the_image_s_command(engine: EngineProcess) -> None:
    _import(engine, "program", ENTRYPOINT='["/bin/entry"]', CMD='["one", "two"]')
    for number, (said, path, arguments) in enumerate(
        (
            ({}, "/bin/entry", ["one", "two"]),
            ({"Cmd": ["x"]}, "/bin/entry", ["x"]),
            ({"Entrypoint": ["/own"]}, "/own", []),
            ({"Entrypoint": ["/own"], "Cmd": ["x"]}, "/own", ["x"]),
            ({"Entrypoint": [""], "Cmd": ["x", "y"]}, "x", ["y"]),
            ({"Entrypoint": [], "Cmd": ["x", "y"]}, "x", ["y"]),
        )
    ):
        body = {"Image": "program", "HostConfig": {"NetworkMode": "none"}, **said}
        answer = ask(engine, "POST", f"/containers/create?name=program-{number}", body)
        assert answer.status == 201, (said, answer.body)
        document = engine.inspect(f"program-{number}")
        assert (document["Path"], document["Args"]) == (path, arguments), said


def test_a_health_check_is_kept_disabled_or_inherited(engine: EngineProcess) -> None:
    _import(engine, "checked", CMD='["x"]', HEALTHCHECK="CMD echo well")
    cases: tuple[tuple[dict[str, Any], list[str]], ...] = (
        ({}, ["CMD-SHELL", "echo well"]),
        ({"Healthcheck": {}}, ["CMD-SHELL", "echo well"]),
        ({"Healthcheck": {"Test": ["NONE"]}}, ["NONE"]),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "exit 1"]}}, ["CMD-SHELL", "exit 1"]),
    )
    for number, (said, test) in enumerate(cases):
        body = {"Image": "checked", "HostConfig": {"NetworkMode": "none"}, **said}
        assert ask(engine, "POST", f"/containers/create?name=checked-{number}", body).status == 201
        assert engine.inspect(f"checked-{number}")["Config"]["Healthcheck"]["Test"] == test


def test_what_create_takes_inspect_gives_back(engine: EngineProcess) -> None:
    host = {
        "NetworkMode": "none",
        "NanoCpus": 500_000_000,
        "Memory": 64 * 1024 * 1024,
        "CapAdd": ["NET_ADMIN", "CAP_SYS_TIME"],
        "CapDrop": ["MKNOD"],
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
        "DeviceRequests": None,
        "Tmpfs": {"/t": "size=1m,mode=1777"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
        "Annotations": {"a/b": "c"},
        "ExtraHosts": ["name:10.0.0.1"],
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "ShmSize": 1024 * 1024,
        "Dns": ["10.0.0.2"],
        "GroupAdd": ["12"],
        "OomScoreAdj": 77,
        "PidsLimit": 99,
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges"],
        "Binds": ["/usr:/u:ro"],
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
    }
    config: dict[str, Any] = {
        "Env": ["B=2", "A=1"],
        "Labels": {"l": "v"},
        "User": "1:2",
        "WorkingDir": "/w",
        "StopSignal": "USR1",
    }
    engine.create("round", "true", host=host, **config)
    document = engine.inspect("round")
    kept = {name: document["HostConfig"][name] for name in host}
    assert kept == host
    assert {name: document["Config"][name] for name in ("Labels", "User", "WorkingDir", "StopSignal")} == {
        name: config[name] for name in ("Labels", "User", "WorkingDir", "StopSignal")
    }
    assert document["Config"]["Env"][:2] == ["B=2", "A=1"]
    again = {**document["Config"], "HostConfig": document["HostConfig"]}
    assert ask(engine, "POST", "/containers/create?name=round-again", again).status == 201
    copy = engine.inspect("round-again")
    assert (copy["HostConfig"], copy["Config"]) == (document["HostConfig"], document["Config"])


def test_images_tell_their_sizes_as_the_version_has_it(engine: EngineProcess) -> None:
    _import(engine, "sized", CMD='["x"]')
    new, old = ask(engine, "GET", "/images/json").json[0], ask(engine, "GET", "/v1.43/images/json").json[0]
    assert "VirtualSize" not in new
    assert old["VirtualSize"] == old["Size"] == new["Size"]
    assert new["SharedSize"] == -1
    shared = ask(engine, "GET", "/images/json?shared-size=1").json
    assert all(image["SharedSize"] >= 0 for image in shared)


def test_an_image_is_untagged_then_deleted_and_not_while_it_is_used(engine: EngineProcess) -> None:
    identity = _import(engine, "short-lived", CMD='["x"]')
    body = {"Image": "short-lived", "HostConfig": {"NetworkMode": "none"}}
    assert ask(engine, "POST", "/containers/create?name=user-of-image", body).status == 201
    used = ask(engine, "DELETE", "/images/short-lived")
    assert used.status == 409
    assert ask(engine, "DELETE", "/containers/user-of-image").status == 204
    removed = ask(engine, "DELETE", "/images/short-lived").json
    assert removed[0] == {"Untagged": "short-lived:latest"}
    assert {"Deleted": identity} in removed
    missing = ask(engine, "DELETE", "/images/short-lived")
    assert (missing.status, missing.message) == (404, "No such image: short-lived:latest")


@pytest.mark.parametrize("padding", [True, False])
def test_credentials_are_taken_with_and_without_padding(engine: EngineProcess, *, padding: bool) -> None:
    given = base64.urlsafe_b64encode(json.dumps({"username": "u", "password": "pp"}).encode()).decode()
    header = given if padding else given.rstrip("=")
    answer = ask(engine, "POST", "/images/create?fromImage=127.0.0.1:1/none&tag=x", X_Registry_Auth=header)
    assert (answer.status >= 400, answer.headers["content-type"]) == (True, "application/json")
    refused = ask(engine, "POST", "/auth", {"username": "u", "password": "p", "serveraddress": "127.0.0.1:1"})
    assert (refused.status, "127.0.0.1:1" in refused.message) == (503, True)


def test_disk_usage_has_docker_s_shape_and_the_containers(engine: EngineProcess) -> None:
    engine.run("using", "sh", "-c", "head -c 100000 /dev/zero > /filled")
    engine.wait("using")
    usage = ask(engine, "GET", "/system/df").json
    assert list(usage) == ["LayersSize", "Images", "Containers", "Volumes", "BuildCache"]
    (found,) = [each for each in usage["Containers"] if each["Names"] == ["/using"]]
    assert found["SizeRw"] >= 100_000
    assert found["SizeRootFs"] >= found["SizeRw"]
    (host,) = [each for each in usage["Images"] if each["RepoTags"] == ["host:latest"]]
    assert host["Containers"] >= 1
    assert ask(engine, "GET", "/containers/json?size=1&all=1").json[0].keys() >= {"SizeRw", "SizeRootFs"}
    sized = ask(engine, "GET", "/containers/using/json?size=1").json
    assert sized["SizeRw"] == found["SizeRw"]
    assert "SizeRw" not in engine.inspect("using")
    images_alone = ask(engine, "GET", "/system/df?type=image").json
    assert images_alone["Images"]
    assert not images_alone.get("Containers")


def test_an_engine_keeps_its_id(engine: EngineProcess) -> None:
    before = ask(engine, "GET", "/info").json["ID"]
    assert str(uuid.UUID(before)) == before
    engine.stop()
    engine.start()
    assert ask(engine, "GET", "/info").json["ID"] == before


def test_info_has_what_clients_look_for(engine: EngineProcess) -> None:
    info = ask(engine, "GET", "/info").json
    assert info["CgroupVersion"] in {"1", "2"}
    assert "name=seccomp,profile=builtin" in info["SecurityOptions"]
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert info["DefaultRuntime"] in info["Runtimes"]
    assert info["RegistryConfig"]["IndexConfigs"]["docker.io"]["Official"] is True
    assert (info["OSType"], info["Warnings"], info["LiveRestoreEnabled"]) == ("linux", None, True)
    assert min(info["NCPU"], info["MemTotal"]) > 0
    assert all(len(pair) == 2 for pair in info["DriverStatus"])
    assert info["Containers"] == info["ContainersRunning"] + info["ContainersPaused"] + info["ContainersStopped"]
    version = ask(engine, "GET", "/version").json
    assert {"Version", "ApiVersion", "MinAPIVersion", "Os", "Arch", "KernelVersion", "BuildTime"} <= version.keys()
    assert version["MinAPIVersion"] == "1.24"
    assert all({"Name", "Version", "Details"} <= component.keys() for component in version["Components"])
