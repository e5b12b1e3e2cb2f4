"""What a build of `Images.build` asks and sends. The command line has its own way, with more to ask and to show."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from typing import IO, Any

from sampan.build.ignore import IgnoreRules, read_ignore_file
from sampan.client.documents import BuildOptions
from sampan.client.json_text import text_of

_REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "github.com/")
_JSON = {"buildargs": "buildargs", "cache_from": "cachefrom", "labels": "labels"}
_PLAIN = {
    "dockerfile": "dockerfile",
    "network_mode": "networkmode",
    "nocache": "nocache",
    "platform": "platform",
    "pull": "pull",
    "shmsize": "shmsize",
    "squash": "squash",
    "tag": "t",
    "target": "target",
}


def is_remote(path: str) -> bool:
    """Whether the daemon is to fetch the context."""
    return path.startswith(_REMOTE)


def build_query(options: BuildOptions) -> dict[str, Any]:
    """The query of POST /build; TypeError for an argument that does not exist."""
    query: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name in _PLAIN:
            query[_PLAIN[name]] = value
        elif name in _JSON:
            query[_JSON[name]] = text_of(dict(value) if isinstance(value, Mapping) else value)
        elif name == "extra_hosts" and isinstance(value, Mapping):
            query["extrahosts"] = [f"{host}:{address}" for host, address in value.items()]
        else:
            raise TypeError(f"build() has no argument {name!r}")
    return query


def pack_dockerfile(target: IO[bytes], text: bytes | Iterable[bytes]) -> None:
    """Write a context that is a Dockerfile alone."""
    content = text if isinstance(text, bytes) else b"".join(text)
    with tarfile.open(fileobj=target, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))


def pack_directory(target: IO[bytes], root: str, dockerfile: str) -> None:
    """Write a directory as an archive, everything root's, without what its ignore file keeps out. Raises OSError."""
    rules = _rules(root, dockerfile).with_kept([dockerfile, ".dockerignore"])
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, root, "", rules)


def _rules(root: str, dockerfile: str) -> IgnoreRules:
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        try:
            with open(os.path.join(root, name), "rb") as file:
                return read_ignore_file(file.read())
        except FileNotFoundError:
            continue
    return IgnoreRules(())


def _add(tar: tarfile.TarFile, root: str, directory: str, rules: IgnoreRules) -> None:
    for name in sorted(os.listdir(os.path.join(root, directory))):
        path = f"{directory}/{name}" if directory else name
        full = os.path.join(root, path)
        excluded = rules.excludes(path)
        if not excluded:
            tar.add(full, path, recursive=False, filter=_roots)
        if os.path.isdir(full) and not os.path.islink(full) and not (excluded and rules.skips(path)):
            _add(tar, root, path, rules)


def _roots(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
