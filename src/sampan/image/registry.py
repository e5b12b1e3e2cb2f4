"""A registry: manifests, blobs and tags of the OCI distribution protocol.

Source: OCI distribution specification 1.1. One object is one registry and one user; what an image is made of and where
it goes is `pull` and `push`, how requests are made `registry_http`. What comes is compared with the digest by which it
was asked for, but for the streams of `open_blob`, which their reader compares.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
from yarl import URL

from sampan.errors import InvalidArgument, NotFound, Unavailable
from sampan.image.auth import ANONYMOUS, Credentials
from sampan.image.registry_http import Connection, Pause, RegistryError, RegistrySettings
from sampan.oci.digest import digest_of, parse_digest
from sampan.oci.image_spec import INDEX_TYPES, MANIFEST_TYPES

_ACCEPT = ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))
_LARGEST_MANIFEST = 4 << 20


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest or index as it came: its bytes, what the registry calls it, and the digest of the bytes."""

    content: bytes
    media_type: str
    digest: str


class Found(msgspec.Struct, frozen=True):
    """A repository that a search found."""

    name: str
    description: str | None = ""
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False


class _Results(msgspec.Struct, frozen=True):
    results: tuple[Found, ...] = ()


class Registry:
    """One registry, for one user; an async context manager, whose end closes all connections.

    Its methods raise NotFound, Unauthorized, Forbidden or Unavailable in Docker's words where it has some, after tries
    with growing pauses where that helps.
    """

    def __init__(
        self,
        domain: str,
        settings: RegistrySettings | None = None,
        credentials: Credentials = ANONYMOUS,
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self.domain = domain
        self._made_of = (domain, settings or RegistrySettings(), credentials, pause)
        self._connection: Connection

    async def __aenter__(self) -> Self:
        self._connection = Connection(*self._made_of)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    # what there is

    async def check(self) -> None:
        """See that the registry is one and takes the credentials."""
        async with self._connection.open("GET", "", scope="", allowed=(200,)):
            return

    async def manifest(self, name: str, reference: str) -> FetchedManifest:
        """A manifest or index by tag or digest; one by digest is compared with it."""
        headers = {"Accept": _ACCEPT}
        async with self._connection.open(
            "GET", f"{name}/manifests/{reference}", scope=_pull(name), headers=headers
        ) as answer:
            content = await _read_limited(answer, _LARGEST_MANIFEST)
        wanted = reference if ":" in reference else None
        algorithm = parse_digest(wanted).algorithm if wanted else "sha256"
        digest = str(digest_of(content, algorithm))
        if wanted is not None and digest != wanted:
            raise InvalidArgument(
                f"the registry gave a manifest with the digest {digest} for {wanted}",
                remedy="do not trust this registry",
            )
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return FetchedManifest(content, "" if media_type == "application/json" else media_type, digest)

    async def tags(self, name: str) -> list[str]:
        """All tags of a repository."""
        return sorted([tag async for tag in self._pages(f"{name}/tags/list", "tags", _pull(name), {})])

    async def _pages(self, path: str | URL, field: str, scope: str, query: dict[str, str]) -> AsyncGenerator[str]:
        """The names in a list that comes in pages, each of which leads to the next."""
        seen: set[str | URL] = set()
        while path and path not in seen:
            seen.add(path)
            async with self._connection.open("GET", path, scope=scope, query=query) as answer:
                content = await _read_limited(answer, _LARGEST_MANIFEST)
                following = answer.links.get("next")
            try:
                listed = msgspec.json.decode(content, type=dict[str, object]).get(field)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise Unavailable(f"{self.domain} answers with what is no list of {field}: {error}") from error
            for one in listed if isinstance(listed, list) else ():
                if isinstance(one, str):
                    yield one
            path, query = (URL(str(following["url"])), {}) if following else ("", {})

    async def search(self, term: str, most: int) -> list[Found]:
        """At most so many repositories that fit the term: by the registry's own search, else by name from its catalog.

        Names of the catalog begin with the registry's own, so that they can be pulled.
        """
        query = {"q": term, "n": str(most)}
        try:
            async with self._connection.open("GET", URL("/v1/search"), scope="", query=query) as answer:
                content = await _read_limited(answer, _LARGEST_MANIFEST)
        except NotFound:
            return [Found(f"{self.domain}/{name}") for name in await self._catalog(term, most)]
        try:
            return list(msgspec.json.decode(content, type=_Results).results[:most])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Unavailable(f"{self.domain} answers a search with what is none: {error}") from error

    async def _catalog(self, term: str, most: int) -> list[str]:
        """The names in the registry that have `term` in them."""
        found: list[str] = []
        pages = self._pages("_catalog", "repositories", "registry:catalog:*", {"n": "1000"})
        async with aclosing(pages):
            async for name in pages:
                if len(found) == most:
                    break
                if term in name:
                    found.append(name)
        return found

    async def blob_size(self, name: str, digest: str) -> int | None:
        """The size of a blob that is there, None when it is not."""
        try:
            async with self._connection.open("HEAD", f"{name}/blobs/{digest}", scope=_pull(name)) as answer:
                return int(answer.headers.get("Content-Length", "0"))
        except NotFound:
            return None

    async def blob(self, name: str, digest: str, largest: int) -> bytes:
        """A small blob, whole and verified. InvalidArgument when it is another, or larger than `largest`."""
        async with self._connection.open("GET", f"{name}/blobs/{digest}", scope=_pull(name)) as answer:
            content = await _read_limited(answer, largest)
        if str(digest_of(content, parse_digest(digest).algorithm)) != digest:
            raise InvalidArgument(f"the registry gave something else for blob {digest}", remedy="try again")
        return content

    @asynccontextmanager
    async def open_blob(
        self, name: str, digest: str, offset: int = 0
    ) -> AsyncIterator[tuple[aiohttp.StreamReader, int]]:
        """The bytes of a blob from `offset` on, or from its start when that cannot be: the stream and its offset."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        allowed = (200, 206, 416) if offset else (200,)
        async with self._connection.open(
            "GET", f"{name}/blobs/{digest}", scope=_pull(name), headers=headers, allowed=allowed
        ) as answer:
            if answer.status == 416:  # there is nothing behind the offset
                raise RegistryError(f"blob {digest} has no byte {offset}", 416, "RANGE_INVALID")
            yield answer.content, offset if answer.status == 206 else 0

    # what is put there

    async def mount_blob(self, name: str, digest: str, source: str) -> str | None:
        """Let a repository have a blob of another one; the place to upload it to when that cannot be, else None."""
        query = {"mount": digest, "from": source}
        scope = f"{_push(name)} {_pull(source)}"
        async with self._connection.open(
            "POST", f"{name}/blobs/uploads/", scope=scope, query=query, allowed=(201, 202)
        ) as answer:
            return None if answer.status == 201 else _location(answer)

    async def start_upload(self, name: str) -> str:
        """A place to upload a blob to."""
        async with self._connection.open("POST", f"{name}/blobs/uploads/", scope=_push(name), allowed=(202,)) as answer:
            return _location(answer)

    async def upload(self, name: str, place: str, content: AsyncIterator[bytes]) -> str:
        """Send the bytes of a blob in one stream; returns the place for `finish_upload`. It is not tried again."""
        headers = {"Content-Type": "application/octet-stream"}
        async with self._connection.open(
            "PATCH", URL(place, encoded=True), scope=_push(name), headers=headers, data=content, allowed=(202,), tries=1
        ) as answer:
            return _location(answer)

    async def finish_upload(self, name: str, place: str, digest: str, content: bytes = b"") -> None:
        """Say what was uploaded, with the last of it."""
        url = URL(place, encoded=True).update_query({"digest": digest})
        headers = {"Content-Type": "application/octet-stream"}
        async with self._connection.open("PUT", url, scope=_push(name), headers=headers, data=content, allowed=(201,)):
            return

    async def put_manifest(self, name: str, reference: str, content: bytes, media_type: str) -> str:
        """Put a manifest under a tag or its digest; returns the digest."""
        headers = {"Content-Type": media_type}
        async with self._connection.open(
            "PUT", f"{name}/manifests/{reference}", scope=_push(name), headers=headers, data=content, allowed=(201, 202)
        ):
            return str(digest_of(content))


def _pull(name: str) -> str:
    return f"repository:{name}:pull"


def _push(name: str) -> str:
    return f"repository:{name}:pull,push"


def _location(answer: aiohttp.ClientResponse) -> str:
    location = answer.headers.get("Location", "")
    if not location:
        raise Unavailable("the registry gave no place for an upload")
    return str(answer.url.join(URL(location, encoded=True)))


async def _read_limited(answer: aiohttp.ClientResponse, largest: int) -> bytes:
    content = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        content += piece
        if len(content) > largest:
            raise InvalidArgument(f"{answer.url.path} is larger than {largest} bytes")
    return bytes(content)
