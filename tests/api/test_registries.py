"""What a registry says: names that fit a term, and what is behind a name; the registry is on loopback."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.engine_process import EngineProcess

CONFIG = json.dumps({"architecture": "arm64", "variant": "v8", "os": "linux", "rootfs": {"type": "layers"}}).encode()
DIGEST = f"sha256:{hashlib.sha256(CONFIG).hexdigest()}"
TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": len(CONFIG)},
        "layers": [],
    }
).encode()
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [
            {"mediaType": TYPE, "digest": DIGEST, "size": 1, "platform": {"architecture": name, "os": "linux"}}
            for name in ("amd64", "riscv64")
        ],
    }
).encode()
RESULTS: list[dict[str, Any]] = [
    {"name": "app", "description": "An app", "star_count": 7, "is_official": True, "is_automated": False},
    {"name": "some/app", "description": None, "star_count": 1, "is_official": False, "is_automated": False},
]


class Handler(BaseHTTPRequestHandler):
    """A registry that is whole enough; `searches` says whether it has the old search.

    One that `compresses` does so on the way, for whoever takes it, as proxies in front of registries do.
    """

    searches = False
    compresses = False

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        pages = {
            "/v2/app/manifests/latest": (TYPE, MANIFEST),
            "/v2/app/manifests/many": (INDEX_TYPE, INDEX),
            f"/v2/app/blobs/{DIGEST}": ("application/octet-stream", CONFIG),
        }
        if url.path == "/v1/search" and self.searches:
            found = [one for one in RESULTS if query["q"][0] in str(one["name"])][: int(query["n"][0])]
            pages["/v1/search"] = ("application/json", json.dumps({"results": found}).encode())
        if url.path == "/v2/_catalog":
            names = ["a/tool", "app"] if "last" not in query else ["some/app"]
            pages["/v2/_catalog"] = ("application/json", json.dumps({"repositories": names}).encode())
        kind, content = pages.get(url.path, ("text/plain", b"404 page not found"))
        self.send_response(200 if url.path in pages else 404)
        if url.path == "/v2/_catalog" and "last" not in query:
            self.send_header("Link", '</v2/_catalog?last=app&n=1000>; rel="next"')
        self.send_header("Content-Type", kind)
        if self.compresses and "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
            content = gzip.compress(content)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serving(handler: type[Handler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=[False, True], ids=["plain", "compressing"])
def registry(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from serving(type("Answering", (Handler,), {"compresses": request.param}))


@pytest.fixture
def searching_registry() -> Iterator[str]:
    yield from serving(type("Searching", (Handler,), {"searches": True}))


def test_a_name_is_looked_up_with_its_platforms(engine: EngineProcess, registry: str) -> None:
    found = engine.json("GET", f"/distribution/{registry}/app/json")
    digest = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
    assert found["Descriptor"] == {"mediaType": TYPE, "digest": digest, "size": len(MANIFEST)}
    assert found["Platforms"] == [{"architecture": "arm64", "os": "linux", "variant": "v8"}]
    found = engine.json("GET", f"/distribution/{registry}/app:many/json")
    assert [one["architecture"] for one in found["Platforms"]] == ["amd64", "riscv64"]
    engine.json("GET", f"/distribution/{registry}/app:none/json", expect=404)
    engine.json("GET", "/distribution/UPPER/json", expect=400)


def test_a_registry_s_own_search_is_asked(engine: EngineProcess, searching_registry: str) -> None:
    path = f"/images/search?term={searching_registry}/app"
    found = engine.json("GET", path)
    assert found == [{**one, "description": one["description"] or ""} for one in RESULTS]
    assert len(engine.json("GET", f"{path}&limit=1")) == 1
    official = engine.json("GET", path + '&filters={"is-official":["true"]}')
    assert [one["name"] for one in official] == ["app"]
    assert engine.json("GET", path + '&filters={"stars":["8"]}') == []
    for wrong in ("&limit=0", "&limit=101", '&filters={"is-official":["perhaps"]}', '&filters={"stars":["many"]}'):
        engine.json("GET", path + wrong, expect=400)
    engine.json("GET", "/images/search?term=http://x/app", expect=400)


def test_a_registry_without_a_search_is_searched_by_its_catalog(engine: EngineProcess, registry: str) -> None:
    found = engine.json("GET", f"/images/search?term={registry}/app")
    assert [one["name"] for one in found] == [f"{registry}/app", f"{registry}/some/app"]
    assert len(engine.json("GET", f"/images/search?term={registry}/app&limit=1")) == 1
