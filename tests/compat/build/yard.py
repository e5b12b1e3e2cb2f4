"""An engine with the base images of the corpus, and how its Dockerfiles are built and run there."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.compat.build.corpus_files import Expected, with_dockerfile
from tests.engine_process import EngineProcess, UnixConnection

BASES = [
    *("debian", "alpine", "golang", "python", "node", "nginx", "rust", "maven", "php", "composer", "ruby", "dotnet"),
    *("python-onbuild", "node-onbuild", "golang-onbuild", "heredoc-onbuild"),
]


@dataclass(frozen=True)
class Yard:
    """An engine with the corpus' base images, and the context of its builds."""

    engine: EngineProcess
    context: bytes

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        connection = UnixConnection(self.engine.socket)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/x-tar"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def build(self, name: str, what: Expected | None = None) -> str:
        """Build one file under the name corpus/NAME; what the engine told."""
        wanted = what or Expected()
        query = urlencode(
            {
                "t": f"corpus/{name}",
                "buildargs": json.dumps(wanted.build_args),
                "target": wanted.target,
            }
        )
        status, content = self.post(f"/build?{query}", with_dockerfile(self.context, name))
        lines = [json.loads(line) for line in content.splitlines() if line.strip()]
        told = "".join(line.get("stream", "") for line in lines)
        assert status == 200, content
        assert not any("error" in line for line in lines), told + str(lines[-1])
        return told

    def run(self, name: str) -> tuple[int, list[str]]:
        """Exit code and lines of a container of the image."""
        container = self.engine.create(f"run-{name}", image=f"corpus/{name}")
        try:
            self.engine.json("POST", f"/containers/{container}/start", expect=204)
            code = self.engine.wait(container)
            _, content = self.engine.request("GET", f"/containers/{container}/logs?stdout=1")
        finally:
            self.engine.request("DELETE", f"/containers/{container}?force=1&v=1")
        return code, [line.rstrip() for line in unframed(content).decode().splitlines()]

    def config(self, name: str) -> Any:
        return self.engine.json("GET", f"/images/corpus/{name}/json")["Config"]


def unframed(content: bytes) -> bytes:
    """The bytes of a multiplexed log without their headers."""
    parts = []
    while content:
        (size,) = struct.unpack(">I", content[4:8])
        parts.append(content[8 : 8 + size])
        content = content[8 + size :]
    return b"".join(parts)
