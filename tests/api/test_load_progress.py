"""How a load tells how far it is, and what it leaves; how often it tells is `pace`'s, in tests/unit."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

from tests.engine_process import EngineProcess, UnixConnection
from tests.unit.image.conftest import make_archive
from tests.waiting import until

from sampan.image.layers import LayerStore


def test_a_load_tells_the_end_of_a_layer(engine: EngineProcess) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo("large")
        info.size = 64 << 20
        tar.addfile(info, io.BytesIO(os.urandom(1 << 20) * 64))
    _post(engine, "/images/create?fromSrc=-&repo=large", data.getvalue())
    _, archive = engine.request("GET", "/images/get?names=large")
    engine.json("DELETE", "/images/large")

    told = [message for message in _post(engine, "/images/load", archive) if message.get("progressDetail")]

    counts = [message["progressDetail"]["current"] for message in told]
    total = told[0]["progressDetail"]["total"]
    assert counts == sorted(counts)
    assert counts[-1] == total > 64 << 20


def test_a_load_of_what_is_no_archive_says_so_and_what_to_do(engine: EngineProcess) -> None:
    (told,) = _post(engine, "/images/load", b"root:x:0:0:root:/root:/bin/bash\n" * 32)

    assert "no tar archive" in told["errorDetail"]["message"]
    assert "take it from its source again" in told["errorDetail"]["remedy"]


def _post(engine: EngineProcess, path: str, content: bytes) -> list[dict[str, Any]]:
    connection = UnixConnection(engine.socket)
    try:
        connection.request("POST", path, content, {"Content-Type": "application/x-tar"})
        return [json.loads(line) for line in connection.getresponse().read().splitlines()]
    finally:
        connection.close()


def test_a_load_tells_which_image_loses_its_name(engine: EngineProcess) -> None:
    def archive(author: str) -> bytes:
        config = {"os": "linux", "architecture": "amd64", "author": author, "rootfs": {"diff_ids": []}}
        manifest = [{"Config": "c.json", "RepoTags": ["moved:1"], "Layers": []}]
        return make_archive(("c.json", json.dumps(config).encode()), ("manifest.json", json.dumps(manifest).encode()))

    for _ in range(2):
        (told,) = _post(engine, "/images/load?quiet=1", archive("one"))
        assert told["stream"] == "Loaded image: moved:1\n"
    before = engine.json("GET", "/images/moved:1/json")["Id"]
    first, second = _post(engine, "/images/load?quiet=1", archive("two"))
    moved = f"The image moved:1 already exists, renaming the old one with ID {before} to empty string\n"
    assert (first["stream"], second["stream"]) == (moved, "Loaded image: moved:1\n")
    for name in ("moved:1", before):
        engine.json("DELETE", f"/images/{name}")


def test_a_step_of_an_image_that_says_no_time_is_of_the_beginning(engine: EngineProcess) -> None:
    config = {"os": "linux", "rootfs": {"diff_ids": []}, "history": [{"created": "yesterday", "empty_layer": True}]}
    manifest = b'[{"Config": "c.json", "RepoTags": ["timeless:1"]}]'
    _post(engine, "/images/load", make_archive(("c.json", json.dumps(config).encode()), ("manifest.json", manifest)))
    (step,) = engine.json("GET", "/images/timeless:1/history")
    assert step["Created"] == 0
    engine.json("DELETE", "/images/timeless:1")


def test_a_load_that_fails_leaves_no_layer_and_neither_does_one_that_no_image_has(engine: EngineProcess) -> None:
    layers = Path(engine.data_root) / "layers"
    before = set(os.listdir(layers))
    layer = make_archive(("orphan", os.urandom(8)))
    (told,) = _post(engine, "/images/load?quiet=1", make_archive(("a/layer.tar", layer), ("manifest.json", b"[]")))
    assert told["errorDetail"]["message"] == "the archive lists no image"
    until(lambda: set(os.listdir(layers)) == before)
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}).encode()
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["empty:1"], "Layers": []}]).encode()
    archive = make_archive(("a/layer.tar", layer), ("c.json", config), ("manifest.json", manifest))
    (told,) = _post(engine, "/images/load?quiet=1", archive)
    assert told["stream"] == "Loaded image: empty:1\n"
    until(lambda: set(os.listdir(layers)) == before)
    engine.json("DELETE", "/images/empty:1")


def test_a_prune_removes_layers_of_an_image_that_never_came(engine: EngineProcess) -> None:
    """Those that a pull had received when it failed, which are kept for the next try."""
    layers = LayerStore(f"{engine.data_root}/layers", durable=False)
    received = layers.add_chunks([make_archive(("half", b"12345"))])
    assert engine.json("POST", "/images/prune")["SpaceReclaimed"] == 5
    assert not layers.has(received.diff_id)
