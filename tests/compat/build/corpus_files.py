"""The corpus: Dockerfiles in the shapes of well-known images, each with what its image must be, read from its end.

Lines of a file that begin with `#> ` say: `arg NAME=VALUE` and `target NAME` for the build; `prints TEXT` for a line of
what the container writes, `exits CODE` for how it ends, `config KEY JSON` for what the image's configuration holds.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan.build.ignore import read_ignore_file

CORPUS = Path(__file__).parent / "corpus"
NAMES = sorted(path.stem for path in CORPUS.glob("*.Dockerfile"))
BUSYBOX = shutil.which("busybox") or ""


@dataclass
class Expected:
    """What one file asks for and promises."""

    build_args: dict[str, str] = field(default_factory=dict)
    target: str = ""
    prints: list[str] = field(default_factory=list)
    code: int = 0
    config: dict[str, Any] = field(default_factory=dict)


def expected(name: str) -> Expected:
    found = Expected()
    for line in (CORPUS / f"{name}.Dockerfile").read_text().splitlines():
        if not line.startswith("#> "):
            continue
        kind, _, text = line[3:].partition(" ")
        key, _, value = text.partition("=" if kind == "arg" else " ")
        match kind:
            case "arg":
                found.build_args[key] = value
            case "target":
                found.target = text
            case "prints":
                found.prints.append(text)
            case "exits":
                found.code = int(text)
            case "config":
                found.config[key] = json.loads(value)
            case _:
                raise ValueError(line)
    return found


def context() -> bytes:
    """The context of all builds, without what its .dockerignore keeps out; it has no end, for `with_dockerfile`."""
    buffer = io.BytesIO()
    rules = read_ignore_file((CORPUS / "context" / ".dockerignore").read_bytes())
    tar = tarfile.open(fileobj=buffer, mode="w")  # noqa: SIM115 (closing it would write the end)
    tar.add(CORPUS / "context", ".", filter=lambda entry: None if rules.excludes(entry.name[2:]) else _as_kept(entry))
    archive = _archive()
    entry = tarfile.TarInfo("archive.tar.gz")
    entry.size = len(archive)
    tar.addfile(entry, io.BytesIO(archive))
    return buffer.getvalue()


def _as_kept(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """With the mode that the repository knows, whatever the umask of who checked it out."""
    if not entry.issym():
        entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def with_dockerfile(files: bytes, name: str) -> bytes:
    """The context with one Dockerfile of the corpus or of its bases."""
    buffer = io.BytesIO()
    path = CORPUS / f"{name}.Dockerfile"
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(path if path.exists() else CORPUS / "bases" / path.name, "Dockerfile")
    return files + buffer.getvalue()


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("index.html", "style.css"):
            tar.add(CORPUS / "context" / "site" / name, name)
    return buffer.getvalue()


def busybox_root() -> bytes:
    """A root file system of busybox alone, its programs as hard links, as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("sbin", 0o755), ("usr", 0o755), ("usr/bin", 0o755), ("etc", 0o755)):
            _directory(tar, name, mode)
        for name, mode in (("tmp", 0o1777), ("root", 0o700), ("home", 0o755), ("lib", 0o755), ("usr/sbin", 0o755)):
            _directory(tar, name, mode)
        tar.add(BUSYBOX, "bin/busybox", filter=_plain)
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.LNKTYPE, "bin/busybox"
            tar.addfile(entry)
        for name in ("adduser", "addgroup"):
            tar.add(CORPUS / "context" / "tools" / "adduser", f"usr/sbin/{name}", filter=_plain)
        _file(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        _file(tar, "etc/group", "root:x:0:\nnogroup:x:65534:\n")
        _file(tar, "etc/shadow", "root:*:::::::\n")
    return buffer.getvalue()


APPLETS = (
    "sh ls cat echo mkdir rm rmdir cp mv ln chmod chown stat id pwd test [ true false grep sed sort wc tr cut head tail"
    " find readlink touch env printf su mknod mkfifo uname dirname basename sleep tar xargs expr awk"
    " seq tee date which install kill mount umount hostname ip"
).split()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry


def _directory(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _file(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    tar.addfile(entry, io.BytesIO(text.encode()))
