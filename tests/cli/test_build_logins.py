"""What `sampan build` tells the daemon of who the user is to registries."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import IMAGE

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon


@pytest.fixture
def context(tmp_path: Path) -> str:
    """A context with a Dockerfile."""
    root = tmp_path / "context"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM base\n")
    return str(root)


def told(daemon: FakeDaemon) -> Any:
    """The logins that came with the last build."""
    header = daemon.asked("POST", "/build")[-1].headers.get("x-registry-config", "")
    return json.loads(base64.urlsafe_b64decode(header)) if header else {}


def test_a_build_brings_the_logins_of_all_registries(builds: FakeDaemon, sampan: Command, context: str) -> None:
    kept = {"auth": base64.b64encode(b"me:secret").decode()}
    (sampan.folder / "config.json").write_text(json.dumps({"auths": {"registry.example": kept, "empty.example": {}}}))
    assert sampan("build", "-q", context).returncode == 0
    assert told(builds) == {
        "registry.example": {"serveraddress": "registry.example", "username": "me", "password": "secret"}
    }


@pytest.mark.parametrize(
    "text", ['{"credsStore": "never-installed"}', '{"credHelpers": {"registry.example": "never-installed"}}']
)
def test_a_helper_that_is_not_installed_does_not_keep_a_build_from_what_is_here(
    builds: FakeDaemon, sampan: Command, context: str, text: str
) -> None:
    (sampan.folder / "config.json").write_text(text)
    done = sampan("build", "-q", context)
    assert (done.returncode, done.stdout.decode()) == (0, f"{IMAGE}\n")
    assert b"docker-credential-never-installed, which is not installed" in done.stderr
    assert told(builds) == {}


@pytest.mark.parametrize("text", ["{no json", "[]", '{"auths": 1}'])
def test_settings_that_cannot_be_read_do_not_keep_a_build_from_what_is_here(
    builds: FakeDaemon, sampan: Command, context: str, text: str
) -> None:
    (sampan.folder / "config.json").write_text(text)
    done = sampan("build", "-q", context)
    assert (done.returncode, done.stdout.decode()) == (0, f"{IMAGE}\n")
    assert told(builds) == {}
