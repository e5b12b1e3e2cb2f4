"""A registry on loopback (Debian's docker-registry), a proxy before it that makes trouble, and stores to pull into."""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.registry_process import registry_process
from tests.unit.image.conftest import make_archive

from sampan.image.content import ContentStore
from sampan.image.images import Images
from sampan.image.layers import LayerStore
from sampan.image.names import ImageNames
from sampan.image.pull import Pulled, Puller
from sampan.image.push import Pushed, Pusher
from sampan.image.records import Image, ImageRecords
from sampan.image.registry import Registry
from sampan.image.root_records import RootRecords
from sampan.oci.image_spec import ContainerDefaults, ImageConfig, RootFs, encode
from sampan.oci.reference import Reference, parse_reference

Trouble = Callable[[web.Request, "Proxy"], Awaitable[web.StreamResponse | None]]
_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}


class NoContainers:
    def running(self, image_id: str) -> str | None:  # noqa: ARG002
        return None

    def stopped(self, image_id: str) -> str | None:  # noqa: ARG002
        return None


@dataclass
class Machine:
    """One machine's images."""

    images: Images
    content: ContentStore
    pauses: list[float] = field(default_factory=list)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def puller(self) -> Puller:
        return Puller(self.images, self.content, pause=self.pause)

    def pusher(self) -> Pusher:
        return Pusher(self.images, self.content, pause=self.pause)

    def registry(self, domain: str, **about: object) -> Registry:
        return Registry(domain, pause=self.pause, **about)  # type: ignore[arg-type]


@pytest.fixture
def make_machine(tmp_path: Path) -> Iterator[Callable[[str], Machine]]:
    connections = []

    def make(name: str) -> Machine:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connections.append(connection)
        layers = LayerStore(str(tmp_path / name / "layers"), durable=False)
        layers.prepare()
        content = ContentStore(str(tmp_path / name / "content"))
        content.prepare()
        images = Images(
            ImageRecords(connection), ImageNames(connection), RootRecords(connection), layers, NoContainers()
        )
        return Machine(images, content)

    yield make
    for connection in connections:
        connection.close()


@pytest.fixture
def here(make_machine: Callable[[str], Machine]) -> Machine:
    return make_machine("here")


@pytest.fixture
def there(make_machine: Callable[[str], Machine]) -> Machine:
    return make_machine("there")


def command(*words: str) -> None:
    """Run a program that must succeed."""
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name (host and port) of an empty registry that takes everything."""
    yield from running(tmp_path_factory.mktemp("registry"))


def running(directory: Path, *, http: str = "", more: str = "") -> Iterator[str]:
    """A registry's name while it runs."""
    with registry_process(directory, http=http, more=more) as name:
        yield name


@pytest.fixture
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that wants the user "user" with the password "secret"."""
    directory = tmp_path_factory.mktemp("private")
    (directory / "htpasswd").write_text("user:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n")
    yield from running(directory, more=f"auth: {{htpasswd: {{realm: test, path: {directory / 'htpasswd'}}}}}")


@pytest.fixture
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of an authority that no one knows, for loopback; its key is key.pem beside it."""
    directory = tmp_path_factory.mktemp("certificate")
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost".split()
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    places = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    command("openssl", *words, *names, *places)
    return directory / "cert.pem"


@pytest.fixture
def tls_registry(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[str]:
    """A registry that speaks TLS with that certificate."""
    tls = f", tls: {{certificate: {certificate}, key: {certificate.parent / 'key.pem'}}}"
    yield from running(tmp_path_factory.mktemp("tls"), http=tls)


@dataclass
class Proxy:
    """What stands between; `troubles` are asked in turn for an answer of their own to each request."""

    target: str
    name: str = ""
    troubles: list[Trouble] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    session: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        for trouble in list(self.troubles):
            answer = await trouble(request, self)
            if answer is not None:
                return answer
        return await self.forward(request)

    async def forward(self, request: web.Request, cut_after: int | None = None) -> web.StreamResponse:
        """Pass the request on and the answer back, or only some bytes of it and then the connection's end."""
        assert self.session is not None
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
        body = request.content if request.can_read_body else None
        url = f"http://{self.target}{request.raw_path}"
        async with self.session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}
            if "Location" in kept:
                kept["Location"] = kept["Location"].replace(self.target, self.name)
            response = web.StreamResponse(status=answer.status, headers=kept)
            if request.method == "HEAD" or answer.content_length is not None:
                response.content_length = answer.content_length
            await response.prepare(request)
            sent = 0
            async for piece in answer.content.iter_any():
                part = piece if cut_after is None else piece[: max(cut_after - sent, 0)]
                sent += len(part)
                await response.write(part)
                if cut_after is not None and sent >= cut_after and request.transport is not None:
                    request.transport.abort()
                    return response
            return response


@pytest.fixture
async def proxy(registry: str) -> AsyncIterator[Proxy]:
    between = Proxy(registry)
    between.session = aiohttp.ClientSession(auto_decompress=False)
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", between.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    between.name = f"127.0.0.1:{runner.addresses[0][1]}"
    yield between
    await between.session.close()
    await runner.cleanup()


BIG = make_archive(("big", random.Random(1).randbytes(3_000_000)))
SMALL = make_archive(("small", b"s"))
OTHER = make_archive(("other", b"o"))


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make(machine: Machine, *names: str, layers: tuple[bytes, ...] = (BIG, SMALL), label: str = "") -> Image:
    diff_ids = tuple(machine.images.layers.add_chunks([layer]).diff_id for layer in layers)
    defaults = ContainerDefaults(labels={"is": label})
    config = ImageConfig(architecture="amd64", os="linux", config=defaults, rootfs=RootFs(diff_ids=diff_ids))
    image = machine.images.record(encode(config))
    for name in names:
        machine.images.point(parse_reference(name), image.id)
    return image


async def push(machine: Machine, name: str, **about: Any) -> Pushed:
    reference = parse_reference(name)
    progress = about.pop("progress", lambda _: None)
    async with machine.registry(reference.domain, **about) as registry:
        return await machine.pusher().push(registry, reference, progress=progress)


async def pull(machine: Machine, name: str | Reference, **about: Any) -> Pulled:
    reference = parse_reference(name) if isinstance(name, str) else name
    progress = about.pop("progress", lambda _: None)
    platform = about.pop("platform", ("", "", ""))
    async with machine.registry(reference.domain, **about) as registry:
        return await machine.puller().pull(registry, reference, platform=platform, progress=progress)


def blobs_of(machine: Machine, image: Image) -> list[bytes]:
    return [b"".join(machine.images.layers.archive(diff_id)) for diff_id in image.diff_ids]


def once(trouble: Callable[[web.Request, Proxy], Any], path: str, times: int = 1) -> Any:
    """A trouble for the first requests whose path has `path` in it."""
    left = times

    async def make_trouble(request: web.Request, proxy: Proxy) -> web.StreamResponse | None:
        nonlocal left
        if left <= 0 or path not in request.path:
            return None
        left -= 1
        answer = trouble(request, proxy)
        found: web.StreamResponse | None = await answer if asyncio.iscoroutine(answer) else answer
        return found

    return make_trouble
