"""The protocol part of the API's checklist: versions, headers, errors, bodies, queries, names."""

from __future__ import annotations

import json
import re
import time
import urllib.parse

import pytest
from tests.engine_process import EngineProcess
from tests.raw_http import ask, connect, receive_head, request
from tests.waiting import until

NEWEST = "1.47"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
ZERO = "0001-01-01T00:00:00Z"


def _filters(value: object) -> str:
    return "filters=" + urllib.parse.quote(value if isinstance(value, str) else json.dumps(value))


def _names(engine: EngineProcess, query: str) -> list[str]:
    return [entry["Names"][0].removeprefix("/") for entry in ask(engine, "GET", f"/containers/json?{query}").json]


@pytest.mark.parametrize("path", ["/_ping", "/v1.24/_ping", f"/v{NEWEST}/_ping"])
def test_a_ping_tells_what_this_is_in_its_headers(engine: EngineProcess, path: str) -> None:
    got, head = ask(engine, "GET", path), ask(engine, "HEAD", path)
    assert (got.status, got.body) == (200, b"OK")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "0")
    for answer in (got, head):
        wanted = {
            "api-version": NEWEST,
            "ostype": "linux",
            "swarm": "inactive",
            "docker-experimental": "false",
            "content-type": "text/plain; charset=utf-8",
            "cache-control": "no-cache, no-store, must-revalidate",
            "pragma": "no-cache",
        }
        assert {name: answer.headers.get(name) for name in wanted} == wanted
        assert re.fullmatch(r"Docker/\d+\.\d+\.\d+ \(linux\)", answer.headers["server"])
        assert answer.headers["builder-version"] == "2"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/version", 200),
        ("GET", "/v1.30/containers/json", 200),
        ("GET", "/containers/none-of-this-name/json", 404),
        ("GET", "/no/such/page", 404),
        ("POST", "/containers/headed/stop", 304),
        ("POST", "/containers/headed/rename?name=headed", 400),
        ("POST", "/containers/headed/kill", 409),
        ("GET", "/v9.9/version", 400),
    ],
)
def test_every_plain_answer_has_the_engine_s_headers(
    engine: EngineProcess, method: str, path: str, status: int
) -> None:
    if "headed" in path and ask(engine, "GET", "/containers/headed/json").status == 404:
        engine.create("headed", "true")
    answer = ask(engine, method, path)
    assert answer.status == status
    assert {"api-version", "ostype", "server", "docker-experimental"} <= answer.headers.keys()


def test_versions_that_are_not_spoken_are_refused_in_the_words_that_clients_look_for(engine: EngineProcess) -> None:
    old, new = ask(engine, "GET", "/v1.12/info"), ask(engine, "GET", "/v9.99/info")
    assert (old.status, new.status) == (400, 400)
    assert "client version 1.12 is too old. Minimum supported API version is 1.24, " in old.message
    assert f"client version 9.99 is too new. Maximum supported API version is {NEWEST}" in new.message


def test_an_error_is_json_with_a_message_and_the_status_of_its_kind(engine: EngineProcess) -> None:
    for method, path, status, said in (
        ("GET", "/containers/nobody/json", 404, "No such container: nobody"),
        ("GET", "/images/nothing/json", 404, "No such image: nothing"),
        ("GET", "/exec/nothing/json", 404, "No such exec instance: nothing"),
        ("GET", "/no/such/page", 404, "page not found"),
        ("GET", "/swarm", 503, "This node is not a swarm manager"),
        ("POST", "/plugins/create", 501, "sampan has no plugins but those for volumes"),
        ("POST", "/session", 400, "the header X-Docker-Expose-Session-Uuid is missing"),
        ("POST", "/v1.45/grpc", 400, "the connection is to become h2c"),
        ("GET", "/containers/json?limit=many", 400, "many"),
    ):
        answer = ask(engine, method, path)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/json"), path
        assert said in answer.message
        assert answer.body.endswith(b"\n")


