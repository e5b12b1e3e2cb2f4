"""POST /build as bytes: how its stream is cut, and queries that say what cannot be."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from tests.building import build, context_of
from tests.engine_process import EngineProcess, UnixConnection
from tests.raw_http import connect, receive_head, request

pytestmark = pytest.mark.usefixtures("busybox")


def chunks_of_build(engine: EngineProcess, query: str, dockerfile: str) -> list[bytes]:
    """The pieces of the chunked answer to a build, as they were cut."""
    with connect(engine) as connection:
        archive = context_of({"Dockerfile": dockerfile})
        connection.sendall(request("POST", f"/v1.45/build?{query}", archive, Connection="close"))
        status, headers, content = receive_head(connection)
        while piece := connection.recv(1 << 20):
            content += piece
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    return list(_chunks(io.BytesIO(content)))


def _chunks(content: io.BytesIO) -> Iterator[bytes]:
    while size := int(content.readline(), 16):
        yield content.read(size)
        assert content.read(2) == b"\r\n"


@pytest.mark.parametrize("query", ["nocache=1", "", "q=1&nocache=1", "progress=events"])
def test_each_chunk_of_the_stream_is_one_message(engine: EngineProcess, query: str) -> None:
    fails = "RUN echo one; echo two >&2; false\n" if "q=1" in query else "RUN echo one; echo two >&2\n"
    chunks = chunks_of_build(
        engine, f"forcerm=1&t=chunks&{query}", f"FROM busybox\nENV A=1\nENV B=2\n{fails}LABEL c=d\n"
    )
    assert len(chunks) > 5
    for chunk in chunks:
        assert isinstance(json.loads(chunk), dict)
        assert chunk.endswith(b"}\r\n")


def test_a_name_with_a_digest_is_refused(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\n"}, t=f"named@sha256:{'a' * 64}")
    assert (told.status, told.error["message"]) == (400, "build tag cannot contain a digest")
    assert told.error["remedy"]


def test_a_name_that_is_given_twice_is_told_once(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nLABEL a=twice\n"}, t=["twice", "once:x", "twice:latest"])
    assert told.text.endswith("Successfully tagged twice:latest\nSuccessfully tagged once:x\n")
    assert told.text.count("Successfully tagged") == 2


def test_a_dockerfile_whose_variables_grow_without_end_is_ended(engine: EngineProcess) -> None:
    grows = "".join(f"ENV B{number}=$A\n" for number in range(40))
    told = build(engine, {"Dockerfile": f"FROM busybox\nENV A={'a' * 1_000_000}\n{grows}"})
    assert "no image may have more than 16777216" in told.error["message"]
    assert told.text.count("Step ") < 20


def test_a_label_that_is_null_is_empty(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\n"}, labels={"nothing": None, "some": "thing"})
    labels = engine.json("GET", f"/images/{told.image_id}/json")["Config"]["Labels"]
    assert labels == {"nothing": "", "some": "thing"}


@pytest.mark.parametrize("name", ["\0", "Docker\0file", "x" * 300, "a/" * 2100 + "a"])
def test_a_dockerfile_whose_name_no_file_can_have_is_not_found(engine: EngineProcess, name: str) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\n"}, dockerfile=name)
    assert (told.status, told.error["message"]) == (400, f"Cannot locate specified Dockerfile: {name}")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (f"COPY {'x' * 300} /", "file does not exist"),
        (f"COPY {'x' * 300}/* /", "no source files were specified"),
        (f"COPY --from=busybox {'x/' * 3000} /", "file does not exist"),
        ('COPY ["a\\u0000b", "/"]', "file does not exist"),
        (f"RUN --mount=type=bind,source={'x' * 300},target=/x true", "file does not exist"),
        (f"WORKDIR /{'x' * 300}", "file name too long"),
        ("WORKDIR /bin/busybox/below", "is not a directory"),
    ],
    ids=["copy", "wildcard", "from", "null", "mount", "workdir", "file"],
)
def test_a_path_that_no_file_can_have_is_no_fault_of_ours(engine: EngineProcess, step: str, said: str) -> None:
    error = build(engine, {"Dockerfile": f"FROM busybox\n{step}\n"}).error
    assert said in error["message"]
    assert error["place"] == "Dockerfile:2"
    assert error["remedy"]


def test_a_version_of_the_builder_that_there_is_not_is_refused(engine: EngineProcess) -> None:
    assert build(engine, {"Dockerfile": "FROM busybox\n"}, version="1").status == 200
    told = build(engine, {"Dockerfile": "FROM busybox\n"}, version="3")
    assert (told.status, told.error["message"]) == (400, 'invalid version "3"')


def test_buildkit_s_version_is_carried_out_unless_the_files_are_in_a_session(engine: EngineProcess) -> None:
    """As clients ask that choose it by themselves, whatever the daemon says (docker-java, act)."""
    assert build(engine, {"Dockerfile": "FROM busybox\n"}, version="2").status == 200
    told = build(engine, {"Dockerfile": "FROM busybox\n"}, version="2", session="s", remote="client-session")
    assert told.status == 501
    assert "asked for on /grpc" in told.error["message"]


def test_isolation_is_read_without_its_case(engine: EngineProcess) -> None:
    assert build(engine, {"Dockerfile": "FROM busybox\n"}, isolation="Default").status == 200
    told = build(engine, {"Dockerfile": "FROM busybox\n"}, isolation="hyperv")
    assert (told.status, told.error["message"]) == (400, 'unsupported isolation: "hyperv"')


def test_what_a_dockerfile_takes_of_a_context_is_told_before_it_is_sent(engine: EngineProcess) -> None:
    build(engine, {"Dockerfile": "FROM busybox\nONBUILD COPY . /\n"}, t="triggers:1")

    def taken(dockerfile: str, **query: str) -> object:
        connection = UnixConnection(engine.socket)
        connection.request("POST", f"/v1.45/build/taken?{urlencode(query)}", dockerfile.encode())
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer.get("Paths", answer)

    assert taken("FROM busybox\nCOPY a b/ /to/\n") == ["a", "b"]
    assert taken("FROM busybox AS x\nCOPY . /\nFROM busybox\nCOPY a /\n") == ["a"]
    assert taken("FROM busybox AS x\nCOPY . /\nFROM busybox\nCOPY a /\n", target="x") is None
    assert taken("FROM busybox\n") == []
    assert taken("ARG B=busybox\nFROM $B\nCOPY a /\n") == ["a"]
    assert taken("ARG B\nFROM $B\nCOPY a /\n", buildargs='{"B":"triggers:1"}') is None
    assert taken("FROM triggers:1\nCOPY a /\n") is None
    assert taken("FROM other\nCOPY a /\n", buildcontexts='{"other":"triggers:1"}') is None
    assert taken("FROM unknown.test/image\nCOPY a /\n") is None
    assert taken("FROM busybox\nCOPY a /\n", pull="1") is None
    assert taken("FROM busybox\nCOPY a /\n", platform="linux/s390x") is None
    assert "unknown instruction" in str(taken("FROM busybox\nCOPPY a /\n"))
    for size in (100_000, 2_000_000):
        assert taken(f"FROM busybox\n{'#' * size}\nCOPY a /\n") is None
