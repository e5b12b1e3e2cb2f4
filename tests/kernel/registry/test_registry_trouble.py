"""Cut connections, busy registries, full disks, cancelled pulls: nothing is lost and nothing is left behind."""

from __future__ import annotations

import asyncio
import os

import pytest
from aiohttp import web
from tests.kernel.registry.conftest import (
    BIG,
    SMALL,
    Machine,
    Proxy,
    blobs_of,
    make,
    once,
    pull,
    push,
)
from tests.waiting import until

from sampan.errors import InvalidArgument, SampanError, SystemFailure, Unavailable
from sampan.image.pull_layer import LayerProgress
from sampan.image.push import PushProgress

# trouble on the way


async def test_a_cut_connection_goes_on_where_it_was(proxy: Proxy, here: Machine, there: Machine) -> None:
    image = make(here, f"{proxy.name}/app:1", layers=(BIG,))
    await push(here, f"{proxy.name}/app:1")
    (origin,) = here.images.records.origins(image.diff_ids[0])
    ranges: list[str] = []

    async def cut(request: web.Request, proxy: Proxy) -> web.StreamResponse:
        ranges.append(request.headers.get("Range", ""))
        return await proxy.forward(request, cut_after=700_000)

    proxy.troubles.append(once(cut, origin.digest, 3))
    pulled = await pull(there, f"{proxy.name}/app:1")
    assert blobs_of(there, pulled.image) == [BIG]
    assert ranges[0] == ""
    assert all(one.startswith("bytes=") for one in ranges[1:])
    offsets = [int(one[6:-1]) for one in ranges[1:]]
    assert 0 < offsets[0] < offsets[1]


async def test_a_registry_that_cannot_resume_is_read_from_the_start(
    proxy: Proxy, here: Machine, there: Machine
) -> None:
    image = make(here, f"{proxy.name}/app:1", layers=(BIG,))
    await push(here, f"{proxy.name}/app:1")
    (origin,) = here.images.records.origins(image.diff_ids[0])

    async def cut(request: web.Request, proxy: Proxy) -> web.StreamResponse:
        return await proxy.forward(request, cut_after=500_000)

    async def forget_range(request: web.Request, proxy: Proxy) -> web.StreamResponse | None:
        if "Range" not in request.headers or origin.digest not in request.path:
            return None
        headers = request.headers.copy()
        del headers["Range"]
        return await proxy.forward(request.clone(headers=headers))

    proxy.troubles += [once(cut, origin.digest), forget_range]
    assert blobs_of(there, (await pull(there, f"{proxy.name}/app:1")).image) == [BIG]


async def test_what_came_is_kept_for_the_next_pull(proxy: Proxy, here: Machine, there: Machine) -> None:
    image = make(here, f"{proxy.name}/app:1", layers=(BIG,))
    await push(here, f"{proxy.name}/app:1")
    (origin,) = here.images.records.origins(image.diff_ids[0])
    starts: list[str] = []

    async def cut_then_refuse(request: web.Request, proxy: Proxy) -> web.StreamResponse:
        starts.append(request.headers.get("Range", ""))
        return await proxy.forward(request, cut_after=900_000 if len(starts) == 1 else 0)

    proxy.troubles.append(once(cut_then_refuse, origin.digest, 50))
    with pytest.raises(Unavailable, match="cannot receive layer") as caught:
        await pull(there, f"{proxy.name}/app:1")
    assert "kept" in caught.value.remedy
    with there.content.partial(origin.digest) as kept:
        assert kept.size >= 800_000
    assert there.images.records.all() == []
    assert there.images.layers.list() == []
    proxy.troubles.clear()
    proxy.seen.clear()
    received: list[LayerProgress] = []
    assert blobs_of(there, (await pull(there, f"{proxy.name}/app:1", progress=received.append)).image) == [BIG]
    first = next(one for one in received if one.status == "Downloading")
    assert first.current > 800_000


async def test_rubbish_that_was_kept_is_received_anew(proxy: Proxy, here: Machine, there: Machine) -> None:
    image = make(here, f"{proxy.name}/app:1", layers=(BIG,))
    await push(here, f"{proxy.name}/app:1")
    (origin,) = here.images.records.origins(image.diff_ids[0])
    with there.content.partial(origin.digest) as partial:
        partial.write(b"rubbish" * 1000)
    assert blobs_of(there, (await pull(there, f"{proxy.name}/app:1")).image) == [BIG]


async def test_a_layer_that_is_changed_on_the_way_is_refused(proxy: Proxy, here: Machine, there: Machine) -> None:
    image = make(here, f"{proxy.name}/app:1", layers=(SMALL,))
    await push(here, f"{proxy.name}/app:1")
    (origin,) = here.images.records.origins(image.diff_ids[0])

    def swap(_request: web.Request, _proxy: Proxy) -> web.Response:
        return web.Response(body=b"x" * origin.size)

    proxy.troubles.append(once(swap, origin.digest, 99))
    with pytest.raises(InvalidArgument):
        await pull(there, f"{proxy.name}/app:1")
    proxy.troubles.clear()
    assert blobs_of(there, (await pull(there, f"{proxy.name}/app:1")).image) == [SMALL]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_registry_is_asked_again_as_it_says(
    proxy: Proxy, here: Machine, there: Machine, status: int
) -> None:
    make(here, f"{proxy.name}/app:1")
    await push(here, f"{proxy.name}/app:1")

    def busy(_request: web.Request, _proxy: Proxy) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "7"})

    proxy.troubles += [once(busy, path) for path in ("/manifests/", "/blobs/")]
    await pull(there, f"{proxy.name}/app:1")
    assert there.pauses == [7.0, 7.0]


