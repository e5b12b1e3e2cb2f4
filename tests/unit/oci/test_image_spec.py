"""Manifests, indexes and image configs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sampan.errors import InvalidArgument
from sampan.oci import image_spec
from sampan.oci.image_spec import Descriptor, ImageConfig, Index, Manifest, RootFs, decode_manifest_or_index

ZERO = "sha256:" + "0" * 64
DESCRIPTOR = {"mediaType": image_spec.OCI_CONFIG, "digest": ZERO, "size": 3}


def _bytes(**fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, **fields}).encode()


def test_a_manifest_is_read_whichever_family_it_is_of() -> None:
    for media_type in (image_spec.OCI_MANIFEST, image_spec.DOCKER_MANIFEST, ""):
        manifest = decode_manifest_or_index(
            _bytes(mediaType=media_type, config=DESCRIPTOR, layers=[DESCRIPTOR], unknown=1), media_type
        )
        assert isinstance(manifest, Manifest)
        assert manifest.config == Descriptor(media_type=image_spec.OCI_CONFIG, digest=ZERO, size=3)


def test_an_index_keeps_the_platforms() -> None:
    platform = {"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "1"}
    index = decode_manifest_or_index(
        _bytes(mediaType=image_spec.DOCKER_INDEX, manifests=[{**DESCRIPTOR, "platform": platform}])
    )
    assert isinstance(index, Index)
    assert index.manifests[0].platform is not None
    assert index.manifests[0].platform.os_version == "1"


@pytest.mark.parametrize(
    ("content", "media_type", "fault"),
    [
        (_bytes(config=DESCRIPTOR, layers=[], manifests=[]), "", "ambiguous"),
        (_bytes(manifests=[], layers=[]), "", "ambiguous"),
        (_bytes(mediaType=image_spec.OCI_INDEX, config=DESCRIPTOR, layers=[]), "", "contradicts"),
        (_bytes(config=DESCRIPTOR, layers=[]), image_spec.DOCKER_INDEX, "contradicts"),
        (_bytes(mediaType=image_spec.OCI_MANIFEST, manifests=[]), "", "contradicts"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "", "schema 1"),
        (b'{"schemaVersion": 1, "config": {}, "layers": []}', "", "schemaVersion"),
        (_bytes(layers=[]), "", "config"),
        (_bytes(config={**DESCRIPTOR, "size": "3"}, layers=[]), "", "size"),
        (b"[]", "", "manifest"),
        (b"{", "", "manifest"),
        (b'{"schemaVersion": 2, "x": "\xff"}', "", "manifest"),
        (b" " * (4 * 1024 * 1024 + 1), "", "larger"),
    ],
)
def test_a_document_that_can_be_misread_is_refused(content: bytes, media_type: str, fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        decode_manifest_or_index(content, media_type)


def test_a_config_as_docker_writes_it_is_read() -> None:
    config = image_spec.decode_config(
        b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["a"]},"history":null,'
        b'"config":{"Cmd":["sh"],"Entrypoint":null,"ExposedPorts":{"80/tcp":{}},"OnBuild":null,'
        b'"Healthcheck":{"Test":["CMD","true"],"StartPeriod":5}},"container_config":{"x":1}}'
    )
    assert config.config is not None
    assert config.config.cmd == ("sh",)
    assert config.config.entrypoint is None
    assert config.config.healthcheck is not None
    assert config.config.healthcheck.start_period == 5


def test_a_field_that_is_null_is_not_there() -> None:
    """As Go reads it, whatever the field is."""
    config = {"User": None, "WorkingDir": None, "Labels": {"a": "b"}, "Healthcheck": {"Test": None, "Retries": 2}}
    document = {"architecture": "amd64", "os": None, "config": config, "rootfs": {"type": "layers", "diff_ids": None}}
    read = image_spec.decode_config(json.dumps(document).encode())
    assert read.config is not None
    assert (read.os, read.config.user, read.config.labels) == ("", "", {"a": "b"})
    assert read.config.healthcheck == image_spec.Healthcheck(retries=2)
    with pytest.raises(InvalidArgument, match="required field"):
        decode_manifest_or_index(_bytes(layers=None, config=DESCRIPTOR))


def test_a_config_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="nested too deeply"):
        image_spec.decode_config(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"rootfs":{}}')


def test_a_written_config_has_what_the_specification_requires() -> None:
    written = json.loads(image_spec.encode(ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=()))))
    assert written == {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}


def test_a_config_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="image config: "):
        image_spec.decode_config(b'{"rootfs": 7}')
