"""`import URL`: an image of an archive that the engine fetches itself."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.unit.image.conftest import make_archive

ARCHIVE = make_archive(("etc/motd", b"from afar\n"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path:
            case "/root.tar":
                self.send_response(200)
                self.send_header("Content-Length", str(len(ARCHIVE)))
                self.end_headers()
                self.wfile.write(ARCHIVE)
            case "/deflated.tar":
                taken = "deflate" in self.headers.get("Accept-Encoding", "")
                content = zlib.compress(ARCHIVE) if taken else ARCHIVE
                self.send_response(200)
                if taken:
                    self.send_header("Content-Encoding", "deflate")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            case "/cut.tar":
                self.send_response(200)
                self.send_header("Content-Length", str(len(ARCHIVE)))
                self.end_headers()
                self.wfile.write(ARCHIVE[:700])
            case _:
                self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


def test_an_archive_is_fetched_and_becomes_an_image(engine: EngineProcess, server: str) -> None:
    status, body = engine.request("POST", f"/images/create?fromSrc={server}/root.tar&repo=far&tag=1")
    lines = [json.loads(line) for line in body.splitlines()]
    assert status == 200
    assert lines[0] == {"status": f"Downloading from {server}/root.tar"}
    assert lines[-1]["status"] == engine.json("GET", "/images/far:1/json")["Id"]


def test_an_archive_is_asked_for_as_it_is(engine: EngineProcess, server: str) -> None:
    status, body = engine.request("POST", f"/images/create?fromSrc={server}/deflated.tar&repo=far&tag=2")
    assert (status, b"error" in body) == (200, False)


def test_what_is_not_there_is_refused(engine: EngineProcess, server: str) -> None:
    status, body = engine.request("POST", f"/images/create?fromSrc={server}/nothing&repo=no")
    assert (status, b"status 404" in body) == (404, True)
    status, body = engine.request("POST", "/images/create?fromSrc=http://127.0.0.1:1/x&repo=no")
    assert (status, b"Connection refused" in body) == (503, True)
    status, body = engine.request("POST", "/images/create?fromSrc=ftp://127.0.0.1/x&repo=no")
    assert (status, b"only http" in body) == (400, True)


def test_what_breaks_off_leaves_nothing(engine: EngineProcess, server: str) -> None:
    layers = set((Path(engine.data_root) / "layers").iterdir())
    _, body = engine.request("POST", f"/images/create?fromSrc={server}/cut.tar&repo=cut")
    assert "broke off" in json.loads(body.splitlines()[-1])["error"]
    engine.json("GET", "/images/cut/json", expect=404)
    assert set((Path(engine.data_root) / "layers").iterdir()) == layers


def test_a_plugin_of_any_name_is_not_there(engine: EngineProcess) -> None:
    assert engine.json("GET", "/plugins/some/name/json", expect=404)["message"] == 'plugin "some/name" not found'
