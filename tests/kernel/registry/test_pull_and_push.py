"""Images go to a registry and come back: the same, once, by platform; and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.kernel.registry.conftest import (
    BIG,
    OTHER,
    SMALL,
    Machine,
    Proxy,
    blobs_of,
    command,
    digest,
    make,
    once,
    pull,
    push,
)
from tests.unit.image.conftest import make_archive

from sampan.errors import InvalidArgument, NotFound, Unavailable
from sampan.image.pull_layer import LayerProgress
from sampan.image.push import PushProgress
from sampan.image.records import Base
from sampan.image.registry import Registry
from sampan.oci.image_spec import DOCKER_MANIFEST, OCI_INDEX, ImageConfig, RootFs, encode
from sampan.oci.reference import parse_reference

# round trips


async def test_what_is_pushed_is_pulled_elsewhere_the_same(registry: str, here: Machine, there: Machine) -> None:
    image = make(here, f"{registry}/app:1")
    pushed = await push(here, f"{registry}/app:1")
    pulled = await pull(there, f"{registry}/app:1")
    assert pulled.image.id == image.id
    assert (pulled.digest, pulled.is_new) == (pushed.digest, True)
    assert blobs_of(there, pulled.image) == [BIG, SMALL]
    names = [f"{registry}/app:1", f"{registry}/app@{pushed.digest}"]
    for machine in (here, there):
        assert [one.familiar for one in machine.images.names.of(image.id)] == names
    assert os.listdir(os.path.join(there.content.path, "partial")) == []


async def test_a_second_pull_finds_everything_here(registry: str, here: Machine, there: Machine) -> None:
    make(here, f"{registry}/app:1")
    await push(here, f"{registry}/app:1")
    await pull(there, f"{registry}/app:1")
    seen: list[LayerProgress] = []
    again = await pull(there, f"{registry}/app:1", progress=seen.append)
    assert not again.is_new
    assert seen == []  # as in Docker: nothing is told of the layers of an image that is here


async def test_an_image_is_pulled_by_digest(registry: str, here: Machine, there: Machine) -> None:
    image = make(here, f"{registry}/app:1")
    pushed = await push(here, f"{registry}/app:1")
    pulled = await pull(there, f"{registry}/app@{pushed.digest}")
    assert pulled.image.id == image.id
    assert [one.familiar for one in there.images.names.of(image.id)] == [f"{registry}/app@{pushed.digest}"]


async def test_a_pulled_image_is_pushed_elsewhere_under_the_same_digest(
    registry: str, here: Machine, there: Machine, tmp_path: Path
) -> None:
    """Also when others wrote it: an OCI manifest stays one (skopeo's, with its own compression)."""
    if shutil.which("skopeo") is None:
        pytest.skip("needs skopeo")
    make(here, f"{registry}/app:1")
    await push(here, f"{registry}/app:1")
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    copy = ["skopeo", f"--policy={policy}", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"]
    source = f"docker://{registry}/app:1"
    command(*copy, "--format=oci", source, f"docker://{registry}/oci:1")
    pulled = await pull(there, f"{registry}/oci:1")
    there.images.point(parse_reference(f"{registry}/other:2"), pulled.image.id)
    assert (await push(there, f"{registry}/other:2")).digest == pulled.digest
    command(*copy, source, f"dir:{tmp_path / 'dir'}")
    manifest = json.loads((tmp_path / "dir/manifest.json").read_text())
    assert manifest["mediaType"] == DOCKER_MANIFEST


async def test_layers_that_a_registry_has_are_not_sent_again(registry: str, here: Machine) -> None:
    make(here, f"{registry}/app:1", f"{registry}/app:2", f"{registry}/mirror/app:1")
    seen: dict[str, list[PushProgress]] = {}
    for name in ("app:1", "app:2", "mirror/app:1"):
        seen[name] = []
        await push(here, f"{registry}/{name}", progress=seen[name].append)
    assert {one.status for one in seen["app:1"]} == {"Preparing", "Pushing", "Pushed"}
    assert {one.status for one in seen["app:2"]} == {"Preparing", "Layer already exists"}
    assert {one.status for one in seen["mirror/app:1"]} == {"Preparing", "Mounted from"}
    assert {one.source for one in seen["mirror/app:1"]} == {"", "app"}


async def test_tags_are_listed(registry: str, here: Machine) -> None:
    make(here, *[f"{registry}/app:{number}" for number in range(3)], layers=())
    for number in range(3):
        await push(here, f"{registry}/app:{number}")
    async with Registry(registry) as client:
        assert await client.tags("app") == ["0", "1", "2"]
        with pytest.raises(NotFound):
            await client.tags("nowhere")


async def test_an_index_is_pulled_by_platform(registry: str, here: Machine, there: Machine) -> None:
    descriptors = []
    ids = {}
    for architecture, variant in (("amd64", ""), ("arm64", "v8"), ("arm", "v7")):
        image = make(here, f"{registry}/app:{architecture}", layers=(SMALL,), label=architecture)
        pushed = await push(here, f"{registry}/app:{architecture}")
        ids[architecture] = image.id
        platform = {"os": "linux", "architecture": architecture} | ({"variant": variant} if variant else {})
        descriptors.append(
            {"mediaType": DOCKER_MANIFEST, "digest": pushed.digest, "size": pushed.size, "platform": platform}
        )
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}).encode()
    async with Registry(registry) as client:
        await client.put_manifest("app", "latest", index, OCI_INDEX)
    pulled = await pull(there, f"{registry}/app", platform=("linux", "arm64", ""))
    assert pulled.image.id == ids["arm64"]
    assert pulled.digest == digest(index)
    assert (await pull(there, f"{registry}/app", platform=("linux", "arm", "v7"))).image.id == ids["arm"]
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x"):
        await pull(there, f"{registry}/app", platform=("linux", "s390x", ""))


