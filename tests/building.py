"""Builds over the API for tests: a context from a table of files, and what the stream said."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.engine_process import EngineProcess, UnixConnection


def need_busybox() -> None:
    """Skip without the static busybox that the image of that name is made of."""
    if shutil.which("busybox") is None:
        pytest.skip("needs busybox: apt-get install busybox-static")


def context_of(files: Mapping[str, str | bytes], *, mtime: int = 1_600_000_000) -> bytes:
    """The archive of a context; a name that ends with a slash is a directory, content "-> x" makes a link."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.mtime = mtime
            data = content.encode() if isinstance(content, str) else content
            if name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            elif data.startswith(b"-> "):
                entry.type, entry.linkname = tarfile.SYMTYPE, data[3:].decode()
                archive.addfile(entry)
            else:
                entry.size = len(data)
                entry.mode = 0o755 if data.startswith(b"#!") else 0o644
                archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


@dataclass(frozen=True, slots=True)
class Told:
    """What a build said: the status of HTTP, and its lines."""

    status: int
    lines: list[dict[str, Any]]

    @property
    def text(self) -> str:
        """The whole stream as a person reads it."""
        return "".join(str(line.get("stream", "")) for line in self.lines)

    @property
    def error(self) -> dict[str, Any]:
        """What went wrong, {} for nothing."""
        last = self.lines[-1] if self.lines else {}
        if "message" in last:
            return last
        found: dict[str, Any] = last.get("errorDetail", {})
        return found

    @property
    def image_id(self) -> str:
        """The image that came of it."""
        assert not self.error, self.error
        ids = [line["aux"]["ID"] for line in self.lines if "aux" in line]
        return str(ids[-1])

    def cached(self) -> list[bool]:
        """For each step that made an image, whether it was found in the cache."""
        blocks = self.text.split("Step ")[1:]
        return [
            "Using cache" in block for block in blocks if "FROM" not in block.split("\n", 1)[0] and " ---> " in block
        ]


def post_build(engine: EngineProcess, archive: bytes, headers: Mapping[str, str] | None = None, **query: Any) -> Told:
    """POST /build; values of the query that are no strings go as JSON, lists as repeated words."""
    words: list[tuple[str, str]] = []
    for name, value in query.items():
        values = value if isinstance(value, list) else [value]
        words += [(name, one if isinstance(one, str) else json.dumps(one)) for one in values]
    connection = UnixConnection(engine.socket)
    try:
        sent = {"Content-Type": "application/x-tar", **(headers or {})}
        connection.request("POST", f"/build?{urlencode(words)}", archive, sent)
        response = connection.getresponse()
        lines = [json.loads(line) for line in response.read().splitlines() if line.strip()]
        return Told(response.status, lines)
    finally:
        connection.close()


def build(engine: EngineProcess, files: Mapping[str, str | bytes], **query: Any) -> Told:
    """Build a context that must succeed unless the caller looks at its error."""
    return post_build(engine, context_of(files), **query)


def run(engine: EngineProcess, image: str, *command: str, **config: Any) -> str:
    """What a container of the image writes to stdout and stderr; it is removed again."""
    container = engine.create("", *command, image=image, **config)
    try:
        engine.json("POST", f"/containers/{container}/start", expect=204)
        engine.wait(container)
        return "\n".join(engine.output(container))
    finally:
        engine.request("DELETE", f"/containers/{container}?force=1&v=1")


def files_of(engine: EngineProcess, image: str) -> dict[str, tarfile.TarInfo]:
    """Everything in the layers of an image, by name, later ones over earlier ones; whiteouts with their names."""
    found: dict[str, tarfile.TarInfo] = {}
    for layer in layers_of(engine, image):
        found |= layer
    return found


def layers_of(engine: EngineProcess, image: str) -> list[dict[str, tarfile.TarInfo]]:
    """What each layer of an image has, lowest first."""
    status, content = engine.request("GET", f"/images/{image}/get")
    assert status == 200, content
    layers = []
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        for name in json.load(manifest)[0]["Layers"]:
            member = archive.extractfile(name)
            assert member is not None
            with tarfile.open(fileobj=io.BytesIO(member.read())) as layer:
                layers.append({entry.name.removeprefix("./"): entry for entry in layer})
    return layers
