"""The Python client against a real engine: docker-py's nouns and verbs, typed."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

import sampan
from sampan.client.connect import Client
from sampan.client.failure import (
    ApiError,
    ClientError,
    ConflictError,
    ContainerError,
    DaemonUnreachable,
    ImageNotFoundError,
    NotFoundError,
)


def a_tar(**files: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def names_in(pieces: Iterator[bytes]) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        return tar.getnames()


def test_run_gives_the_output_and_raises_for_a_code(client: Client) -> None:
    assert client.containers.run("host", ["echo", "hello"], remove=True) == b"hello\n"
    assert client.containers.run("host", "sh -c 'echo out; echo err >&2'", stdout=False, stderr=True) == b"err\n"
    with pytest.raises(ContainerError, match="exit status 3: it went wrong") as caught:
        client.containers.run("host", ["sh", "-c", "echo it went wrong >&2; exit 3"], remove=True)
    assert caught.value.exit_status == 3
    assert [one.name for one in client.containers.list(all=True) if one.id == caught.value.container] == []


def test_arguments_take_what_a_program_has_in_variables(client: Client) -> None:
    variables, hosts, labels = {"WORD": "said"}, {"other": "10.9.8.7"}, {"a": "b"}
    ports, groups = {"80/tcp": None}, ["7"]
    output = client.containers.run(
        "host",
        ["sh", "-c", "echo $WORD $(id -G); grep other /etc/hosts"],
        environment=variables,
        extra_hosts=hosts,
        group_add=groups,
        labels=labels,
        network="none",
        ports=ports,
    )
    assert output.split() == [b"said", b"0", b"7", b"10.9.8.7", b"other"]


def test_what_a_running_container_has_is_changed(client: Client) -> None:
    container = client.containers.run("host", ["sleep", "600"], detach=True)
    container.update(devices=["/dev/full:/dev/filled"], cpu_idle=True)
    assert container.exec_run("test -c /dev/filled").exit_code == 0
    container.update(remove_devices=["/dev/filled"])
    assert container.exec_run("test -e /dev/filled").exit_code == 1
    for change in ({"ports": {80: 8080}}, {"unpublish": {"80/tcp": 8080}}):
        with pytest.raises(ApiError, match="no ports of its own to publish"):
            container.update(**change)
    with pytest.raises(ApiError, match="rate"):
        container.update(network_rate={"In": -1})


def test_a_text_is_not_taken_for_its_letters(client: Client) -> None:
    with pytest.raises(TypeError, match="labels='ab' is a text"):
        client.containers.create("host", labels="ab")  # type: ignore[arg-type]
    container = client.containers.run("host", ["sleep", "600"], detach=True)
    assert container.exec_run("printenv WORD", environment="WORD=said").output == b"said\n"
    image = client.images.import_image(a_tar(file=b"x"), "changed", changes="LABEL a=b")
    assert image.labels == {"a": "b"}


def test_run_streams_what_is_printed_as_it_comes(client: Client) -> None:
    pieces = client.containers.run("host", ["sh", "-c", "for n in 1 2 3; do echo $n; done"], stream=True, remove=True)
    assert b"".join(pieces) == b"1\n2\n3\n"
    assert client.containers.list(all=True) == []


def test_a_container_lives_its_life(client: Client) -> None:
    container = client.containers.create(
        "host", ["sleep", "600"], name="life", labels={"a": "b"}, environment={"X": "1"}
    )
    assert (container.status, container.name, container.labels) == ("created", "life", {"a": "b"})
    container.start()
    container.reload()
    assert container.status == "running"
    assert client.containers.get("life") == container == client.containers.get(container.short_id)
    assert client.containers.list(filters={"label": "a=b"}) == [container]
    assert client.containers.list(filters={"label": "a=c"}) == []
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("lives")
    container.restart(timeout=0)
    container.kill("KILL")
    assert container.wait(timeout=30)["StatusCode"] == 137
    container.reload()
    assert (container.status, container.name) == ("exited", "lives")
    container.remove()
    with pytest.raises(NotFoundError, match="No such container"):
        container.reload()


def test_what_runs_is_looked_into_and_changed(client: Client) -> None:
    container = client.containers.run("host", ["sleep", "600"], detach=True, mem_limit="64m")
    found = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 4"], demux=True)
    assert (found.exit_code, found.output) == (4, (b"out\n", b"err\n"))
    assert container.exec_run("sh -c 'echo $WHO in $PWD'", environment={"WHO": "me"}, workdir="/tmp").output == (
        b"me in /tmp\n"
    )
    assert container.exec_run(["touch", "/root/made"], detach=True).exit_code is None
    until(lambda: {"Path": "/root/made", "Kind": 1} in container.diff(), 30)
    assert [row[-1] for row in container.top("-o pid,cmd")["Processes"]] == ["sleep 600"]
    assert container.stats(stream=False)["memory_stats"]["limit"] == 64 << 20
    assert next(container.stats())["id"] == container.id
    container.update(mem_limit="128m", cpu_idle=True)
    container.reload()
    assert container.attrs["HostConfig"]["CpuIdle"] is True
    assert container.attrs["HostConfig"]["Memory"] == 128 << 20
    assert container.health == "unknown"


def test_files_go_in_and_out(client: Client) -> None:
    container = client.containers.create("host", ["true"])
    assert container.put_archive("/root", a_tar(file=b"content"))
    pieces, stat = container.get_archive("/root/file")
    assert (names_in(pieces), stat["name"], stat["size"]) == (["file"], "file", 7)
    with pytest.raises(NotFoundError):
        container.get_archive("/root/none")


def test_logs_are_read_whole_in_part_and_as_they_come(client: Client) -> None:
    container = client.containers.run(
        "host", ["sh", "-c", "echo one; echo two; read go; echo three"], detach=True, stdin_open=True
    )
    until(lambda: container.logs() == b"one\ntwo\n", 30)
    assert container.logs(tail=1) == b"two\n"
    with container.attach_socket() as both:
        both.send(b"go\n")
        assert b"".join(container.logs(stream=True)) == b"one\ntwo\nthree\n"
    with pytest.raises(TypeError, match="no argument 'until_when'"):
        container.logs(until_when=3)  # type: ignore[call-overload]


def test_a_wait_has_an_end(client: Client) -> None:
    container = client.containers.run("host", ["sleep", "600"], detach=True)
    with pytest.raises(TimeoutError):
        container.wait(timeout=0.2)
    assert client.ping()  # and the connection that was given up is not used again


def test_an_image_goes_round(client: Client) -> None:
    busybox = Path("/bin/busybox")
    if not busybox.exists():
        pytest.skip("needs /bin/busybox (Debian: busybox-static)")
    image = client.images.import_image(a_tar(busybox=busybox.read_bytes()), "box", changes=["LABEL made=here"])
    assert (image.tags, image.labels) == (["box:latest"], {"made": "here"})
    assert client.containers.run("box", ["/busybox", "echo", "inside"], remove=True) == b"inside\n"
    assert image.tag("other/box", "2")
    image.reload()
    assert image.tags == ["box:latest", "other/box:2"]
    assert client.images.list("other/box") == [image]
    saved = b"".join(client.images.get("other/box:2").save())
    assert [row["Untagged"] for row in image.remove(force=True) if "Untagged" in row] == ["box:latest", "other/box:2"]
    with pytest.raises(ImageNotFoundError):
        client.images.get("box")
    assert client.images.load(saved) == [image]
    container = client.containers.create("box", ["/busybox", "true"])
    committed = client.images.get(container.commit("box", "changed", message="why", changes=["CMD /busybox"]))
    assert committed.history()[0]["Comment"] == "why"
    container.remove()
    assert client.images.prune({"dangling": False})["ImagesDeleted"]
    assert "box:latest" not in [tag for one in client.images.list() for tag in one.tags]


def test_what_no_registry_gives_is_an_error_of_the_client(client: Client) -> None:
    with pytest.raises(ClientError, match=r"127\.0\.0\.1:1"):
        client.images.pull("127.0.0.1:1/nothing")
    with pytest.raises(ImageNotFoundError, match="No such image"):
        client.containers.create("127.0.0.1:1/nothing")
    with pytest.raises(ApiError, match=r"127\.0\.0\.1:1"):
        client.login("user", "secret", "127.0.0.1:1")


def test_volumes_are_shared_and_outlive_containers(client: Client) -> None:
    volume = client.volumes.create("kept", labels={"a": "b"})
    client.containers.run("host", "sh -c 'echo word > /data/file'", volumes={"kept": {"bind": "/data", "mode": "rw"}})
    assert client.containers.run("host", "cat /data/file", volumes=["kept:/data:ro"]) == b"word\n"
    with pytest.raises(ConflictError, match="in use"):
        volume.remove()
    client.containers.prune()
    assert client.volumes.list(filters={"label": "a=b"}) == [volume]
    volume.remove()
    assert client.volumes.list() == []


def test_the_engine_tells_what_it_is_and_what_happens(client: Client) -> None:
    start = time.time()
    client.containers.run("host", ["true"], name="told", remove=True)
    events = client.events(since=start, until=time.time(), filters={"container": "told"})
    assert [event["Action"] for event in events] == ["create", "attach", "start", "die", "destroy"]
    assert client.info()["OSType"] == "linux"
    assert client.version()["MinAPIVersion"] == "1.24"
    assert {"Containers", "Images", "Volumes"} <= client.df().keys()


def test_networks_are_made_listed_and_removed(client: Client) -> None:
    assert {"host", "none"} <= {one.name for one in client.networks.list()}
    with pytest.raises(NotFoundError, match="network nowhere not found"):
        client.networks.get("nowhere")


def test_where_no_daemon_listens_it_is_said(tmp_path: Path) -> None:
    with (
        sampan.connect(f"unix://{tmp_path}/none.sock") as nobody,
        pytest.raises(DaemonUnreachable, match=r"none\.sock"),
    ):
        nobody.ping()