async def test_a_registry_that_stays_busy_is_given_up(proxy: Proxy, there: Machine) -> None:
    def busy(_request: web.Request, _proxy: Proxy) -> web.Response:
        return web.json_response({"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}, status=429)

    proxy.troubles.append(once(busy, "/", 99))
    with pytest.raises(Unavailable, match="toomanyrequests: toomanyrequests: slow down"):
        await pull(there, f"{proxy.name}/app:1")


async def test_a_registry_that_is_busy_for_hours_is_not_waited_for(proxy: Proxy, there: Machine) -> None:
    def busy(_request: web.Request, _proxy: Proxy) -> web.Response:
        body = {"errors": [{"code": "TOOMANYREQUESTS", "message": "pull rate limit"}]}
        return web.json_response(body, status=429, headers={"Retry-After": "3600"})

    proxy.troubles.append(once(busy, "/", 99))
    with pytest.raises(Unavailable, match="pull rate limit"):
        await pull(there, f"{proxy.name}/app:1")
    assert there.pauses == []


async def test_lists_of_tags_that_are_none_or_have_no_end_are_read_once(proxy: Proxy, there: Machine) -> None:
    def page(request: web.Request, _proxy: Proxy) -> web.Response:
        return web.json_response({"tags": ["one"]}, headers={"Link": f'<{request.path}?n=1>; rel="next"'})

    def other(_request: web.Request, _proxy: Proxy) -> web.Response:
        return web.Response(text="<html>")

    proxy.troubles.append(once(page, "/tags/", 99))
    async with there.registry(proxy.name) as registry:
        assert await registry.tags("app") == ["one", "one"]
        proxy.troubles[:] = [once(other, "/tags/", 99)]
        with pytest.raises(Unavailable, match="what is no list of tags"):
            await registry.tags("app")


async def test_a_registry_that_leads_nowhere_is_left_at_once(proxy: Proxy, there: Machine) -> None:
    def away(request: web.Request, _proxy: Proxy) -> web.Response:
        return web.Response(status=307, headers={"Location": request.path})

    proxy.troubles.append(once(away, "/manifests/", 99))
    with pytest.raises(Unavailable, match="stopped after 10 redirects, at http:"):
        await pull(there, f"{proxy.name}/app:1")
    assert there.pauses == []


async def test_a_refusal_that_is_nested_without_end_is_a_refusal(proxy: Proxy, there: Machine) -> None:
    def nested(_request: web.Request, _proxy: Proxy) -> web.Response:
        return web.Response(status=403, body=b'{"a":' * 12_000)

    proxy.troubles.append(once(nested, "/manifests/", 99))
    with pytest.raises(SampanError, match="403"):
        await pull(there, f"{proxy.name}/app:1")


async def test_a_push_that_is_cut_is_sent_again(proxy: Proxy, here: Machine, there: Machine) -> None:
    make(here, f"{proxy.name}/app:1", layers=(BIG,))

    async def cut(request: web.Request, _proxy: Proxy) -> web.StreamResponse | None:
        if request.method == "PATCH":
            await request.content.readexactly(300_000)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return None

    patches = 0

    async def first_patches(request: web.Request, proxy: Proxy) -> web.StreamResponse | None:
        nonlocal patches
        patches += request.method == "PATCH"
        return await cut(request, proxy) if patches <= 2 else None

    proxy.troubles.append(first_patches)
    seen: list[PushProgress] = []
    await push(here, f"{proxy.name}/app:1", progress=seen.append)
    assert [one.status for one in seen].count("Retrying") == 2
    assert blobs_of(there, (await pull(there, f"{proxy.name}/app:1")).image) == [BIG]


async def test_a_cancelled_pull_ends_its_threads_and_keeps_what_came(
    proxy: Proxy, here: Machine, there: Machine
) -> None:
    image = make(here, f"{proxy.name}/app:1", layers=(BIG,))
    await push(here, f"{proxy.name}/app:1")
    (origin,) = here.images.records.origins(image.diff_ids[0])
    reached = asyncio.Event()

    async def stall(request: web.Request, proxy: Proxy) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = origin.size
        await response.prepare(request)
        await response.write(bytes(600_000))
        reached.set()
        await asyncio.sleep(60)
        return response

    proxy.troubles.append(once(stall, origin.digest))
    task = asyncio.create_task(pull(there, f"{proxy.name}/app:1"))
    await reached.wait()
    partial = os.path.join(there.content.path, "partial")
    await asyncio.to_thread(until, lambda: bool(os.listdir(partial)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert there.images.layers.list() == []
    assert len(os.listdir(partial)) == 1
    assert not [name for name in os.listdir(there.images.layers.path) if name.startswith("new-")]


async def test_a_full_disk_is_said_and_the_pull_works_afterwards(
    registry: str, here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sampan.image import unpack as unpack_module

    make(here, f"{registry}/app:1")
    await push(here, f"{registry}/app:1")

    def full(_fd: int, _data: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(unpack_module, "write_all", full)
        with pytest.raises(SystemFailure, match="No space left"):
            await pull(there, f"{registry}/app:1")
    assert there.images.layers.list() == []
    assert blobs_of(there, (await pull(there, f"{registry}/app:1")).image) == [BIG, SMALL]
