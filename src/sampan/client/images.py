"""Images: find, list, get and remove them (docker-py's ImageCollection and Image)."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Unpack

from sampan.client.creation import one_or_more
from sampan.client.documents import BuildOptions, Pruned
from sampan.client.failure import ApiError, BuildError, NamelessError
from sampan.client.filters import filters_text
from sampan.client.noun import Noun
from sampan.client.session import Session, documents, quote
from sampan.client.transport import Response

Documents = list[dict[str, Any]]
Removed = list[dict[str, str]]
_TAR = {"Content-Type": "application/x-tar"}


class Image(Noun):
    """An image as it was when it was looked at."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<image {self.short_id} {', '.join(self.tags)}>"

    @property
    def id(self) -> str:
        """The id, with its algorithm."""
        return str(self.attrs["Id"])

    @property
    def short_id(self) -> str:
        """The id's algorithm and its first twelve digits."""
        return self.id[:19] if self.id.startswith("sha256:") else self.id[:12]

    @property
    def tags(self) -> list[str]:
        """Its names."""
        return [tag for tag in self.attrs.get("RepoTags") or [] if tag != "<none>:<none>"]

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict((self.attrs.get("Config") or self.attrs).get("Labels") or {})

    def history(self) -> list[dict[str, Any]]:
        """Its layers, the newest first."""
        found: list[dict[str, Any]] = self.session.call("GET", f"/images/{self.id}/history")
        return found

    def tag(self, repository: str, tag: str | None = None) -> bool:
        """Give it a further name."""
        self.session.call("POST", f"/images/{self.id}/tag", {"repo": repository, "tag": tag})
        return True

    def save(self) -> Iterator[bytes]:
        """A tar archive of it, in pieces."""
        return self.session.request("GET", "/images/get", {"names": self.tags[0] if self.tags else self.id}).pieces()

    def remove(self, *, force: bool = False, noprune: bool = False) -> list[dict[str, str]]:
        """Remove it and all its names."""
        found: list[dict[str, str]] = self.session.call(
            "DELETE", f"/images/{self.id}", {"force": force, "noprune": noprune}
        )
        return found

    def reload(self) -> None:
        """Look again."""
        self.attrs = self.session.call("GET", f"/images/{self.id}/json")


ImageList = list[Image]


