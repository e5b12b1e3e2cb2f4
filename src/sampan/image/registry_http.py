"""Requests to a registry: its endpoints (mirrors, TLS or not), challenges, redirects, retries, and errors in words.

Nothing here knows manifests or blobs; that is `registry`. A server's word is taken for nothing but its errors.
"""

from __future__ import annotations

import ipaddress
import os
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec
from yarl import URL

from sampan.errors import Forbidden, InvalidArgument, NotFound, SampanError, Unauthorized, Unavailable, reason_of
from sampan.image.auth import ANONYMOUS, Authorizer, Credentials, parse_challenges
from sampan.oci.reference import DEFAULT_DOMAIN

_HUB = "registry-1."
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_TRIES = 5
_MOST_REDIRECTS = 10
_LONGEST_WAIT_S = 60.0
_CONNECT_S, _READ_S = 30, 60
_CHECK_REGISTRY = "is the name right, and the network up? A registry without TLS must be listed as insecure"
_WITHOUT_HUB = (
    "is the name right, and the network up? Without the hub there are the images host and busybox of this machine, and "
    "what `sampan image bootstrap debian:trixie` makes out of a Debian mirror"
)

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What a host's settings say of registries.

    `mirrors` are tried before Docker Hub; `insecure` are hosts ("name", "name:port") and networks that need no proof of
    who they are and may speak plain HTTP, as loopback always may; `ca_files` are trusted beside the system's, and
    `client_certificates` are (certificate, key) files by domain.
    """

    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    ca_files: tuple[str, ...] = ()
    client_certificates: dict[str, tuple[str, str]] = field(default_factory=dict)
    proxy_from_environment: bool = True

    def check(self) -> None:
        """Refuse what cannot be: InvalidArgument naming the value."""
        for mirror in self.mirrors:
            if not mirror.startswith(("http://", "https://")) or not URL(mirror).host or URL(mirror).path.strip("/"):
                raise InvalidArgument(
                    f"invalid mirror {mirror!r} of registries", remedy="write it as https://mirror.example:5000"
                )
        for one in self.insecure:
            try:
                if "/" in one:
                    ipaddress.ip_network(one, strict=False)
            except ValueError:
                raise InvalidArgument(
                    f"insecure registry {one!r} is neither a host nor a network",
                    remedy="write it as registry.example:5000 or 10.0.0.0/8, without http://",
                ) from None
        for file in self.ca_files:
            try:
                ssl.create_default_context(cafile=file)
            except OSError as error:  # ssl.SSLError is one
                raise InvalidArgument(
                    f"the certificate file {file} of registries cannot be used: {reason_of(error)}",
                    remedy="name a file in PEM form",
                ) from error

    def is_insecure(self, host: str) -> bool:
        """Whether the host, with or without a port, may go without a proof of who it is."""
        name = URL(f"//{host}").host or ""
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name == "localhost" or host in self.insecure or name in self.insecure
        if address.is_loopback or host in self.insecure:
            return True
        return any("/" in one and address in ipaddress.ip_network(one, strict=False) for one in self.insecure)


class _Fault(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Faults(msgspec.Struct):
    errors: list[_Fault] = []


class RegistryError(SampanError):
    """The registry answered with an error: `status` and `code` are its words."""

    def __init__(self, sentence: str, status: int, code: str, *, remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.status = status
        self.code = code


class Connection:
    """The endpoints of one registry, for one user."""

    def __init__(self, domain: str, settings: RegistrySettings, credentials: Credentials, pause: Pause) -> None:
        self.domain = domain
        self._settings = settings
        self._pause = pause
        self._sessions: list[aiohttp.ClientSession] = []
        self._endpoints = list(self._make_endpoints(credentials))
        self._in_tls: list[_Endpoint] = []  # those that might have been plain, and are not

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions:
            await session.close()

    def _make_endpoints(self, credentials: Credentials) -> Iterator[_Endpoint]:
        """Mirrors first, then the registry itself, which alone gets the credentials."""
        is_hub = self.domain == DEFAULT_DOMAIN
        own = _HUB + self.domain if is_hub else self.domain
        sessions = {verified: self._session(verified=verified) for verified in (True, False)}
        for host in (*(self._settings.mirrors if is_hub else ()), own):
            scheme, _, name = host.rstrip("/").rpartition("://")
            insecure = self._settings.is_insecure(name)
            session = sessions[not insecure]
            schemes = [scheme] if scheme else ["https", "http"] if insecure else ["https"]
            for one in schemes:
                authorizer = Authorizer(session, credentials if host == own else ANONYMOUS)
                may_be_plain = one == "https" and len(schemes) == 2
                base = URL(f"{one}://{name}/v2/")
                yield _Endpoint(base, session, authorizer, is_own=host == own, may_be_plain=may_be_plain)

    def _session(self, *, verified: bool) -> aiohttp.ClientSession:
        context = ssl.create_default_context()
        for file in self._settings.ca_files:
            context.load_verify_locations(file)
        certificate = self._settings.client_certificates.get(self.domain)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        if not verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=32),
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_connect=_CONNECT_S, sock_read=_READ_S),
            auto_decompress=False,
            trust_env=self._settings.proxy_from_environment,
            headers={"User-Agent": "sampan", "Accept-Encoding": "identity"},  # digests are of what is not compressed
        )
        self._sessions.append(session)
        return session

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str | URL,
        *,
        scope: str,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        data: bytes | AsyncIterator[bytes] | None = None,
        allowed: tuple[int, ...] = (200,),
        tries: int = _TRIES,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a request at the first endpoint that answers as it should; the answer is closed at the end."""
        request = _Request(method, path, scope, headers or {}, query or {}, data)
        answer = await self._first(request, allowed, tries)
        try:
            yield answer
        finally:
            answer.close()

    async def _first(self, request: _Request, allowed: tuple[int, ...], tries: int) -> aiohttp.ClientResponse:
        """The answer of the first endpoint that has one: mirrors are asked once, the registry itself with patience."""
        for endpoint in list(self._endpoints):
            try:
                return await self._try(endpoint, request, allowed, tries if endpoint.is_own else 1)
            except _NoTls:
                self._endpoints = [one for one in self._endpoints if one is not endpoint]
            except SampanError:
                if endpoint.is_own:
                    raise
        raise AssertionError  # the last one is the registry's own, and not one that may turn out to be plain

    async def _try(
        self, endpoint: _Endpoint, request: _Request, allowed: tuple[int, ...], tries: int
    ) -> aiohttp.ClientResponse:
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = await self._once(endpoint, request)
            except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError) as error:  # the last: no name of a host
                failure: SampanError = _unreachable(endpoint, error)
                wait = None
                tries = min(tries, _tries_for(error))
                if endpoint.may_be_plain and endpoint not in self._in_tls:
                    raise _NoTls(str(failure)) from error
            else:
                if endpoint.may_be_plain:
                    self._in_tls.append(endpoint)
                if answer.status in allowed:
                    return answer
                failure, wait = await _refused(answer, self.domain, request), _retry_after(answer)
                if answer.status not in _RETRIED or (wait or 0.0) > _LONGEST_WAIT_S:
                    raise failure
            if attempt >= tries:
                raise failure
            await self._pause(wait if wait is not None else 2 ** (attempt - 1) * (0.5 + random.random() / 2))  # noqa: S311

    async def _once(self, endpoint: _Endpoint, request: _Request) -> aiohttp.ClientResponse:
        """One request, answering a challenge once and following redirects, without credentials to other hosts."""
        answered = isinstance(request.data, AsyncIterator)  # a stream cannot be sent twice
        url = endpoint.url(request)
        redirects = 0
        while True:
            headers = dict(request.headers)
            if url.origin() == endpoint.base.origin() and (header := endpoint.authorizer.header(request.scope)):
                headers["Authorization"] = header
            answer = await endpoint.session.request(
                request.method, url, headers=headers, data=request.data, allow_redirects=False
            )
            if answer.status == 401 and not answered and url.origin() == endpoint.base.origin():
                answered = True
                endpoint.authorizer.forget(request.scope)
                challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", []))
                try:
                    if await endpoint.authorizer.answer(challenges, request.scope) is None:
                        return answer
                except SampanError:
                    answer.close()
                    raise
                answer.close()
            elif answer.status in {301, 302, 303, 307, 308} and "Location" in answer.headers:
                redirects += 1
                location = URL(answer.headers["Location"], encoded=True)
                answer.close()
                url = url.join(location)
                if url.scheme not in {"http", "https"}:
                    raise Unavailable(
                        f"{endpoint.base.origin()}: it leads to {url}, which is no address of a registry",
                        remedy="is the name right?",
                    )
                if redirects > _MOST_REDIRECTS:
                    raise Unavailable(
                        f"{endpoint.base.origin()}: stopped after {redirects - 1} redirects, at {url}",
                        remedy="is the name right? The registry leads to no answer",
                    )
            else:
                return answer


