"""Image references: names as people write them, and what they mean.

Docker's grammar and its rules of short names: "debian" is "docker.io/library/debian", and "docker.io/library/debian"
is shown as "debian" again. Which image a reference stands for is not known here.

    reference := name [":" tag] ["@" digest]
    name      := [domain "/"] component ("/" component)*
    domain    := host [":" port]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self

from sampan.errors import InvalidArgument
from sampan.oci.digest import Digest, parse_digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_OLD_DEFAULT_DOMAIN = "index.docker.io"
_MAX_NAME = 255
_REMEDY = "write it as [host[:port]/]name[:tag], the name in small letters, digits, dots, dashes and underscores"

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_WRITTEN = re.compile(r"(?P<name>[^@]*?)(?::(?P<tag>[^:/@]*))?(?:@(?P<digest>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised reference: the domain is always there, `tag` and `digest` may be absent ("" and None)."""

    domain: str
    path: str
    tag: str = ""
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """The whole name without tag and digest: "docker.io/library/debian"."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it: "debian"."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """The familiar name with tag and digest."""
        return self.familiar_name + self._suffix()

    def __str__(self) -> str:
        return self.name + self._suffix()

    def with_default_tag(self) -> Self:
        """The same with the tag "latest" when it has neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_tag(self, tag: str) -> Self:
        """The same name with `tag` and without digest. InvalidArgument when `tag` is none."""
        return replace(self, tag=_checked_tag(tag), digest=None)

    def named(self) -> Self:
        """A name for an image that is being made: with a tag. InvalidArgument for a digest, which nobody may give."""
        if self.digest is not None:
            raise InvalidArgument("cannot import digest reference", remedy="give a name and a tag")
        return self.with_default_tag()

    def with_digest(self, digest: Digest) -> Self:
        """The same name and tag, pinned to `digest`."""
        return replace(self, digest=digest)

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag


def parse_reference(text: str) -> Reference:
    """The normalised reference written in `text`.

    Raises InvalidArgument with Docker's own words, which its clients match. 64 hex digits are an image's id and never
    a name.
    """
    if _IDENTIFIER.fullmatch(text):
        sentence = f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        raise InvalidArgument(sentence, remedy=_REMEDY)
    written = _WRITTEN.fullmatch(text)
    if not written or not written["name"]:
        raise _invalid(text)
    domain, path = _split_domain(written["name"])
    if path != path.lower():
        sentence = f"invalid reference format: repository name ({path}) must be lowercase"
        raise InvalidArgument(sentence, remedy=_REMEDY)
    if not _DOMAIN.fullmatch(domain) or not _PATH.fullmatch(path):
        raise _invalid(text)
    if len(path) > _MAX_NAME:
        sentence = f"invalid reference format: repository name must not be more than {_MAX_NAME} characters"
        raise InvalidArgument(sentence, remedy="choose a shorter name")
    tag = "" if written["tag"] is None else _checked_tag(written["tag"], text)
    digest = None if written["digest"] is None else _checked_digest(written["digest"], text)
    return Reference(domain, path, tag, digest)


def _split_domain(name: str) -> tuple[str, str]:
    """Domain and path; a first component with a dot, a port or an upper-case letter, or localhost, is a domain."""
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first or first != first.lower()):
        domain, path = first, rest
    else:
        domain, path = DEFAULT_DOMAIN, name
    if domain == _OLD_DEFAULT_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path


def _checked_tag(tag: str, text: str | None = None) -> str:
    if not _TAG.fullmatch(tag):
        raise InvalidArgument(f"invalid tag format: {tag!r}", remedy=_REMEDY) if text is None else _invalid(text)
    return tag


def _checked_digest(digest: str, text: str) -> Digest:
    try:
        return parse_digest(digest)
    except InvalidArgument:
        raise _invalid(text) from None


def _invalid(text: str) -> InvalidArgument:
    sentence = "invalid reference format" if text else "invalid reference format: the name is empty"
    return InvalidArgument(sentence, remedy=_REMEDY)
