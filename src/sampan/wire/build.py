"""JSON in the query and headers of POST /build."""

from __future__ import annotations

import msgspec


class Ulimit(msgspec.Struct, frozen=True, rename="pascal"):
    """One entry of `ulimits`."""

    name: str = ""
    soft: int = 0
    hard: int = 0


class Login(msgspec.Struct, frozen=True):
    """One registry of X-Registry-Config."""

    username: str = ""
    password: str = ""
    auth: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class Output(msgspec.Struct, frozen=True, rename="pascal"):
    """One entry of `outputs`."""

    type: str = ""
    attrs: dict[str, str] = {}
