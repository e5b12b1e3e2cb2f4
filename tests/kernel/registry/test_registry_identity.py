"""Who we are to a registry, and which registry it is: tokens, passwords, certificates, mirrors."""

from __future__ import annotations

from pathlib import Path

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

from sampan.errors import Forbidden, NotFound, Unauthorized, Unavailable
from sampan.image.auth import Credentials
from sampan.image.registry_http import RegistrySettings

# who we are


class Tokens:
    """A token service and a registry that wants its tokens, in the proxy; tokens live for some requests."""

    def __init__(self, lifetime: int = 10**9) -> None:
        self.lifetime = lifetime
        self.uses: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, request: web.Request, proxy: Proxy) -> web.StreamResponse | None:
        if request.path == "/token":
            self.asked.append((request.headers.get("Authorization", ""), request.query.get("scope", "")))
            if "Authorization" in request.headers and "dXNlcjpzZWNyZXQ=" not in request.headers["Authorization"]:
                return web.Response(status=401)
            token = f"t{len(self.asked)}"
            self.uses[token] = self.lifetime
            return web.json_response({"token": token, "expires_in": 300})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.uses.get(token, 0) > 0:
            self.uses[token] -= 1
            return None
        challenge = f'Bearer realm="http://{proxy.name}/token",service="test",scope="repository:app:pull"'
        return web.json_response(
            {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]},
            status=401,
            headers={"WWW-Authenticate": challenge},
        )


async def test_a_token_is_got_for_a_scope_and_used_again(proxy: Proxy, here: Machine, there: Machine) -> None:
    make(here, f"{proxy.name}/app:1")
    tokens = Tokens()
    proxy.troubles.append(tokens)
    credentials = Credentials("user", "secret")
    await push(here, f"{proxy.name}/app:1", credentials=credentials)
    await pull(there, f"{proxy.name}/app:1")
    assert ("Basic dXNlcjpzZWNyZXQ=", "repository:app:pull,push") in tokens.asked
    assert ("", "repository:app:pull") in tokens.asked
    assert len(tokens.asked) <= 4


async def test_a_token_that_runs_out_is_got_anew(proxy: Proxy, here: Machine, there: Machine) -> None:
    make(here, f"{proxy.name}/app:1")
    await push(here, f"{proxy.name}/app:1")
    tokens = Tokens(lifetime=1)
    proxy.troubles.append(tokens)
    assert blobs_of(there, (await pull(there, f"{proxy.name}/app:1")).image) == [BIG, SMALL]
    assert len(tokens.asked) >= 3


async def test_a_wrong_password_is_said(proxy: Proxy, there: Machine) -> None:
    proxy.troubles.append(Tokens())
    async with there.registry(proxy.name, credentials=Credentials("user", "wrong")) as client:
        with pytest.raises(Unauthorized, match="incorrect username or password") as caught:
            await client.check()
    assert "sampan login" in caught.value.remedy


async def test_a_registry_s_own_words_are_said_where_nothing_can_be_shown_to_it(proxy: Proxy, here: Machine) -> None:
    make(here, f"{proxy.name}/app:1", layers=())

    def refused(_request: web.Request, _proxy: Proxy) -> web.Response:
        return web.json_response({"errors": [{"code": "UNAUTHORIZED", "message": "seat limit reached"}]}, status=401)

    proxy.troubles.append(once(refused, "/blobs/uploads/"))
    with pytest.raises(Unauthorized, match="unauthorized: seat limit reached"):
        await push(here, f"{proxy.name}/app:1")


async def test_basic_authentication_works(private_registry: str, here: Machine, there: Machine) -> None:
    make(here, f"{private_registry}/app:1")
    for credentials in (Credentials(), Credentials("user", "wrong")):
        with pytest.raises(Unauthorized):
            await push(here, f"{private_registry}/app:1", credentials=credentials)
        with pytest.raises(NotFound, match="pull access denied"):
            await pull(there, f"{private_registry}/app:1", credentials=credentials)
    credentials = Credentials("user", "secret")
    await push(here, f"{private_registry}/app:1", credentials=credentials)
    await pull(there, f"{private_registry}/app:1", credentials=credentials)


