"""--output: the image that was built, also as files: type=docker|oci|tar|local, or left with the daemon.

Archives go to standard output when nothing says where to; `docker` alone means the daemon, as in buildx.
"""

from __future__ import annotations

import csv
import os
import stat
import tarfile

from sampan.cli.archives import write_archive
from sampan.cli.copying import Reader
from sampan.cli.grammar import Failure, UsageError
from sampan.client.failure import NotFoundError
from sampan.client.session import Session, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.client.session import Query

_FILES = frozenset({"docker", "oci", "tar"})
_TYPES = _FILES | {"local", "image", "registry", "cacheonly"}
_YES, _NO = frozenset({"true", "1"}), frozenset({"false", "0"})
_SWITCHES = ("push", "tar")
_KEYS = frozenset({"type", "dest", "name", *_SWITCHES})
# Kept for buildx's scripts: how BuildKit packs and keeps an image, which is for the daemon to know here.
_OF_BUILDKIT = frozenset(
    (
        "compression compression-level force-compression oci-mediatypes rewrite-timestamp unpack store "
        "name-canonical dangling-name-prefix platform-split context buildinfo registry.insecure"
    ).split()
)


class Output:
    """One --output: what kind, where to ("-" is standard output), names for the image, and whether it is pushed."""

    __slots__ = ("in_folder", "kind", "names", "place", "pushes")

    def __init__(self, text: str) -> None:
        """Raises UsageError for what is no output."""
        fields = _fields(text) if "=" in text else {"dest": text}
        _refuse(text, fields)
        self.place = fields.get("dest", "")
        self.kind = fields.get("type") or ("tar" if self.place == "-" else "local")
        if self.kind not in _TYPES:
            raise UsageError(f"--output {text}: no type {self.kind!r}", remedy=", ".join(sorted(_TYPES)), code=1)
        if self.kind == "local" and not self.place:
            raise UsageError(f"--output {text} does not say where to", remedy="add dest=PATH", code=1)
        if self.kind == "docker" and not self.place:
            self.kind = "image"
        if self.kind in _FILES:
            self.place = self.place or "-"
        self.names = [name.strip() for name in fields.get("name", "").split(",") if name.strip()]
        self.pushes = self.kind == "registry" or (self.kind == "image" and fields.get("push") in _YES)
        self.in_folder = self.kind == "local" or (self.kind == "oci" and fields.get("tar") in _NO)
        if self.in_folder and self.place == "-":
            raise UsageError(f"--output {text}: a directory is no stream", remedy="say type=tar", code=1)

    @property
    def is_stream(self) -> bool:
        """Whether it goes to standard output, where nothing else may be written then."""
        return self.place == "-"

    def write(self, session: Session, image_id: str, tags: list[str]) -> None:
        """Write it. Failure when it cannot be written."""
        query: Query = {"names": tags or [image_id]}
        if self.kind in {"docker", "oci"} and not self.in_folder:
            write_archive(session, "/images/get", query, "" if self.is_stream else self.place)
        elif self.kind in {"docker", "oci"}:
            self._unpacked(session, "/images/get", query)
        elif self.kind in {"tar", "local"}:
            self._files(session, image_id)

    def _files(self, session: Session, image_id: str) -> None:
        """The files of the image."""
        try:
            self._written(session, f"/images/{quote(image_id)}/files")
        except NotFoundError:  # of Docker's daemon
            self._files_of_container(session, image_id)

    def _written(self, session: Session, path: str) -> None:
        if self.kind == "tar":
            write_archive(session, path, None, "" if self.is_stream else self.place)
        else:
            self._unpacked(session, path, None)

    def _files_of_container(self, session: Session, image_id: str) -> None:
        """The files of the image, by way of a container that never starts, with what that adds to them."""
        body = {"Image": image_id, "Cmd": ["none"], "HostConfig": {"NetworkMode": "none"}}
        container = session.call("POST", "/containers/create", None, body)["Id"]
        try:
            self._written(session, f"/containers/{quote(container)}/export")
        finally:
            session.call("DELETE", f"/containers/{quote(container)}", {"force": True, "v": True})

    def _unpacked(self, session: Session, path: str, query: Query | None) -> None:
        os.makedirs(self.place, exist_ok=True)
        response = session.request("GET", path, query)
        try:
            self._unpack(Reader(response.chunks()))
        finally:
            response.close()  # or else the daemon would wait for it to be read, and the removal for the daemon

    def _unpack(self, archive: Reader) -> None:
        """The files below the directory, nowhere else, as those of whoever asks."""
        try:
            with tarfile.open(fileobj=archive, mode="r|") as tar:  # type: ignore[call-overload]
                tar.extractall(self.place, numeric_owner=True, filter=_taken_over)  # noqa: S202 - it confines
        except tarfile.TarError as error:
            raise Failure(f"the files cannot be written to {self.place}: {error}", remedy="say type=tar") from None


def _fields(text: str) -> dict[str, str]:
    """KEY=VALUE,… with quotes around what holds commas, as buildx reads it."""
    return dict(part.partition("=")[::2] for part in next(csv.reader([text])))


def _refuse(text: str, fields: dict[str, str]) -> None:
    for key in fields:
        if key not in _KEYS and key not in _OF_BUILDKIT:
            remedy = "type, dest, name, push and tar are what there is"
            if key.startswith("annotation"):
                remedy = "labels do the same for one image: --label"
            raise UsageError(f"--output {text}: {key!r} is not there", remedy=remedy, code=1)
    for key in _SWITCHES:
        if fields.get(key, "true") not in _YES | _NO:
            raise UsageError(f"--output {text}: {key} is no yes or no", remedy=f"{key}=true or {key}=false", code=1)
    if "=" in text and "type" not in fields:
        raise UsageError(f"--output {text} has no type", remedy=f"add type=, {', '.join(sorted(_TYPES))}", code=1)


def _taken_over(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """An entry of the caller's, with the mode that it has in the image, but for the bits that lend an identity."""
    confined = tarfile.tar_filter(member, place)
    mode = member.mode & ~(stat.S_ISUID | stat.S_ISGID)
    return confined.replace(mode=mode, uid=os.geteuid(), gid=os.getegid(), uname="", gname="", deep=False)
