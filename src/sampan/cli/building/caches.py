"""--cache-to and --cache-from: a build's cache in a registry, in a directory, or in the image itself.

The daemon makes an image of the cache (`cacheto`); carrying it is what carries images anyway. What cannot be had is
told and the build goes on without it; what cannot be given away is an error.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile

from sampan.cli.building.packing import pack_directory
from sampan.cli.copying import Reader
from sampan.cli.grammar import Failure, UsageError
from sampan.cli.pulling import checked, pull_image, push_image
from sampan.client.failure import ApiError
from sampan.client.references import split_reference
from sampan.client.session import Session, documents, quote

_LAYOUT = "oci-layout"
_KINDS = frozenset({"inline", "local", "registry"})
_LOADED = "Loaded image ID: "


def _fields(option: str, text: str) -> dict[str, str]:
    """The fields of one option; UsageError for a kind that is not there."""
    if "=" not in text:
        return {"type": "image" if option == "cache-from" else "registry", "ref": text}
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    kind = fields.setdefault("type", "registry")
    if kind not in _KINDS or (kind == "inline" and option == "cache-from"):
        remedy = "registry,ref=NAME, local,dest=DIRECTORY or inline"
        if option == "cache-from":
            remedy = "registry,ref=NAME or local,src=DIRECTORY; an image with an inline cache is a registry's too"
        raise UsageError(f"--{option} {text}: there is no type {kind!r}", remedy=f"type={remedy}", code=1)
    needed = {"registry": "ref", "local": "src" if option == "cache-from" else "dest"}.get(kind, "type")
    if not fields.get(needed):
        raise UsageError(f"--{option} {text} has no {needed}", remedy=f"add {needed}=…", code=1)
    if fields.get("mode", "min") not in {"min", "max"}:
        raise UsageError(f"--{option} {text}: there is no mode {fields['mode']!r}", remedy="min or max", code=1)
    return fields


class Caches:
    """The caches of one build: where they come from, and where they go to."""

    def __init__(self, session: Session, sources: list[str], targets: list[str]) -> None:
        """UsageError for what is none; nothing is asked of the daemon yet."""
        self._session = session
        self._sources = [_fields("cache-from", text) for text in sources]
        self._targets = [_fields("cache-to", text) for text in targets]
        self._made: list[str] = []

    @property
    def mode(self) -> str:
        """What the daemon is to make an image of: "" for nothing, since an image is its own inline cache."""
        given = [fields.get("mode", "min") for fields in self._targets if fields["type"] != "inline"]
        return max(given, key="min max".index) if given else ""

    def names(self) -> list[str]:
        """The images to build from, fetched now; those that cannot be had are told of and left out."""
        found = []
        for fields in self._sources:
            try:
                found.append(self._fetch(fields))
            except (ApiError, Failure, OSError) as error:
                shown = fields.get("ref") or fields.get("src")
                why = error.sentence if isinstance(error, ApiError | Failure) else error.strerror
                sys.stderr.write(f"sampan: no cache from {shown}: {why}\n")
        return found

    def give(self, image_id: str) -> None:
        """Carry the cache to where it is to be. Failure when that cannot be."""
        self._made.append(image_id)
        for fields in self._targets:
            if fields["type"] == "local":
                self._write(image_id, fields["dest"])
            elif fields["type"] == "registry":
                self._push(image_id, fields["ref"])

    def give_back(self) -> None:
        """Remove from the daemon what was there for this build alone."""
        for image in self._made:
            try:
                self._session.call("DELETE", f"/images/{quote(image)}", {"force": True})
            except ApiError:
                continue  # it is gone, or something stands on it

    def _fetch(self, fields: dict[str, str]) -> str:
        if fields["type"] == "local":
            return self._load(fields["src"])
        if fields["type"] == "registry":
            self._pull(fields["ref"])
        else:
            self._session.call("GET", f"/images/{quote(fields['ref'])}/json")
        return fields["ref"]

    def _pull(self, reference: str) -> None:
        try:
            pull_image(self._session, reference, out=None)
        except (ApiError, Failure):
            self._session.call("GET", f"/images/{quote(reference)}/json")  # it may be here; else that is the error

    def _load(self, directory: str) -> str:
        if not os.path.exists(os.path.join(directory, _LAYOUT)):
            raise Failure("it is no directory of --cache-to type=local")
        body = pack_directory(os.path.realpath(directory), None, {})
        response = self._session.request("POST", "/images/load", None, body, {"Content-Type": "application/x-tar"})
        text = "".join(str(message.get("stream", "")) for message in checked(documents(response.chunks())))
        image_id = text.partition(_LOADED)[2].split("\n")[0].strip()
        if not image_id:
            raise Failure("the daemon took no image out of it")
        self._made.append(image_id)
        return image_id

    def _write(self, image_id: str, directory: str) -> None:
        """The directory is an OCI image layout; what one of an earlier build has is replaced."""
        os.makedirs(directory, exist_ok=True)
        if os.listdir(directory) and not os.path.exists(os.path.join(directory, _LAYOUT)):
            raise Failure(f"{directory} has other files than a cache", remedy="give an empty directory")
        shutil.rmtree(os.path.join(directory, "blobs"), ignore_errors=True)
        response = self._session.request("GET", f"/images/{quote(image_id)}/get")
        try:
            with tarfile.open(fileobj=Reader(response.chunks()), mode="r|") as tar:  # type: ignore[call-overload]
                tar.extractall(directory, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise Failure(f"the cache cannot be written to {directory}: {error}", remedy="free space") from None
        finally:
            response.close()

    def _push(self, image_id: str, reference: str) -> None:
        name, tag = split_reference(reference)
        self._session.call("POST", f"/images/{quote(image_id)}/tag", {"repo": name, "tag": tag or "latest"})
        try:
            push_image(self._session, reference, out=None)
        except (ApiError, Failure) as error:
            raise Failure(f"the cache cannot be given to {reference}: {error.sentence}", remedy=error.remedy) from None