async def test_pulls_at_the_same_time_receive_a_layer_once(proxy: Proxy, here: Machine, there: Machine) -> None:
    make(here, f"{proxy.name}/app:1", f"{proxy.name}/app:2")
    for tag in "12":
        await push(here, f"{proxy.name}/app:{tag}")
    proxy.seen.clear()
    puller = there.puller()
    async with there.registry(proxy.name) as client:
        await asyncio.gather(*[puller.pull(client, parse_reference(f"{proxy.name}/app:{tag}")) for tag in "12"])
    layers = [path for method, path in proxy.seen if method == "GET" and "/blobs/" in path]
    config = there.images.get(f"{proxy.name}/app:1").id
    assert len([path for path in layers if config not in path]) == 2


# what is refused


async def test_what_is_not_there_is_said_in_docker_s_words(registry: str, there: Machine) -> None:
    with pytest.raises(
        NotFound, match=f"^manifest for {registry}/app:1 not found: manifest unknown: manifest unknown$"
    ):
        await pull(there, f"{registry}/app:1")
    with pytest.raises(NotFound, match="An image does not exist locally with the tag"):
        await push(there, f"{registry}/app:1")


async def test_no_registry_is_said_after_one_more_try(there: Machine) -> None:
    with pytest.raises(Unavailable, match=r"cannot reach the registry at http://127\.0\.0\.1:1"):
        await pull(there, "127.0.0.1:1/app:1")
    assert len(there.pauses) == 1
    assert all(0 < pause <= 16 for pause in there.pauses)


async def test_an_image_of_this_machine_is_not_pushed(registry: str, here: Machine) -> None:
    image = here.images.record(encode(ImageConfig(rootfs=RootFs())), base=Base.HOST)
    here.images.point(parse_reference(f"{registry}/host:1"), image.id)
    with pytest.raises(InvalidArgument, match="stands on this machine itself"):
        await push(here, f"{registry}/host:1")


async def put(registry: str, name: str, manifest: dict[str, Any], *blobs: bytes) -> None:
    media_type = manifest["mediaType"]
    async with Registry(registry) as client:
        for blob in blobs:
            await client.finish_upload(name, await client.start_upload(name), digest(blob), blob)
        await client.put_manifest(name, "1", json.dumps(manifest).encode(), media_type)


def manifest_of(config: bytes, *layers: bytes, config_type: str = "application/vnd.oci.image.config.v1+json") -> Any:
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": config_type, "digest": digest(config), "size": len(config)},
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(one), "size": len(one)}
            for one in layers
        ],
    }


async def test_images_that_lie_are_refused_and_leave_nothing(registry: str, there: Machine) -> None:
    config = encode(ImageConfig(rootfs=RootFs(diff_ids=(digest(SMALL),))))
    hostile = make_archive(("../outside", b"x"))
    evil = encode(ImageConfig(rootfs=RootFs(diff_ids=(digest(hostile),))))
    foreign = encode(ImageConfig(os="windows", rootfs=RootFs(diff_ids=())))
    for number, (manifest, blobs, words) in enumerate(
        (
            (manifest_of(config, SMALL, SMALL), (config, SMALL), "has 1 layers, its manifest 2"),
            (manifest_of(config, OTHER), (config, OTHER), "instead of"),
            (manifest_of(b"{}", SMALL), (b"{}", SMALL), "config"),
            (manifest_of(b"{}", config_type="application/x-chart"), (b"{}",), "no image"),
            (manifest_of(evil, hostile), (evil, hostile), "goes up"),
            (manifest_of(foreign), (foreign,), '"windows" cannot be used on this platform'),
        )
    ):
        await put(registry, f"lie{number}", manifest, *blobs)
        with pytest.raises(InvalidArgument, match=words):
            await pull(there, f"{registry}/lie{number}:1")
        assert there.images.records.all() == []
        assert there.images.layers.list() == []
    assert not [name for name in os.listdir(there.images.layers.path) if name.startswith("new-")]


async def test_a_manifest_with_another_digest_is_refused(proxy: Proxy, here: Machine, there: Machine) -> None:
    make(here, f"{proxy.name}/app:1", layers=())
    pushed = await push(here, f"{proxy.name}/app:1")

    def swap(_request: web.Request, _proxy: Proxy) -> web.Response:
        return web.Response(body=b'{"schemaVersion":2}', content_type=DOCKER_MANIFEST)

    proxy.troubles.append(once(swap, "/manifests/", 99))
    with pytest.raises(InvalidArgument, match=f"for {pushed.digest}"):
        await pull(there, f"{proxy.name}/app@{pushed.digest}")