def test_json_is_not_escaped_for_html_and_ends_with_a_newline(engine: EngineProcess) -> None:
    engine.create("escaped", "true", Labels={"mark": "<a & b>"})
    body = ask(engine, "GET", "/containers/escaped/json").body
    assert b'"mark":"<a & b>"' in body
    assert body.endswith(b"}\n")
    assert b'"Id":"<missing>"' in ask(engine, "GET", "/images/host/history").body or b"sha256:" in body


def test_what_is_empty_is_an_empty_list_or_map_and_null_where_docker_s_is(engine: EngineProcess) -> None:
    none = _filters({"name": ["no-such-name-at-all"]})
    assert ask(engine, "GET", f"/containers/json?{none}").body == b"[]\n"
    assert ask(engine, "GET", "/images/json?" + _filters({"reference": ["no/such"]})).body == b"[]\n"
    assert ask(engine, "GET", "/plugins").body == b"[]\n"
    created = ask(engine, "POST", "/containers/create?name=empty", {"Image": "host", "Cmd": ["true"]})
    assert created.json["Warnings"] == []
    document = engine.inspect("empty")
    assert (document["Mounts"], document["NetworkSettings"]["Ports"]) == ([], {})
    assert (document["Config"]["Labels"], document["Config"]["Volumes"]) == ({}, None)
    assert isinstance(document["Config"]["Env"], list)
    line = ask(engine, "GET", "/containers/json?all=1&" + _filters({"name": ["^/empty$"]})).json[0]
    assert (line["Ports"], line["Labels"], line["Mounts"]) == ([], {}, [])
    assert ask(engine, "POST", "/containers/empty/update", {"CpuShares": 512}).json == {"Warnings": None}


@pytest.mark.parametrize("content_type", ["", "application/x-tar", "application/tar", "text/plain"])
def test_an_archive_may_come_with_any_content_type(engine: EngineProcess, content_type: str) -> None:
    empty_archive = bytes(10240)
    headers = {"Content_Type": content_type} if content_type else {}
    answer = ask(engine, "POST", "/images/create?fromSrc=-&repo=any-type", empty_archive, **headers)
    assert (answer.status, "sha256:" in answer.json["status"]) == (200, True)


@pytest.mark.parametrize(
    ("text", "is_true"),
    [
        *((text, False) for text in ("", "0", "no", "false", "none", "False")),
        *((text, True) for text in ("1", "true", "True", "yes", "anything")),
    ],
)
def test_booleans_of_a_query_are_docker_s(engine: EngineProcess, text: str, is_true: bool) -> None:  # noqa: FBT001
    if ask(engine, "GET", "/containers/never-ran/json").status == 404:
        engine.create("never-ran", "true")
    assert ("never-ran" in _names(engine, f"all={text}")) is is_true


def test_filters_come_in_two_forms_and_mean_and_across_or_within(engine: EngineProcess) -> None:
    for name, labels in {"one": {"a": "1", "b": "1"}, "two": {"a": "2", "b": "1"}, "three": {"a": "1"}}.items():
        engine.create(f"filtered-{name}", "true", Labels=labels)
    names = ["filtered-one", "filtered-two"]
    assert _names(engine, "all=1&" + _filters({"name": names})) == names[::-1]
    assert _names(engine, "all=1&" + _filters({"name": dict.fromkeys(names, True)})) == names[::-1]
    both = {"name": {"filtered": True}, "label": {"a=1": True, "b=1": True}}
    assert _names(engine, "all=1&" + _filters(both)) == ["filtered-one"]
    across = {"name": ["filtered-two", "filtered-three"], "label": ["a=1"]}
    assert _names(engine, "all=1&" + _filters(across)) == ["filtered-three"]
    assert _names(engine, "all=1&" + _filters({"name": ["filtered-one"], "status": ["created", "exited"]})) == [
        names[0]
    ]


