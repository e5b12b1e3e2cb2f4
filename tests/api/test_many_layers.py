"""Images of as many layers as the kernel's overlay takes, and what a build of one more is told."""

from __future__ import annotations

import hashlib
import json

from tests.building import build, context_of
from tests.engine_process import EngineProcess

from sampan.linux.overlay import MOST_LOWERS


def load_deep(engine: EngineProcess) -> None:
    """Load the image `deep`, of as many layers as there can be."""
    layers = {f"{number}.tar": context_of({f"f{number}": ""}) for number in range(MOST_LOWERS)}
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers.values()]
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": digests}}
    manifest = [{"Config": "config.json", "RepoTags": ["deep:latest"], "Layers": list(layers)}]
    files: dict[str, str | bytes] = {**layers, "config.json": json.dumps(config), "manifest.json": json.dumps(manifest)}
    status, content = engine.request("POST", "/images/load", context_of(files))
    assert (status, b"Loaded image: deep" in content) == (200, True), content


def test_a_build_of_more_layers_than_the_kernel_takes_is_told_what_to_do(engine: EngineProcess) -> None:
    load_deep(engine)
    files = {"Dockerfile": "FROM deep\nLABEL a=b\nCOPY Dockerfile /f0\nCOPY Dockerfile /f1\n"}
    error = build(engine, files).error
    assert error["message"] == "max depth exceeded: of 501 layers the kernel takes 500"
    assert error["place"] == "Dockerfile:4"
    assert "--squash" in error["remedy"]


def test_a_step_whose_mount_points_are_one_layer_too_many_is_told_what_to_do(engine: EngineProcess) -> None:
    load_deep(engine)
    error = build(engine, {"Dockerfile": 'FROM deep\nRUN ["/none"]\n'}).error
    assert "too many lower directories" in error["message"]
    assert "--squash" in error["remedy"]
