"""Who a user is to registries: docker's config.json and the credential helpers that it names.

Read and written as docker does, so that `docker login` counts for sampan and the other way round. What is found goes to
the daemon with each request (`X-Registry-Auth`) and is kept nowhere else.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import Any

from sampan.client.contexts import config_folder
from sampan.client.failure import ClientError

HUB = "https://index.docker.io/v1/"  # the key under which Docker Hub's credentials are kept, old as it is
_HUB_DOMAINS = frozenset({"", "docker.io", "index.docker.io"})
_IDENTITY = "<token>"  # what helpers call the user of an identity token
_LONGEST_S = 60
_MEND = "mend the file, or move it away and log in again"
_OTHER_HELPER = "mend it, or name another one in credsStore and credHelpers of config.json"


@dataclass(frozen=True, slots=True)
class Login:
    """A name and password, or an identity token; all empty for anonymous."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def is_given(self) -> bool:
        """Whether there is anything to show to a registry."""
        return bool(self.username or self.identity_token)

    def document(self, domain: str) -> dict[str, str]:
        """The AuthConfig of Docker's API for this registry."""
        said = {"serveraddress": server_of(domain)}
        if self.identity_token:
            said["identitytoken"] = self.identity_token
        elif self.username:
            said |= {"username": self.username, "password": self.password}
        return said

    def header(self, domain: str) -> str:
        """The value of X-Registry-Auth for this registry: JSON in base64url."""
        return base64.urlsafe_b64encode(json.dumps(self.document(domain)).encode()).decode()


def server_of(domain: str) -> str:
    """The key under which the credentials of a registry, or of an address there, are kept."""
    name = _normal(domain)
    return HUB if name in _HUB_DOMAINS else name


def find_login(domain: str, folder: str = "") -> Login:
    """What is kept for a registry; anonymous when there is nothing.

    Raises ClientError when config.json is none, or a helper fails otherwise than by not knowing the registry.
    """
    config = _read(folder)
    server = server_of(domain)
    helper = _helper(config, server)
    if helper:
        return _from_helper(helper, server)
    for key, kept in config.get("auths", {}).items():
        if _normal(key) == _normal(server):
            return _from_file(kept)
    return Login()


def known_registries(folder: str = "") -> list[str]:
    """The registries for which something is kept: those of config.json, and those that the helper for all lists."""
    config = _read(folder)
    found = [*config.get("auths", {}), *config.get("credHelpers", {})]
    if helper := str(config.get("credsStore", "")):
        try:
            found += json.loads(_run(helper, "list", ""))
        except ValueError as error:
            raise ClientError(f"{_program(helper)} said nothing that can be read", remedy=_OTHER_HELPER) from error
    return list(dict.fromkeys(found))


def keep_login(domain: str, login: Login, folder: str = "") -> str:
    """Keep credentials; returns where they are now: the helper's program when one is named, else config.json's path."""
    config = _read(folder)
    server = server_of(domain)
    helper = _helper(config, server)
    if helper:
        secret = login.identity_token or login.password
        user = _IDENTITY if login.identity_token else login.username
        _run(helper, "store", json.dumps({"ServerURL": server, "Username": user, "Secret": secret}))
        kept: dict[str, str] = {}
    else:
        kept = {"auth": base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}
        if login.identity_token:
            kept["identitytoken"] = login.identity_token
    config.setdefault("auths", {})[server] = kept
    path = _write(config, folder)
    return _program(helper) if helper else path


def drop_login(domain: str, folder: str = "") -> bool:
    """Forget what is kept for a registry; whether there was anything."""
    config = _read(folder)
    server = server_of(domain)
    helper = _helper(config, server)
    if helper:
        _run(helper, "erase", server, missing_is_fine=True)
    keys = [key for key in config.get("auths", {}) if _normal(key) == _normal(server)]
    for key in keys:
        del config["auths"][key]
    if keys:
        _write(config, folder)
    return bool(keys or helper)


def _path(folder: str) -> str:
    return os.path.join(folder or config_folder(), "config.json")


def _read(folder: str) -> dict[str, Any]:
    try:
        with open(_path(folder), encoding="utf-8") as file:
            config = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ClientError(f"{_path(folder)} cannot be read: {error}", remedy=_MEND) from error
    if not isinstance(config, dict) or not isinstance(config.get("auths", {}), dict):
        raise ClientError(f"{_path(folder)} is no configuration of docker", remedy=_MEND)
    return config


def _write(config: dict[str, Any], folder: str) -> str:
    """Replace config.json whole; it is its owner's alone."""
    path = os.path.realpath(_path(folder))
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    fd, new = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".config.json-")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(config, file, indent="\t")
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise
    return path


def _helper(config: dict[str, Any], server: str) -> str:
    """The helper for a registry: one of its own, or the one for all."""
    for key, helper in config.get("credHelpers", {}).items():
        if _normal(key) == _normal(server):
            return str(helper)
    return str(config.get("credsStore", ""))


def _normal(server: str) -> str:
    """A registry's name without scheme and path, as docker compares them."""
    return server.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _from_file(kept: dict[str, str]) -> Login:
    token = kept.get("identitytoken", "")
    username, password = kept.get("username", ""), kept.get("password", "")
    if kept.get("auth"):
        try:
            username, _, password = base64.b64decode(kept["auth"]).decode().partition(":")
        except ValueError as error:
            raise ClientError(
                f"config.json has an entry that cannot be read: {error}", remedy="log in again with `sampan login`"
            ) from error
    return Login(username, password.rstrip("\0"), token)


def _from_helper(helper: str, server: str) -> Login:
    said = _run(helper, "get", server, missing_is_fine=True)
    if not said:
        return Login()
    try:
        found = json.loads(said)
        username, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise ClientError(f"{_program(helper)} said nothing that can be read", remedy=_OTHER_HELPER) from error
    return Login(identity_token=secret) if username == _IDENTITY else Login(username, secret)


def _program(helper: str) -> str:
    return f"docker-credential-{helper}"


def _run(helper: str, verb: str, text: str, *, missing_is_fine: bool = False) -> str:
    """Run a helper (docker-credential-helpers, its protocol over standard input and output)."""
    program = _program(helper)
    if os.sep in helper:
        raise ClientError(f"{helper!r} is no name of a credential helper", remedy=_OTHER_HELPER)
    try:
        done = subprocess.run(
            [program, verb], input=text, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except FileNotFoundError:
        raise ClientError(
            f"config.json names the credential helper {program}, which is not installed",
            remedy="install it, or take credsStore and credHelpers out of config.json",
        ) from None
    except subprocess.TimeoutExpired:
        raise ClientError(f"{program} does not answer", remedy=_OTHER_HELPER) from None
    if done.returncode:
        said = (done.stdout or done.stderr).strip()
        if missing_is_fine and "not found" in said:
            return ""
        raise ClientError(f"{program} {verb} fails: {said}", remedy=_OTHER_HELPER)
    return done.stdout
