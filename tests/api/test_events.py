"""The events of everything that is done, with the attributes that Docker's have (observed on 26.1.5)."""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.engine_process import EngineProcess, UnixConnection
from tests.hijack import Hijacked
from tests.raw_http import connect, receive_head, request
from tests.waiting import until

from sampan.linux.network_namespace import make_network_namespace

Told = list[tuple[str, str, dict[str, str]]]


class Watch:
    """What is told from now on, as (type, action, attributes); filters as in the query."""

    def __init__(self, engine: EngineProcess, **filters: list[str]) -> None:
        self.engine = engine
        self.since = time.time_ns()
        self.filters = filters

    def events(self) -> list[dict[str, Any]]:
        now = time.time_ns()
        window = f"since={self.since // 10**9}.{self.since % 10**9:09d}&until={now // 10**9}.{now % 10**9:09d}"
        _, body = self.engine.request("GET", f"/events?{window}&filters={quote(json.dumps(self.filters))}")
        return [json.loads(line) for line in body.splitlines()]

    def told(self, concerning: set[str] | None = None) -> Told:
        """All of them, or those of these objects, which others' health checks may come between."""
        actors = ((event, event["Actor"]) for event in self.events())
        return [
            (event["Type"], event["Action"], actor["Attributes"])
            for event, actor in actors
            if concerning is None or {actor["ID"], actor["Attributes"].get("container")} & concerning
        ]

    def actions(self) -> list[str]:
        return [f"{kind} {action}" for kind, action, _ in self.told()]


def small_tar() -> bytes:
    target = BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 4
        tar.addfile(entry, BytesIO(b"1234"))
    return target.getvalue()


def post(engine: EngineProcess, path: str, body: bytes, method: str = "POST") -> tuple[int, bytes]:
    connection = UnixConnection(engine.socket)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-tar"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture
def image(engine: EngineProcess) -> Iterator[str]:
    """An image of its own, with a label."""
    path = f"/images/create?fromSrc=-&repo=told&tag=1&changes={quote('LABEL kind=test')}"
    status, body = post(engine, path, small_tar())
    assert status == 200, body
    yield "told:1"
    engine.request("DELETE", "/images/told:1?force=1")


def test_a_start_and_an_end_tell_of_networks_and_volumes_too(engine: EngineProcess) -> None:
    watch = Watch(engine)
    container_id = engine.run("lived", "true", host={"Binds": ["lived-data:/data"]})
    engine.wait("lived")
    engine.json("DELETE", "/containers/lived", expect=204)
    engine.json("DELETE", "/volumes/lived-data", expect=204)
    network = {"container": container_id, "name": "none", "type": "null"}
    mounted = {"container": container_id, "driver": "local"}
    where = {"destination": "/data", "read/write": "true", "propagation": ""}
    own = {"image": "host", "name": "lived"}
    told = watch.told({container_id, "lived-data"})
    (took,) = [attributes.pop("execDuration") for _, action, attributes in told if action == "die"]
    assert took.isdigit()
    assert told == [
        ("volume", "create", {"driver": "local"}),
        ("container", "create", own),
        ("network", "connect", network),
        ("volume", "mount", {**mounted, **where}),
        ("container", "start", own),
        ("network", "disconnect", network),
        ("volume", "unmount", mounted),
        ("container", "die", {**own, "exitCode": "0"}),
        ("container", "destroy", own),
        ("volume", "destroy", {"driver": "local"}),
    ]


def test_what_is_done_to_a_running_container_is_told(engine: EngineProcess) -> None:
    container_id = engine.run("busy", "sleep", "600", Tty=True, OpenStdin=True)
    watch = Watch(engine, container=["busy"])
    for path in ("pause", "unpause", "resize?h=10&w=20", "kill?signal=WINCH"):
        assert engine.request("POST", f"/containers/busy/{path}")[0] < 300
    engine.json("POST", "/containers/busy/update", {"CpuShares": 100})
    engine.json("GET", "/containers/busy/top")
    assert engine.request("GET", "/containers/busy/archive?path=/etc/hostname")[0] == 200
    assert post(engine, "/containers/busy/archive?path=/root", small_tar(), "PUT")[0] == 200
    with connect(engine) as client:
        client.sendall(request("GET", "/containers/busy/export", Connection="close"))
        assert receive_head(client)[0] == 200
    engine.json("POST", "/containers/busy/rename?name=busier", expect=204)
    watch.filters = {"container": [container_id]}
    told = watch.told()
    assert [action for _, action, _ in told] == [
        *("pause", "unpause", "resize", "kill", "update", "top", "archive-path", "extract-to-dir", "export", "rename")
    ]
    by_action = {action: attributes for _, action, attributes in told}
    assert by_action["resize"] == {"image": "host", "name": "busy", "height": "10", "width": "20"}
    assert by_action["kill"]["signal"] == "28"
    assert by_action["rename"] == {"image": "host", "name": "busier", "oldName": "/busy"}


def test_a_client_that_types_its_keys_is_told_to_have_left(engine: EngineProcess) -> None:
    engine.run("left", "cat", OpenStdin=True, Tty=True)
    watch = Watch(engine, container=["left"])
    client = Hijacked(engine, "/containers/left/attach?stream=1&stdin=1&stdout=1")
    client.send(b"\x10\x11")
    client.read_all()
    until(lambda: watch.actions() == ["container attach", "container detach"], 30)
    body = {"Cmd": ["cat"], "Tty": True, "AttachStdin": True, "AttachStdout": True, "DetachKeys": "ctrl-a"}
    exec_id = engine.json("POST", "/containers/left/exec", body)["Id"]
    client = Hijacked(engine, f"/exec/{exec_id}/start", {"Tty": True})
    client.send(b"\x01")
    client.read_all()
    until(lambda: watch.actions()[-1] == "container exec_detach", 30)
    assert watch.told()[-1][2]["execID"] == exec_id