async def test_credentials_are_not_shown_to_another_host(proxy: Proxy, here: Machine, there: Machine) -> None:
    """Registries send blobs from elsewhere; where a redirect leads must not learn who we are."""
    make(here, f"{proxy.name}/app:1")
    await push(here, f"{proxy.name}/app:1")
    proxy.troubles.append(Tokens())
    seen: list[str] = []

    async def redirect(request: web.Request, proxy: Proxy) -> web.StreamResponse | None:
        if "/blobs/" in request.path and "moved" not in request.query:
            target = proxy.name.replace("127.0.0.1", "localhost")
            return web.Response(status=307, headers={"Location": f"http://{target}{request.path}?moved=1"})
        if "moved" in request.query:
            seen.append(request.headers.get("Authorization", ""))
            return await proxy.forward(request)
        return None

    proxy.troubles.insert(0, redirect)
    await pull(there, f"{proxy.name}/app:1")
    assert seen
    assert set(seen) == {""}


async def test_what_one_may_not_is_said(proxy: Proxy, here: Machine) -> None:
    make(here, f"{proxy.name}/app:1", layers=())

    def denied(_request: web.Request, _proxy: Proxy) -> web.Response:
        body = {"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}
        return web.json_response(body, status=403)

    proxy.troubles += [once(denied, "/blobs/uploads/", 9), once(denied, "/manifests/")]
    with pytest.raises(Forbidden, match="denied: requested access to the resource is denied"):
        await push(here, f"{proxy.name}/app:1")
    with pytest.raises(NotFound, match=r"pull access denied for .*: denied: requested"):
        await pull(here, f"{proxy.name}/app:1")


# where it is


@pytest.mark.parametrize(
    ("host", "insecure"),
    [
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("localhost", True),
        ("registry.example:5000", True),
        ("registry.example", False),
        ("10.1.2.3:5000", True),
        ("10.2.0.1", False),
    ],
)
def test_only_loopback_and_listed_hosts_may_go_without_tls(host: str, insecure: bool) -> None:  # noqa: FBT001
    settings = RegistrySettings(insecure=("registry.example:5000", "10.1.0.0/16"))
    assert settings.is_insecure(host) is insecure


class Strict(RegistrySettings):
    """As for a host far away: nothing goes without a proof."""

    def is_insecure(self, host: str) -> bool:
        return host == "nowhere"


async def test_a_host_that_is_not_listed_is_never_asked_in_the_clear(registry: str, there: Machine) -> None:
    with pytest.raises(Unavailable, match="cannot reach the registry at https://"):
        await pull(there, f"{registry}/app:1", settings=Strict())


async def test_a_mirror_of_the_hub_is_asked_first(registry: str, here: Machine, there: Machine) -> None:
    make(here, f"{registry}/library/debian:1")
    await push(here, f"{registry}/library/debian:1")
    settings = RegistrySettings(mirrors=(f"http://{registry}",))
    pulled = await pull(there, "debian:1", settings=settings)
    assert next(one.familiar for one in there.images.names.of(pulled.image.id)) == "debian:1"


async def test_a_certificate_of_one_s_own_authority_is_taken(
    tls_registry: str, certificate: Path, here: Machine, there: Machine
) -> None:
    make(here, f"{tls_registry}/app:1")
    trusting = Strict(ca_files=(str(certificate),))
    await push(here, f"{tls_registry}/app:1", settings=trusting)
    await pull(there, f"{tls_registry}/app:1", settings=trusting)
    with pytest.raises(Unavailable, match="certificate verify failed"):
        await pull(there, f"{tls_registry}/app:1", settings=Strict())


async def test_an_insecure_registry_may_have_any_certificate(tls_registry: str, here: Machine) -> None:
    make(here, f"{tls_registry}/app:1")
    await push(here, f"{tls_registry}/app:1")
