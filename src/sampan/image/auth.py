"""Who we are to a registry: credentials, the challenges that it answers with, and the tokens that are got for them.

Sources: RFC 7235 (challenges), RFC 6749 (refresh tokens), the distribution project's token specification. Where
credentials come from is `credentials`; requests are `registry`.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
import msgspec

from sampan.errors import Unauthorized, Unavailable

_PARAMETER = re.compile(r'([a-zA-Z_][a-zA-Z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_LARGEST_ANSWER = 1 << 20
_SPARE_S = 10.0  # a token is not used in the last seconds of its life
_SHORTEST_S = 60.0  # what the specification lets a token live at least


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and password, or an identity token (an OAuth 2 refresh token); all empty for anonymous."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def are_given(self) -> bool:
        """Whether there is anything to show to a registry."""
        return bool(self.username or self.identity_token or self.registry_token)

    def basic(self) -> str:
        """The Authorization header of RFC 7617."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


ANONYMOUS = Credentials()


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a WWW-Authenticate header asks for: `scheme` in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


class _Token(msgspec.Struct):
    """A token service's answer; the one name is docker's, the other OAuth's."""

    token: str = ""
    access_token: str = ""
    expires_in: float = 0


def parse_challenges(headers: list[str]) -> list[Challenge]:
    """The challenges in WWW-Authenticate headers, one each (as registries send them)."""
    found = []
    for header in headers:
        scheme, _, rest = header.strip().partition(" ")
        parameters = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted or not plain else plain
            for name, quoted, plain in _PARAMETER.findall(rest)
        }
        found.append(Challenge(scheme.lower(), parameters))
    return found


@dataclass(slots=True)
class Authorizer:
    """Gets and keeps the Authorization headers for one registry, by what is to be done there."""

    session: aiohttp.ClientSession
    credentials: Credentials = ANONYMOUS
    _headers: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    def header(self, scope: str) -> str | None:
        """The header that worked for this scope and is still good."""
        if self.credentials.registry_token:
            return f"Bearer {self.credentials.registry_token}"
        value, expires = self._headers.get(scope, ("", 0.0))
        return value if value and time.monotonic() < expires else None

    def forget(self, scope: str) -> None:
        """The header was refused: do not use it again."""
        self._headers.pop(scope, None)

    async def answer(self, challenges: list[Challenge], scope: str) -> str | None:
        """A header for the scope that answers one of the challenges; None when there is nothing to answer with.

        Raises Unauthorized when the token service refuses, Unavailable when it cannot be reached.
        """
        by_scheme = {challenge.scheme: challenge for challenge in challenges}
        if "bearer" in by_scheme:
            header, lifetime = await self._fetch(by_scheme["bearer"], scope)
        elif "basic" in by_scheme and self.credentials.username:
            header, lifetime = self.credentials.basic(), float("inf")
        else:
            return None
        self._headers[scope] = (header, time.monotonic() + lifetime)
        return header

    async def _fetch(self, challenge: Challenge, scope: str) -> tuple[str, float]:
        realm = challenge.parameters.get("realm", "")
        if not realm.startswith(("http://", "https://")):
            raise Unauthorized(f"the registry asks for a token from {realm!r}, which is no address")
        service = challenge.parameters.get("service", "")
        scopes = [one for one in dict.fromkeys((*scope.split(), *challenge.parameters.get("scope", "").split())) if one]
        try:
            async with self._request(realm, service, scopes) as answer:
                body = await answer.content.read(_LARGEST_ANSWER)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"cannot get a token from {realm}: {error}", remedy="try again later") from error
        if status in {400, 401, 403}:
            raise Unauthorized(
                "unauthorized: incorrect username or password" if self.credentials.are_given else "unauthorized",
                remedy="log in with `sampan login`",
            )
        if status != 200:
            raise Unavailable(f"cannot get a token from {realm}: status {status}", remedy="try again later")
        try:
            token = msgspec.json.decode(body, type=_Token)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unavailable(f"{realm} gave no token: {error}") from error
        value = token.token or token.access_token
        if not value:
            raise Unavailable(f"{realm} gave no token")
        return f"Bearer {value}", max(token.expires_in or _SHORTEST_S, _SHORTEST_S) - _SPARE_S

    def _request(
        self, realm: str, service: str, scopes: list[str]
    ) -> aiohttp.client._RequestContextManager:  # the type has no public name
        if self.credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self.credentials.identity_token,
                "client_id": "sampan",
                "service": service,
                "scope": " ".join(scopes),
            }
            return self.session.post(realm, data=form)
        query = [("scope", scope) for scope in scopes]
        if service:
            query.append(("service", service))
        headers = {}
        if self.credentials.username:
            query.append(("account", self.credentials.username))
            headers["Authorization"] = self.credentials.basic()
        return self.session.get(realm, params=query, headers=headers)
