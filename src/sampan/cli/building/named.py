"""--build-context: images and directories that stand for names in the Dockerfile.

A directory is sent to the daemon as an image without a name, which is removed after the build; what steps took from it
stays in the cache by its content.
"""

from __future__ import annotations

import os

from sampan.build.ignore import read_ignore_file
from sampan.cli.building.packing import pack_directory
from sampan.cli.grammar import Failure, UsageError
from sampan.client.failure import ApiError
from sampan.client.session import Session, quote

_IMAGE = "docker-image://"


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
            if not place.startswith(_IMAGE) and not os.path.isdir(place):
                raise UsageError(
                    f"--build-context {text}: {place} is no directory",
                    remedy=f"give a directory, or {_IMAGE}NAME",
                    code=1,
                )
            self._places[name] = place

    def images(self) -> dict[str, str]:
        """The image for each name; directories are sent now."""
        return {
            name: place.removeprefix(_IMAGE) if place.startswith(_IMAGE) else self._send(place)
            for name, place in self._places.items()
        }

    def give_back(self) -> None:
        """Remove what was sent."""
        for image in self._made:
            try:
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
