"""What servers answer to ADD and to builds from an address: compressed on the way, cut off, sent elsewhere."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.building import build, run
from tests.engine_process import EngineProcess

TEXT = b"FROM busybox\nLABEL from=far\n" + b"# the same again and again\n" * 100
ANSWERS = {
    "/moved": (302, {"Location": "/script"}, b""),
    "/loop": (302, {"Location": "/loop"}, b""),
    "/secret": (401, {"WWW-Authenticate": "Basic"}, b"no"),
    "/broken": (500, {}, b"oops"),
    "/cut": (200, {"Content-Length": "10000"}, b"begun"),
    "/damaged": (200, {"Content-Encoding": "gzip"}, b"no gzip at all"),
    "/archive.gz": (200, {"Content-Type": "application/gzip"}, gzip.compress(TEXT)),
    "/timeless": (200, {"Last-Modified": "0"}, b"timeless"),
    "/endless": (200, {"Last-Modified": "Mon, 30 Nov 99999 00:00:00 GMT"}, b"endless"),
}


class Handler(BaseHTTPRequestHandler):
    """What is said above; /script is a text, compressed for whoever takes gzip, and /stored one that always is."""

    def do_GET(self) -> None:
        status, fields, content = ANSWERS.get(self.path, (200, {}, TEXT))
        takes_gzip = "gzip" in self.headers.get("Accept-Encoding", "") or self.path == "/stored"
        if self.path in {"/script", "/stored"} and takes_gzip:
            fields, content = {"Content-Encoding": "gzip"}, gzip.compress(content)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The server's address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_address[1]}"
        finally:
            made.shutdown()
            thread.join()


@pytest.mark.usefixtures("busybox")
@pytest.mark.parametrize("name", ["script", "stored", "moved"])
def test_a_file_that_is_compressed_on_the_way_is_added_as_it_is(engine: EngineProcess, server: str, name: str) -> None:
    told = build(engine, {"Dockerfile": f"FROM busybox\nADD {server}/{name} /got\n"}, nocache="1")
    assert run(engine, told.image_id, "cat", "/got") == TEXT.decode().rstrip("\n")


@pytest.mark.usefixtures("busybox")
def test_a_file_that_is_compressed_itself_stays_so(engine: EngineProcess, server: str) -> None:
    told = build(engine, {"Dockerfile": f"FROM busybox\nADD {server}/archive.gz /\nRUN gunzip -t archive.gz\n"})
    assert not told.error


@pytest.mark.usefixtures("busybox")
@pytest.mark.parametrize("name", ["script", "stored"])
def test_a_dockerfile_that_is_compressed_on_the_way_is_built(engine: EngineProcess, server: str, name: str) -> None:
    told = build(engine, {}, remote=f"{server}/{name}")
    assert engine.json("GET", f"/images/{told.image_id}/json")["Config"]["Labels"] == {"from": "far"}


@pytest.mark.usefixtures("busybox")
@pytest.mark.parametrize("name", ["timeless", "endless"])
def test_a_time_that_is_none_counts_as_the_beginning_of_all(engine: EngineProcess, server: str, name: str) -> None:
    told = build(engine, {"Dockerfile": f"FROM busybox\nADD {server}/{name} /got\nRUN stat -c %Y /got\n"}, nocache="1")
    assert "\n0\n" in told.text


@pytest.mark.usefixtures("busybox")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("loop", ": stopped after 10 redirects"),
        ("secret", " with status 401 Unauthorized"),
        ("broken", " with status 500 Internal Server Error"),
        ("cut", ": what comes is cut off, or not compressed as the server says"),
        ("damaged", ": what comes is cut off, or not compressed as the server says"),
    ],
)
def test_a_download_that_fails_says_why(engine: EngineProcess, server: str, name: str, why: str) -> None:
    told = build(engine, {"Dockerfile": f"FROM busybox\nADD {server}/{name} /got\n"})
    assert told.error["message"] == f"ADD failed: failed to GET {server}/{name}{why}"
    told = build(engine, {}, remote=f"{server}/{name}")
    assert (told.status, told.error["message"]) == (500, f"failed to GET {server}/{name}{why}")


@pytest.mark.usefixtures("busybox")
def test_a_server_without_tls_is_told_from_one_with_it(engine: EngineProcess, server: str) -> None:
    secure = server.replace("http://", "https://")
    told = build(engine, {}, remote=f"{secure}/script")
    sentence = told.error["message"].removeprefix(f"failed to GET {secure}/script: ")
    assert sentence
    assert sentence != told.error["message"]
