"""The docker command of Debian, pointed at an engine of a test's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.engine_process import EngineProcess


class DockerCli:
    """The docker command, talking to our engine."""

    def __init__(self, engine: EngineProcess, home: Path) -> None:
        self.engine = engine
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DOCKER_HOST": f"unix://{engine.socket}",
            "DOCKER_CLI_HINTS": "false",
        }

    def __call__(self, *words: str, given: str | None = None, code: int = 0) -> str:
        """Run `docker WORDS`; its standard output. Another exit code than `code` fails."""
        return self.run("docker", *words, given=given, code=code)

    def run(self, *words: str, given: str | None = None, code: int = 0) -> str:
        """Run another of Docker's programs in the same way."""
        done = subprocess.run(
            words,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=110,
            check=False,
        )
        self.errors = done.stderr
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout
