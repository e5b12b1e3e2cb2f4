"""Archives that images are measured with: many small files, one large file, and a tree as an image of some layers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

SMALL_FILES = 10_000
PER_DIRECTORY = 100
BLOCK = 64 << 20


def small_files(path: Path) -> Path:
    """A tree of 10 000 files of 100 to 4 000 bytes in 100 directories."""
    with tarfile.open(path, "w") as tar:
        for number in range(SMALL_FILES):
            if number % PER_DIRECTORY == 0:
                directory = tarfile.TarInfo(f"d{number // PER_DIRECTORY}")
                directory.type, directory.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(directory)
            content = (b"%06d" % number) * (20 + number * 7 % 640)
            file = tarfile.TarInfo(f"d{number // PER_DIRECTORY}/f{number}")
            file.size, file.mtime, file.mode = len(content), 1_700_000_000 + number, 0o644
            tar.addfile(file, io.BytesIO(content))
    return path


def large_layer(path: Path, size: int) -> Path:
    """A tree of one file that no compressor makes smaller."""
    block = os.urandom(BLOCK)
    with path.open("wb") as out:
        file = tarfile.TarInfo("large")
        file.size = size
        out.write(file.tobuf())
        for _ in range(size // BLOCK):
            out.write(block)
        out.write(bytes(1024))
    return path


def layered_image(tree: Path, path: Path, name: str, count: int) -> Path:
    """An archive as `docker save` writes it, of the tree in so many layers of about the same size."""
    layers = [tree] if count == 1 else _split(tree, path.parent, count)
    digests = [_digest(layer) for layer in layers]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": ["true"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": f"layer {n}"} for n in range(count)],
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    paths = [f"{digest}/layer.tar" for digest in digests]
    with tarfile.open(path, "w") as tar:
        for layer, inside in zip(layers, paths, strict=True):
            tar.add(layer, inside)
        _add(tar, config_name, config)
        manifest = [{"Config": config_name, "RepoTags": [name], "Layers": paths}]
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    for layer in layers:
        if layer != tree:
            layer.unlink()
    return path


def _split(tree: Path, directory: Path, count: int) -> list[Path]:
    """The tree's entries in order, in so many archives; a hard link goes where its file went."""
    share = tree.stat().st_size // count + 1
    paths = [directory / f"layer{number}.tar" for number in range(count)]
    outs = [tarfile.open(path, "w", format=tarfile.PAX_FORMAT) for path in paths]  # noqa: SIM115  # closed below
    went: dict[str, int] = {}
    at = 0
    with tarfile.open(tree) as tar:
        for entry in tar:
            number = went.get(entry.linkname, 0) if entry.islnk() else min(at // share, count - 1)
            went[entry.name] = number
            at += entry.size + 512
            outs[number].addfile(entry, tar.extractfile(entry) if entry.isreg() else None)
    for out in outs:
        out.close()
    return paths


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