@pytest.mark.parametrize(
    "path",
    "/containers/json /images/json".split(),
)
def test_a_filter_that_there_is_not_is_refused_by_its_name(engine: EngineProcess, path: str) -> None:
    answer = ask(engine, "GET", f"{path}?until=1&" + _filters({"wings": {"yes": True}}))
    assert (answer.status, "invalid filter 'wings'" in answer.message) == (400, True)
    for wrong in ("{", "[]", '"text"', '{"name": 3}', '{"name": null}', "null", '{"name": [{}]}'):
        assert ask(engine, "GET", f"{path}?until=1&" + _filters(wrong)).status in {200, 400}
    assert ask(engine, "GET", f"{path}?until=1&" + _filters("{")).status == 400


def test_events_take_filters_that_there_are_not_as_docker_does(engine: EngineProcess) -> None:
    assert ask(engine, "GET", "/events?since=1&until=2&" + _filters({"wings": {"yes": True}})).status == 200
    assert ask(engine, "GET", "/events?until=1&" + _filters("{")).status == 400


def test_times_are_rfc3339_in_utc_and_the_zero_time_is_go_s(engine: EngineProcess) -> None:
    engine.create("timed", "true")
    document = engine.inspect("timed")
    assert RFC3339.fullmatch(document["Created"])
    assert (document["State"]["StartedAt"], document["State"]["FinishedAt"]) == (ZERO, ZERO)
    line = ask(engine, "GET", "/containers/json?all=1&" + _filters({"name": ["timed"]})).json[0]
    assert abs(line["Created"] - time.time()) < 60
    image = ask(engine, "GET", "/images/host/json").json
    assert RFC3339.fullmatch(image["Created"])
    assert isinstance(ask(engine, "GET", "/images/json").json[0]["Created"], int)
    engine.json("POST", "/containers/timed/start", expect=204)
    engine.wait("timed")
    state = engine.inspect("timed")["State"]
    assert RFC3339.fullmatch(state["StartedAt"])
    assert RFC3339.fullmatch(state["FinishedAt"])
    assert state["FinishedAt"] != ZERO


def test_since_and_until_take_seconds_dates_and_durations(engine: EngineProcess) -> None:
    engine.create("moment", "true")
    only = _filters({"container": ["moment"]})
    now = time.time() + 1
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 600))
    for since in (f"{now - 600:.9f}", str(int(now) - 600), f"{date}Z", f"{date}.123456789Z", f"{date}%2B00:00", "10m"):
        body = ask(engine, "GET", f"/events?since={since}&until={now:.6f}&{only}").body
        assert b'"Action":"create"' in body, since
    assert ask(engine, "GET", f"/events?since=1h30m&until=59m&{only}").body == b""
    assert ask(engine, "GET", f"/events?since=yesterday&until=1&{only}").status == 400


def test_lists_are_newest_first_and_the_order_of_binds_is_kept(engine: EngineProcess) -> None:
    binds = ["/usr:/z", "/etc:/a", "/bin:/m"]
    for name in ("order-a", "order-b", "order-c"):
        engine.create(name, "true", host={"Binds": binds})
    wanted = ["order-c", "order-b", "order-a"]
    assert _names(engine, "all=1&" + _filters({"name": ["order-"]})) == wanted
    assert engine.inspect("order-a")["HostConfig"]["Binds"] == binds
    shown = [engine.inspect("order-a")["Mounts"] for _ in range(3)]
    assert shown[0] == shown[1] == shown[2]


def test_a_container_is_found_by_name_id_and_what_is_unique_of_it(engine: EngineProcess) -> None:
    container_id = engine.create("found", "true")
    assert re.fullmatch(r"[0-9a-f]{64}", container_id)
    for reference in ("found", "%2Ffound", container_id, container_id[:12]):
        assert engine.inspect(reference)["Id"] == container_id
    other = engine.create(container_id[:8], "true")
    assert engine.inspect(container_id[:8])["Id"] == other  # a name goes before the beginning of an id
    assert engine.inspect("found")["Name"] == "/found"


