"""Debian's docker-registry on a free port of loopback, for as long as a block runs."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.waiting import until

CONFIG = """version: 0.1
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"{http}}}
log: {{level: error}}
{more}
"""


@contextmanager
def registry_process(directory: Path, *, http: str = "", more: str = "") -> Iterator[str]:
    """A registry's domain ("127.0.0.1:PORT"); `http` and `more` go into its settings. Skips where there is none."""
    if shutil.which("docker-registry") is None:
        pytest.skip("needs docker-registry: apt-get install docker-registry")
    port = free_port()
    config = directory / "registry.yml"
    config.write_text(CONFIG.format(root=directory / "registry", port=port, http=http, more=more))
    with (directory / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)

    def is_up() -> bool:
        assert process.poll() is None, (directory / "registry.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(is_up)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