@dataclass(frozen=True, slots=True)
class Images:
    """The images of one daemon."""

    session: Session

    def get(self, name: str) -> Image:
        """The image with this name or id. Raises ImageNotFoundError: there is none."""
        return Image(self.session, self.session.call("GET", f"/images/{quote(name)}/json"))

    def list(
        self, name: str | None = None, *, all: bool = False, filters: Mapping[str, object] | None = None
    ) -> list[Image]:
        """The images there are; with `name` those of this repository."""
        wanted = {**(filters or {}), **({"reference": name} if name else {})}
        query = {"all": all, "filters": filters_text(wanted)}
        return [Image(self.session, document) for document in self.session.call("GET", "/images/json", query)]

    def build(
        self,
        path: str | None = None,
        *,
        fileobj: bytes | Iterable[bytes] | None = None,
        custom_context: bool = False,
        **options: Unpack[BuildOptions],
    ) -> tuple[Image, Documents]:
        """Build the directory `path`, what the daemon fetches from the address `path`, or the Dockerfile `fileobj`.

        With `custom_context` `fileobj` is an archive of a directory. Gives the image and the daemon's messages. Raises
        BuildError: a step failed; OSError: a file cannot be read.
        """
        from sampan.client import building

        if (path is None) == (fileobj is None):
            raise TypeError("build() takes a path or a fileobj")
        query = building.build_query(options)
        with tempfile.TemporaryFile() as packed:
            body: bytes | Iterable[bytes] | None = packed
            if fileobj is not None and custom_context:
                body = fileobj
            elif fileobj is not None:
                building.pack_dockerfile(packed, fileobj)
            elif path is not None and building.is_remote(path):
                query["remote"], body = path, None
            elif path is not None:
                building.pack_directory(packed, path, options.get("dockerfile") or "Dockerfile")
            packed.seek(0)
            log = _build_log(self.session.request("POST", "/build", query, body, _TAR))
        made = [message["aux"]["ID"] for message in log if "ID" in (message.get("aux") or {})]
        if not made:
            raise BuildError("the daemon told no image", log)
        return self.get(made[-1]), log

    def pull(
        self,
        repository: str,
        tag: str | None = None,
        *,
        platform: str | None = None,
        auth_config: dict[str, str] | None = None,
    ) -> Image:
        """Get an image from its registry. Raises ClientError: the daemon cannot."""
        from sampan.client.references import join_reference, split_reference

        name, named = split_reference(repository)
        if not name:
            raise NamelessError("image")
        tag = tag or named or "latest"
        query = {"fromImage": name, "tag": tag, "platform": platform}
        headers = {"X-Registry-Auth": encoded_auth(auth_config)} if auth_config else None
        _messages(self.session.request("POST", "/images/create", query, None, headers))
        return self.get(join_reference(name, tag))

    def push(self, repository: str, tag: str | None = None, *, auth_config: dict[str, str] | None = None) -> Documents:
        """Give an image to its registry; gives the daemon's messages."""
        headers = {"X-Registry-Auth": encoded_auth(auth_config or {})}
        response = self.session.request("POST", f"/images/{quote(repository)}/push", {"tag": tag}, None, headers)
        return _messages(response)

    def load(self, data: bytes | Iterable[bytes]) -> ImageList:
        """Take the images in a tar archive that `save` made."""
        response = self.session.request("POST", "/images/load", {"quiet": 1}, data, _TAR)
        texts = [str(message.get("stream", "")).strip() for message in _messages(response)]
        return [self.get(text.rpartition(": ")[2]) for text in texts if text.startswith("Loaded image")]

    def import_image(
        self,
        data: bytes | Iterable[bytes],
        repository: str,
        tag: str | None = None,
        *,
        changes: str | Iterable[str] = (),
    ) -> Image:
        """Make an image of a tar archive of files."""
        query = {"fromSrc": "-", "repo": repository, "tag": tag or "latest", "changes": one_or_more(changes)}
        response = self.session.request("POST", "/images/create", query, data, _TAR)
        messages = _messages(response)
        return self.get(str(messages[-1]["status"]))

    def remove(self, image: str, *, force: bool = False, noprune: bool = False) -> Removed:
        """Take a name from an image, and with the last one the image."""
        found: Removed = self.session.call("DELETE", f"/images/{quote(image)}", {"force": force, "noprune": noprune})
        return found

    def prune(self, filters: Mapping[str, object] | None = None) -> Pruned:
        """Remove those that nothing uses."""
        found: Pruned = self.session.call("POST", "/images/prune", {"filters": filters_text(filters)})
        return found

    def search(self, term: str, *, limit: int | None = None) -> Documents:
        """Look for images in the registry."""
        found: Documents = self.session.call("GET", "/images/search", {"term": term, "limit": limit})
        return found


def _messages(response: Response) -> Documents:
    """What the daemon says while it works. Raises ApiError: that it cannot."""
    messages = []
    for message in documents(response.pieces()):
        if message.get("error"):
            raise ApiError(500, str(message["error"]))
        messages.append(message)
    return messages


def _build_log(response: Response) -> Documents:
    log: Documents = []
    for message in documents(response.pieces()):
        log.append(message)
        if message.get("error"):
            remedy = (message.get("errorDetail") or {}).get("remedy") or ""
            raise BuildError(str(message["error"]), log, remedy=str(remedy))
    return log


def encoded_auth(auth: dict[str, str]) -> str:
    """Credentials as the X-Registry-Auth header takes them."""
    return base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()