def test_the_beginning_of_several_ids_is_refused(engine: EngineProcess) -> None:
    ids = [engine.create(f"many-{number}", "true") for number in range(17)]
    first = next(digit for digit in "0123456789abcdef" if sum(each.startswith(digit) for each in ids) > 1)
    answer = ask(engine, "GET", f"/containers/{first}/json")
    assert answer.status in {400, 404}
    assert "multiple IDs found with provided prefix: " + first in answer.message


def test_images_have_their_ids_with_the_algorithm_everywhere(engine: EngineProcess) -> None:
    engine.create("of-image", "true")
    identity = ask(engine, "GET", "/images/host/json").json["Id"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", identity)
    assert identity in [entry["Id"] for entry in ask(engine, "GET", "/images/json").json]
    assert ask(engine, "GET", "/images/host/history").json[0]["Id"] == identity
    assert engine.inspect("of-image")["Image"] == identity
    short = identity.removeprefix("sha256:")[:12]
    assert ask(engine, "GET", f"/images/{short}/json").json["Id"] == identity


def test_unknown_fields_are_ignored_and_start_needs_no_body(engine: EngineProcess) -> None:
    body = {"Image": "host", "Cmd": ["true"], "Wings": 2, "HostConfig": {"NetworkMode": "none", "Tail": {"a": [1]}}}
    assert ask(engine, "POST", "/containers/create?name=unknowing", body).status == 201
    assert ask(engine, "POST", "/containers/unknowing/start").status == 204
    engine.wait("unknowing")
    assert ask(engine, "POST", "/containers/unknowing/start", {}).status == 204


def test_a_body_that_is_no_json_is_refused(engine: EngineProcess) -> None:
    body = json.dumps({"Image": "host", "Cmd": ["true"]}).encode()
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        answer = ask(engine, "POST", "/containers/create", body, Content_Type=content_type)
        assert answer.status == 400
        assert f"unsupported Content-Type header ({content_type}): must be 'application/json'" in answer.message
    answer = ask(engine, "POST", "/containers/create", body)
    assert (answer.status, answer.message) == (400, "malformed Content-Type header (): mime: no media type")
    for content in (b"", b"{", b"[]", b"\xff\xfe", b"{} {}"):
        assert ask(engine, "POST", "/containers/create", content, Content_Type="application/json").status == 400
    told = ask(engine, "POST", "/containers/create", body, Content_Type="application/json; charset=utf-8")
    assert told.status == 201


def test_a_client_that_leaves_ends_the_work_for_it(engine: EngineProcess) -> None:
    engine.run("long", "sleep", "300")
    until(lambda: ask(engine, "GET", "/info").json["NEventsListener"] == 0)  # those of earlier tests have left
    before = ask(engine, "GET", "/info").json
    paths = ("/events", "/containers/long/logs?follow=1&stdout=1", "/containers/long/stats", "/events?until=9999999999")
    connections = [connect(engine) for _ in range(5) for _ in paths]
    for number, connection in enumerate(connections):
        connection.sendall(request("GET", paths[number % len(paths)]))
        assert receive_head(connection)[0] == 200
    during = ask(engine, "GET", "/info").json
    assert during["NEventsListener"] == before["NEventsListener"] + 10
    for connection in connections:
        connection.close()

    def is_over() -> bool:
        after = ask(engine, "GET", "/info").json
        gone = after["NFd"] <= during["NFd"] - len(connections)
        return bool(after["NEventsListener"] == before["NEventsListener"] and gone)

    until(is_over)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/events"),
        ("GET", "/containers/silent/logs?follow=1&stdout=1"),
        ("POST", "/containers/silent/wait"),
        ("POST", "/containers/silent/wait?condition=removed"),
    ],
)
def test_the_head_of_an_answer_does_not_wait_for_its_first_item(engine: EngineProcess, method: str, path: str) -> None:
    if ask(engine, "GET", "/containers/silent/json").status == 404:
        engine.run("silent", "sleep", "300")
    with connect(engine) as connection:
        connection.sendall(request(method, path))
        status, headers, rest = receive_head(connection)
        assert (status, headers["transfer-encoding"], rest) == (200, "chunked", b"")
