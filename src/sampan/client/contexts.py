"""Docker's contexts: named endpoints kept in files below ~/.docker/contexts. Read here, never written."""

from __future__ import annotations

import hashlib
import json

from sampan.client.endpoint import Endpoint, environment, parse_endpoint
from sampan.client.failure import DaemonUnreachable


def config_folder() -> str:
    """The folder of Docker's client configuration: DOCKER_CONFIG, or ~/.docker."""
    return environment("DOCKER_CONFIG") or f"{environment('HOME')}/.docker"


def context_endpoint(name: str) -> Endpoint:
    """The endpoint of the context `name`; its files are those that `docker context create` makes.

    Raises DaemonUnreachable: there is no such context, or it names no docker endpoint.
    """
    folder = hashlib.sha256(name.encode()).hexdigest()
    path = f"{config_folder()}/contexts/meta/{folder}/meta.json"
    try:
        with open(path, encoding="utf-8") as file:
            docker = json.load(file)["Endpoints"]["docker"]
    except FileNotFoundError:
        raise DaemonUnreachable(
            f"there is no context {name!r} ({path})", remedy="name one that `docker context ls` lists, or use -H"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DaemonUnreachable(
            f"context {name!r} cannot be read from {path}: {error}",
            remedy=f"make it again: `docker context rm {name}` and `docker context create`, or use -H",
        ) from error
    endpoint = parse_endpoint(docker["Host"])
    if endpoint.scheme == "tcp":
        _add_tls(endpoint, f"{config_folder()}/contexts/tls/{folder}/docker", verify=not docker.get("SkipTLSVerify"))
    return endpoint


def _add_tls(endpoint: Endpoint, folder: str, *, verify: bool) -> None:
    import os

    from sampan.client.tls import TlsFiles

    found = {name: f"{folder}/{name}.pem" for name in ("ca", "cert", "key") if os.path.exists(f"{folder}/{name}.pem")}
    if found or endpoint.tls is not None:
        endpoint.tls = TlsFiles(found.get("ca", ""), found.get("cert", ""), found.get("key", ""), verify=verify)
