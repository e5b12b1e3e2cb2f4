"""How a load tells how far it is; how often is `pace`'s, in tests/unit."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import Any

from tests.engine_process import EngineProcess, UnixConnection


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