def test_execs_and_probes_of_health_are_told_alike(engine: EngineProcess) -> None:
    watch = Watch(engine, container=["probed"])
    check = {"Test": ["CMD", "true"], "Interval": 10**8}
    engine.run("probed", "sleep", "600", Healthcheck=check)
    until(lambda: "container health_status: healthy" in watch.actions(), 30)
    actions = watch.actions()
    assert actions[:5] == [
        *("container create", "container start", "container exec_create: true ", "container exec_start: true "),
        "container exec_die",
    ]
    assert watch.told()[4][2]["exitCode"] == "0"
    watch.filters["event"] = ["exec_create", "health_status"]
    assert {action.partition(":")[0] for action in watch.actions()} == {
        "container exec_create",
        "container health_status",
    }


def test_what_becomes_of_images_is_told_with_their_labels(engine: EngineProcess, image: str) -> None:
    watch = Watch(engine, type=["image"])
    engine.json("POST", f"/images/{image}/tag?repo=told&tag=2", expect=201)
    image_id = engine.json("GET", f"/images/{image}/json")["Id"]
    _, archive = engine.request("GET", "/images/told:2/get")
    engine.json("DELETE", "/images/told:2")
    engine.json("DELETE", "/images/told:1")
    assert post(engine, "/images/load", archive)[0] == 200
    told = watch.told()
    labels = {"kind": "test"}
    assert told == [
        ("image", "tag", {"name": "told:2", **labels}),
        ("image", "save", {"name": image_id, **labels}),
        ("image", "untag", {"name": image_id, **labels}),
        ("image", "untag", {"name": image_id, **labels}),
        ("image", "delete", {"name": image_id}),
        ("image", "load", {"name": image_id, **labels}),
    ]
    assert {event["Actor"]["ID"] for event in watch.events()} == {image_id}
    watch.filters = {"image": ["told"]}
    assert watch.actions() == ["image tag"]
    engine.json("DELETE", "/images/told:2")


def test_a_commit_tells_that_the_container_stood_still(engine: EngineProcess, image: str) -> None:
    engine.create("kept", "/file", image=image)
    watch = Watch(engine, event=["tag", "commit", "pause", "unpause"])
    engine.json("POST", "/commit?container=kept&repo=told&tag=3&comment=why", expect=201)
    assert watch.actions() == ["image tag", "container commit"]  # it does not run
    assert watch.told()[1][2].items() >= {"comment": "why", "imageRef": "told:3", "name": "kept"}.items()
    engine.json("DELETE", "/containers/kept", expect=204)
    engine.json("DELETE", "/images/told:3")


def test_a_commit_on_the_machine_itself_is_refused_with_a_way_out(engine: EngineProcess) -> None:
    engine.create("rooted", "true")
    answer = engine.json("POST", "/commit?container=rooted&repo=none", expect=501)
    assert "cannot commit container rooted" in answer["message"]
    assert "sampan export rooted" in answer["remedy"]
    engine.json("GET", "/images/none/json", expect=404)


def test_prunes_are_told_with_what_they_freed(engine: EngineProcess) -> None:
    engine.run("pruned", "sh", "-c", "head -c 100000 /dev/zero > /root/big", Labels={"prune": "me"})
    engine.wait("pruned")
    watch = Watch(engine, event=["prune"])
    engine.json("POST", f"/containers/prune?filters={quote(json.dumps({'label': ['prune=me']}))}")
    kind, action, attributes = watch.told()[-1]
    assert (kind, action) == ("container", "prune")
    assert 100_000 <= int(attributes["reclaimed"]) < 110_000


def test_networks_are_told(tmp_path: Path) -> None:
    netns_fd = make_network_namespace()  # a bridge would be the machine's own otherwise
    try:
        with EngineProcess(tmp_path, netns_fd=netns_fd) as engine:
            watch = Watch(engine, type=["network"])
            network_id = engine.json("POST", "/networks/create", {"Name": "told-net"}, expect=201)["Id"]
            engine.json("DELETE", "/networks/told-net", expect=204)
            attributes = {"name": "told-net", "type": "bridge"}
            assert watch.told() == [("network", "create", attributes), ("network", "destroy", attributes)]
            watch.filters = {"network": [network_id[:12]]}
            assert len(watch.told()) == 2
    finally:
        os.close(netns_fd)


def test_a_listener_that_leaves_is_forgotten(engine: EngineProcess) -> None:
    with connect(engine) as listener:
        listener.sendall(request("GET", "/events"))
        until(lambda: engine.json("GET", "/info")["NEventsListener"] == 1, 30)
    until(lambda: engine.json("GET", "/info")["NEventsListener"] == 0, 30)


def test_the_disk_usage_counts_volumes_and_who_has_them(engine: EngineProcess) -> None:
    engine.run("user", "sh", "-c", "head -c 100000 /dev/zero > /data/big", host={"Binds": ["used:/data"]})
    engine.wait("user")
    (volume,) = [one for one in engine.json("GET", "/system/df?type=volume")["Volumes"] if one["Name"] == "used"]
    assert volume["UsageData"]["RefCount"] == 1
    assert volume["UsageData"]["Size"] >= 100_000
    engine.json("DELETE", "/containers/user", expect=204)
    engine.json("DELETE", "/volumes/used", expect=204)
