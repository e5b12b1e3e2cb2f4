"""--build-context: images, directories and what addresses have, standing for names in the Dockerfile.

The daemon fetches from addresses. What is here becomes an image without a name there, which is removed after the build;
what steps took from it stays in the cache by its content.
"""

from __future__ import annotations

import os

from sampan.build.ignore import IgnoreRules, read_ignore_file
from sampan.cli.building.context import REMOTE
from sampan.cli.building.packing import pack_directory
from sampan.cli.grammar import Failure, UsageError
from sampan.cli.pulling import checked
from sampan.client.failure import ApiError
from sampan.client.json_text import dumps, loads
from sampan.client.session import Session, documents, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_IMAGE, _LAYOUT = "docker-image://", "oci-layout://"
_TAR = {"Content-Type": "application/x-tar"}
_LOADED = "Loaded image ID: "
_NAME = "org.opencontainers.image.ref.name"


class NamedContexts:
    """The contexts of one build, to be given back when it is over."""

    def __init__(self, session: Session, texts: list[str]) -> None:
        """UsageError for what is no context; nothing is sent yet."""
        self._session = session
        self._made: list[str] = []
        self._places: dict[str, str] = {}
        for text in texts:
            name, mark, place = text.partition("=")
            if not name or not place or not mark:
                raise UsageError(f"--build-context {text!r} is no pair", remedy="write NAME=DIRECTORY", code=1)
            if not place.startswith((_IMAGE, _LAYOUT, *REMOTE)) and not os.path.isdir(place):
                raise UsageError(
                    f"--build-context {text}: {place} is no directory",
                    remedy=f"give a directory, an address, {_IMAGE}NAME or {_LAYOUT}DIRECTORY",
                    code=1,
                )
            self._places[name] = place

    def images(self) -> dict[str, str]:
        """The image or address for each name; what is neither is sent now."""
        return {name: self._image(place) for name, place in self._places.items()}

    def _image(self, place: str) -> str:
        if place.startswith(_IMAGE):
            return place.removeprefix(_IMAGE)
        if place.startswith(_LAYOUT):
            return self._load(place.removeprefix(_LAYOUT))
        return _address(place) if place.startswith(REMOTE) else self._send(place)

    def give_back(self) -> None:
        """Remove what was sent, but for what has a name."""
        for image in self._made:
            try:
                if not self._session.call("GET", f"/images/{quote(image)}/json").get("RepoTags"):
                    self._session.call("DELETE", f"/images/{quote(image)}", {"force": True})
            except ApiError:
                continue  # something stands on it, or it is gone

    def _send(self, directory: str) -> str:
        root = os.path.realpath(directory)
        path = os.path.join(root, ".dockerignore")
        rules = None
        if os.path.isfile(path):
            with open(path, "rb") as file:
                rules = read_ignore_file(file.read())
        body = pack_directory(root, rules, {})
        last = ""
        for message in self._session.stream("POST", "/images/create", {"fromSrc": "-"}, body):
            if message.get("error"):
                raise Failure(f"{directory} cannot be sent: {message['error']}")
            last = str(message.get("status") or last)
        self._made.append(last)
        return last

    def _load(self, place: str) -> str:
        """One image of an OCI layout, DIRECTORY[:NAME] or DIRECTORY@DIGEST, without its names."""
        directory, digest, name = _parts(place)
        index = _document(directory, "index.json")
        fitting = [
            one
            for one in index.get("manifests", [])
            if digest in {"", one["digest"]} and name in {"", (one.get("annotations") or {}).get(_NAME)}
        ]
        if len(fitting) != 1:
            found = f"{len(fitting)} images" if fitting else f"no image {name or digest}".rstrip()
            remedy = "name one that it has: oci-layout://DIRECTORY:TAG or oci-layout://DIRECTORY@sha256:…"
            raise Failure(f"{directory} has {found}", remedy=remedy)
        manifest = _document(directory, f"blobs/{fitting[0]['digest'].replace(':', '/')}")
        image_id: str = (manifest.get("config") or {}).get("digest", "")
        if image_id and self._is_here(image_id):
            return image_id
        index["manifests"] = [{key: value for key, value in fitting[0].items() if key != "annotations"}]
        files = {"index.json": dumps(index)}
        body = pack_directory(os.path.realpath(directory), IgnoreRules(["manifest.json"]), files)
        return self._told(self._session.request("POST", "/images/load", None, body, _TAR).chunks(), place)

    def _is_here(self, image_id: str) -> bool:
        try:
            self._session.call("GET", f"/images/{quote(image_id)}/json")
        except ApiError:
            return False
        return True

    def _told(self, chunks: Iterator[bytes], place: str) -> str:
        """The id of the image that the stream tells of, which is ours to remove."""
        image_id = ""
        try:
            for message in checked(documents(chunks)):
                image_id = str(message.get("stream", "")).partition(_LOADED)[2].strip() or image_id
        except Failure as error:
            raise Failure(f"{place} cannot be had: {error.sentence}", remedy=error.remedy) from None
        if not image_id:
            raise Failure(f"the daemon made no image of {place}")
        self._made.append(image_id)
        return image_id


def _address(place: str) -> str:
    """The address as the daemon knows one."""
    if not place.startswith("github.com/"):
        return place
    url, mark, rest = place.partition("#")
    return f"https://{url.removesuffix('.git')}.git{mark}{rest}"


def _parts(place: str) -> tuple[str, str, str]:
    """Directory, digest and name; a directory may have colons in its own name."""
    directory, mark, digest = place.partition("@sha256:")
    if mark or os.path.isdir(directory):
        return directory, f"sha256:{digest}" if mark else "", ""
    before, colon, name = directory.rpartition(":")
    return (before, "", name) if colon else (directory, "", "")


def _document(directory: str, name: str) -> dict[str, Any]:
    try:
        with open(os.path.join(directory, name), "rb") as file:
            document: dict[str, Any] = loads(file.read())
            return document
    except (OSError, ValueError):
        remedy = "give a directory as `sampan build -o type=oci,tar=false` writes it"
        raise Failure(f"{directory} is no OCI layout: {name} cannot be read", remedy=remedy) from None
