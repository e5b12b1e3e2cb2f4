"""The Python client: what is followed as it happens, and that nothing of it is missed or left open."""

from __future__ import annotations

import gc
import time
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from tests.engine_process import EngineProcess

import sampan
from sampan.client.connect import Client
from sampan.client.failure import ApiError, NamelessError


def test_events_are_heard_from_the_moment_they_are_asked_for(client: Client) -> None:
    events = client.events(until=time.time() + 1, filters={"container": "heard"})
    client.containers.create("host", ["true"], name="heard").remove()
    assert [event["Action"] for event in events] == ["create", "destroy"]


def test_moments_are_datetimes_or_seconds(client: Client) -> None:
    container = client.containers.run("host", ["echo", "said"], detach=True)
    container.wait()
    for soon in (datetime.now(UTC) + timedelta(hours=1), time.time() + 3600):
        assert container.logs(until=soon) == b"said\n"
        assert container.logs(since=soon) == b""
    naive = datetime.now(UTC).replace(tzinfo=None)
    events = client.events(since=naive - timedelta(hours=1), until=naive, filters={"container": container.id})
    assert "create" in [event["Action"] for event in events]
    assert container.logs(since=0.0000001, tail=1) == b"said\n"


def test_what_cannot_be_followed_is_said_when_it_is_asked_for(client: Client) -> None:
    with pytest.raises(ApiError, match="invalid time"):
        client.events(since="yesterday, or so")
    container = client.containers.create("host", ["true"])
    container.remove()
    with pytest.raises(ApiError, match="No such container"):
        container.stats()


def test_who_attaches_before_the_start_misses_nothing(client: Client) -> None:
    container = client.containers.create("host", ["echo", "first words"])
    output = container.attach()
    container.start()
    assert b"".join(output) == b"first words\n"


@pytest.mark.parametrize("stream", [False, True])
def test_run_gives_the_output_of_a_container_that_removes_itself(client: Client, *, stream: bool) -> None:
    words = ["sh", "-c", "echo out; echo err >&2"]
    if stream:
        assert list(client.containers.run("host", words, auto_remove=True, stream=True)) == [b"out\n"]
    else:
        assert client.containers.run("host", words, auto_remove=True) == b"out\n"
    assert client.containers.list(all=True) == []


def test_run_gives_the_output_of_a_container_that_keeps_no_log(client: Client) -> None:
    assert client.containers.run("host", ["echo", "word"], log_config={"Type": "none"}, remove=True) == b"word\n"
    assert client.containers.list(all=True) == []


def test_run_leaves_nothing_of_what_does_not_start(client: Client) -> None:
    with pytest.raises(ApiError, match="no-such-program"):
        client.containers.run("host", ["no-such-program"], remove=True)
    assert client.containers.list(all=True) == []


def test_run_hears_the_end_though_the_daemon_is_another_by_then(engine: EngineProcess, client: Client) -> None:
    pieces = client.containers.run("host", ["sh", "-c", "echo on; sleep 1; echo off"], stream=True, remove=True)
    assert next(pieces) == b"on\n"
    engine.kill()
    engine.start()
    assert b"".join(pieces) == b"off\n"
    assert client.containers.list(all=True) == []


def test_what_is_not_read_to_its_end_is_closed_without_a_warning(client: Client) -> None:
    container = client.containers.run("host", ["sh", "-c", "echo on; sleep 600"], detach=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for pieces in (container.logs(stream=True), container.export(), container.get_archive("/etc")[0]):
            assert next(pieces)
        assert next(container.stats())
        assert next(client.containers.run("host", ["sh", "-c", "echo on; sleep 600"], stream=True, remove=True))
        assert next(client.events(since=time.time() - 60))
        del pieces
        gc.collect()
    assert caught == []


def test_a_client_that_nobody_has_any_more_is_closed_without_a_warning(engine: EngineProcess) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert sampan.connect(f"unix://{engine.socket}").ping()
        gc.collect()
    assert caught == []


def test_a_wait_that_lost_patience_spoils_no_later_call(client: Client) -> None:
    container = client.containers.run("host", ["sleep", "600"], detach=True)
    with pytest.raises(TimeoutError):
        container.wait(timeout=0.2)
    container.kill()
    container.wait()
    assert container.wait(timeout=0.2)["StatusCode"] == 137
    client.containers.run("host", ["sleep", "0.5"])


def test_what_the_list_tells_of_a_container_has_its_properties_too(client: Client) -> None:
    container = client.containers.create("host", ["sleep", "600"], ports={"80/tcp": ("127.0.0.1", 0), "70/udp": None})
    container.start()
    (listed,) = client.containers.list(sparse=True)
    container.reload()
    assert (listed.health, listed.status, listed.image) == ("unknown", "running", container.image)
    assert listed.ports == container.ports


def test_an_image_without_a_name_is_asked_of_no_registry(client: Client) -> None:
    with pytest.raises(NamelessError, match="the name of the image is empty"):
        client.images.pull("")


def test_a_size_that_is_none_is_shown_with_its_argument(client: Client) -> None:
    with pytest.raises(ValueError, match="mem_limit='64q': it is no size"):
        client.containers.create("host", mem_limit="64q")
