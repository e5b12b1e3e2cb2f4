"""What a registry says without anything being pulled: what a name stands for there, and which names fit a term."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.errors import InvalidArgument, Unauthorized
from sampan.image.auth import Credentials
from sampan.image.registry import Found, Registry
from sampan.image.registry_http import RegistrySettings
from sampan.oci.image_spec import Descriptor, Index, Platform, decode_config, decode_manifest_or_index
from sampan.oci.reference import DEFAULT_DOMAIN, parse_reference

_LARGEST_CONFIG = 16 << 20
_MOST = 100


@dataclass(frozen=True, slots=True)
class Distributed:
    """What a name stands for in its registry: the manifest or index, and the platforms that it is for."""

    descriptor: Descriptor
    platforms: tuple[Platform, ...]


async def look_up(settings: RegistrySettings, name: str, credentials: Credentials) -> Distributed:
    """Ask the registry of `name`. Raises NotFound, Unauthorized or Unavailable in Docker's words."""
    reference = parse_reference(name).with_default_tag()
    async with Registry(reference.domain, settings, credentials) as registry:
        fetched = await registry.manifest(reference.path, str(reference.digest or reference.tag))
        document = decode_manifest_or_index(fetched.content, fetched.media_type)
        if isinstance(document, Index):
            platforms = tuple(one.platform for one in document.manifests if one.platform is not None)
        else:
            config = decode_config(await registry.blob(reference.path, document.config.digest, _LARGEST_CONFIG))
            platforms = (Platform(architecture=config.architecture, os=config.os, variant=config.variant),)
    media_type = document.media_type or fetched.media_type
    return Distributed(Descriptor(media_type=media_type, digest=fetched.digest, size=len(fetched.content)), platforms)


async def log_in(settings: RegistrySettings, domain: str, credentials: Credentials) -> None:
    """See that a registry (Docker Hub when empty) takes the credentials. Raises Unauthorized or Unavailable."""
    host = domain.removeprefix("https://").removeprefix("http://").partition("/")[0]
    if host in {"", f"index.{DEFAULT_DOMAIN}"}:
        host = DEFAULT_DOMAIN
    async with Registry(host, settings, credentials) as registry:
        try:
            await registry.check()
        except Unauthorized as error:
            raise Unauthorized(
                "unauthorized: incorrect username or password",
                remedy="check both; some registries want an access token in the password's place",
            ) from error


async def search(settings: RegistrySettings, term: str, most: int, credentials: Credentials) -> list[Found]:
    """Repositories that fit a term, at Docker Hub, or with "registry.example/term" at that registry.

    Raises InvalidArgument for a limit that is out of range and for a term with a scheme.
    """
    if not 1 <= most <= _MOST:
        raise InvalidArgument(f"limit {most} is outside the range of [1, {_MOST}]", remedy="ask for fewer")
    if "://" in term:
        raise InvalidArgument(
            f"invalid repository name ({term}): do not include scheme", remedy="leave the http:// out"
        )
    host, slash, rest = term.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        domain, words = (
            (f"index.{DEFAULT_DOMAIN}" if host in {DEFAULT_DOMAIN, f"index.{DEFAULT_DOMAIN}"} else host),
            rest,
        )
    else:
        domain, words = f"index.{DEFAULT_DOMAIN}", term
    async with Registry(domain, settings, credentials) as registry:
        return await registry.search(words, most)
