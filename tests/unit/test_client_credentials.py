"""Credentials as docker keeps them: in config.json, or with a helper."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from sampan.client.credentials import HUB, Login, drop_login, find_login, keep_login, known_registries
from sampan.client.failure import ClientError

SECRET = base64.b64encode(b"user:pa:ss").decode()


def write(folder: Path, config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def decoded(header: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(header))
    return found


@pytest.mark.parametrize("key", ["registry.example", "https://registry.example", "http://registry.example/v1/"])
def test_a_password_is_found_however_its_registry_is_written(tmp_path: Path, key: str) -> None:
    write(tmp_path, {"auths": {"other.example": {"auth": "eDp5"}, key: {"auth": SECRET}}})
    assert find_login("registry.example", str(tmp_path)) == Login("user", "pa:ss")


@pytest.mark.parametrize("domain", ["docker.io", "index.docker.io", ""])
def test_the_hub_has_its_old_name(tmp_path: Path, domain: str) -> None:
    write(tmp_path, {"auths": {HUB: {"auth": SECRET}}})
    assert find_login(domain, str(tmp_path)).username == "user"


def test_nothing_kept_is_anonymous(tmp_path: Path) -> None:
    assert find_login("registry.example", str(tmp_path)) == Login()
    write(tmp_path, {"auths": {"registry.example": {}}})
    assert find_login("registry.example", str(tmp_path)) == Login()


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": 1}', '{"auths": {"registry.example": {"auth": "x"}}}'])
def test_a_broken_file_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ClientError):
        find_login("registry.example", str(tmp_path))


def test_the_header_is_what_daemons_read() -> None:
    assert decoded(Login("user", "pass").header("registry.example")) == {
        "serveraddress": "registry.example",
        "username": "user",
        "password": "pass",
    }
    assert decoded(Login(identity_token="t").header("docker.io")) == {"serveraddress": HUB, "identitytoken": "t"}
    assert decoded(Login().header("registry.example")) == {"serveraddress": "registry.example"}


def test_a_login_is_kept_for_its_owner_alone_and_dropped(tmp_path: Path) -> None:
    write(tmp_path, {"psFormat": "x", "auths": {"other.example": {"auth": SECRET}}})
    path = keep_login("registry.example", Login("user", "pa:ss"), str(tmp_path))
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    kept = json.loads(Path(path).read_text())
    assert kept["auths"]["registry.example"] == {"auth": SECRET}
    assert kept["psFormat"] == "x"
    assert find_login("registry.example", str(tmp_path)) == Login("user", "pa:ss")
    assert drop_login("registry.example", str(tmp_path))
    assert not drop_login("registry.example", str(tmp_path))
    assert find_login("other.example", str(tmp_path)).username == "user"
    assert [one.name for one in tmp_path.iterdir()] == ["config.json"]


HELPER = """#!/usr/bin/python3
import json, sys
store, text = "{store}", sys.stdin.read()
try: kept = json.load(open(store))
except FileNotFoundError: kept = {{}}
if sys.argv[1] == "store": kept[json.loads(text)["ServerURL"]] = json.loads(text)
elif sys.argv[1] == "erase": kept.pop(text, None)
elif sys.argv[1] == "list": print(json.dumps({{server: one["Username"] for server, one in kept.items()}}))
elif text in kept: print(json.dumps(kept[text]))
else:
    print("credentials not found in native keychain")
    sys.exit(1)
json.dump(kept, open(store, "w"))
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper named "test"; the file that it keeps things in."""
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER.format(store=tmp_path / "kept"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "kept"


def test_a_helper_keeps_what_the_file_then_does_not(tmp_path: Path, helper: Path) -> None:
    write(tmp_path, {"credHelpers": {"registry.example": "test"}})
    assert keep_login("registry.example", Login("user", "secret"), str(tmp_path)) == "docker-credential-test"
    assert "secret" not in (tmp_path / "config.json").read_text()
    assert "secret" in helper.read_text()
    assert find_login("registry.example", str(tmp_path)) == Login("user", "secret")
    keep_login("registry.example", Login(identity_token="token"), str(tmp_path))
    assert find_login("registry.example", str(tmp_path)) == Login(identity_token="token")
    assert drop_login("registry.example", str(tmp_path))
    assert find_login("registry.example", str(tmp_path)) == Login()


@pytest.mark.parametrize("address", ["http://registry.example:5000/v2/", "https://registry.example:5000"])
def test_a_login_to_an_address_is_kept_under_its_host(tmp_path: Path, helper: Path, address: str) -> None:
    write(tmp_path, {"credsStore": "test"})
    keep_login(address, Login("user", "secret"), str(tmp_path))
    assert list(json.loads(helper.read_text())) == ["registry.example:5000"]
    assert find_login("registry.example:5000", str(tmp_path)) == Login("user", "secret")
    assert drop_login(address, str(tmp_path))
    assert find_login("registry.example:5000", str(tmp_path)) == Login()


def test_a_helper_for_all_is_asked_for_all(tmp_path: Path, helper: Path) -> None:
    write(tmp_path, {"credsStore": "test"})
    assert helper.parent == tmp_path
    assert find_login("anything.example", str(tmp_path)) == Login()
    keep_login("registry.example", Login("user", "secret"), str(tmp_path))
    write(tmp_path, {"credsStore": "test", "auths": {"other.example": {"auth": SECRET}}})
    assert known_registries(str(tmp_path)) == ["other.example", "registry.example"]


def test_a_helper_that_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"credsStore": "no-such-helper"})
    with pytest.raises(ClientError, match="docker-credential-no-such-helper, which is not installed"):
        find_login("registry.example", str(tmp_path))
    write(tmp_path, {"credsStore": "../../bin/sh"})
    with pytest.raises(ClientError, match="no name of a credential helper"):
        find_login("registry.example", str(tmp_path))


def test_a_helper_that_fails_is_told(tmp_path: Path, helper: Path) -> None:
    (tmp_path / "docker-credential-test").write_text("#!/bin/sh\necho the keyring is locked\nexit 1\n")
    write(tmp_path, {"credsStore": "test"})
    with pytest.raises(ClientError, match="the keyring is locked"):
        find_login("registry.example", str(tmp_path))
    (tmp_path / "docker-credential-test").write_text("#!/bin/sh\necho nonsense\n")
    with pytest.raises(ClientError, match="nothing that can be read"):
        find_login("registry.example", str(tmp_path))
    assert not helper.exists()