class _NoTls(Unavailable):
    """The host does not answer in TLS, and is listed as one that need not."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str | URL
    scope: str
    headers: dict[str, str]
    query: dict[str, str]
    data: bytes | AsyncIterator[bytes] | None


@dataclass(frozen=True, slots=True)
class _Endpoint:
    base: URL
    session: aiohttp.ClientSession
    authorizer: Authorizer
    is_own: bool  # of the registry itself, not of a mirror
    may_be_plain: bool  # of a host that need not speak TLS

    def url(self, request: _Request) -> URL:
        """Where the request goes: below /v2/, or a place that the registry gave."""
        url = self.base.join(request.path) if isinstance(request.path, URL) else self.base / request.path
        if request.path == "":
            url = self.base
        return url.update_query(request.query) if request.query else url


def _tries_for(error: Exception) -> int:
    """How often to try in all: patience helps no wrong certificate or name, nor for long a host that is not there."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | UnicodeError):
        return 1
    return 2 if isinstance(error, aiohttp.ClientConnectorError) else _TRIES


def _retry_after(answer: aiohttp.ClientResponse) -> float | None:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def why_not(error: Exception) -> str:
    """Why a request got no answer, in the words of the kernel or the resolver where they are behind it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"{error.host}: {error.os_error.strerror}"
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        return os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
    if isinstance(error, UnicodeError):  # of the resolver's encoding
        return "no host can have such a name"
    return str(error) or type(error).__name__


def _unreachable(endpoint: _Endpoint, error: Exception) -> Unavailable:
    why = why_not(error)
    remedy = _WITHOUT_HUB if (endpoint.base.host or "").endswith(".docker.io") else _CHECK_REGISTRY
    return Unavailable(f"cannot reach the registry at {endpoint.base.origin()}: {why}", remedy=remedy)


async def _refused(answer: aiohttp.ClientResponse, domain: str, request: _Request) -> SampanError:
    """The error for an answer that is none of those expected, in the registry's words."""
    try:
        body = await answer.content.read(1 << 16)
        faults = msgspec.json.decode(body, type=_Faults).errors
    except (msgspec.DecodeError, RecursionError, aiohttp.ClientError, TimeoutError):
        faults = []
    finally:
        answer.close()
    words = (
        ": ".join(part for part in (faults[0].code.lower().replace("_", " "), faults[0].message) if part)
        if faults
        else ""
    )
    about = words or f"{request.method} {answer.url.path}: status {answer.status}"
    match answer.status:
        case 401:
            words = words.removeprefix("unauthorized: ") or "authentication required"
            return Unauthorized(f"unauthorized: {words}", remedy="log in with `sampan login`")
        case 403:
            return Forbidden(f"{domain} refuses: {about}", remedy="log in with `sampan login` as a user who may")
        case 404:
            return NotFound(about)
        case 429:
            return Unavailable(f"toomanyrequests: {about}", remedy="log in, or try again later")
        case status if status in _RETRIED:
            return Unavailable(f"{domain} fails: {about}", remedy="try again later")
        case status:
            return RegistryError(
                f"{domain} answers with status {status}: {about}", status, faults[0].code if faults else ""
            )
