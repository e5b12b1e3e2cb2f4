"""--output: the image that was built, also as files: type=docker|oci|tar|local, or left with the daemon (image).

Archives go to standard output when nothing says where to; `docker` alone means the daemon, as in buildx.
"""

from __future__ import annotations

import os
import stat
import tarfile

from sampan.cli.archives import write_archive
from sampan.cli.copying import Reader
from sampan.cli.grammar import Failure, UsageError
from sampan.client.session import Session, quote

_FILES = frozenset({"docker", "oci", "tar"})
_TYPES = _FILES | {"local", "image", "registry"}


class Output:
    """One --output: what kind, and where to; "-" is standard output."""

    __slots__ = ("kind", "place")

    def __init__(self, text: str) -> None:
        """Raises UsageError for what is no output."""
        fields = dict(part.partition("=")[::2] for part in text.split(",")) if "=" in text else {"dest": text}
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
        if self.kind == "local" and self.place == "-":
            raise UsageError(f"--output {text}: a directory is no stream", remedy="say type=tar", code=1)

    @property
    def is_stream(self) -> bool:
        """Whether it goes to standard output, where nothing else may be written then."""
        return self.place == "-"

    @property
    def pushes(self) -> bool:
        """Whether the image goes to its registry."""
        return self.kind == "registry"

    def write(self, session: Session, image_id: str, tags: list[str]) -> None:
        """Write it. Failure when it cannot be written."""
        if self.kind in {"docker", "oci"}:
            target = "" if self.is_stream else self.place
            write_archive(session, "/images/get", {"names": tags or [image_id]}, target)
        elif self.kind in {"tar", "local"}:
            self._files(session, image_id)

    def _files(self, session: Session, image_id: str) -> None:
        """The files of the image, by way of a container that never starts."""
        body = {"Image": image_id, "Cmd": ["none"], "HostConfig": {"NetworkMode": "none"}}
        container = session.call("POST", "/containers/create", None, body)["Id"]
        try:
            path = f"/containers/{quote(container)}/export"
            if self.kind == "tar":
                write_archive(session, path, None, "" if self.is_stream else self.place)
            else:
                os.makedirs(self.place, exist_ok=True)
                response = session.request("GET", path)
                try:
                    self._unpack(Reader(response.chunks()))
                finally:
                    response.close()  # or else the daemon would wait for it to be read, and the removal for the daemon
        finally:
            session.call("DELETE", f"/containers/{quote(container)}", {"force": True, "v": True})

    def _unpack(self, archive: Reader) -> None:
        """The files below the directory, nowhere else, as those of whoever asks."""
        try:
            with tarfile.open(fileobj=archive, mode="r|") as tar:  # type: ignore[call-overload]
                tar.extractall(self.place, numeric_owner=True, filter=_taken_over)  # noqa: S202 - it confines
        except tarfile.TarError as error:
            raise Failure(f"the files cannot be written to {self.place}: {error}", remedy="say type=tar") from None


def _taken_over(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """An entry of the caller's, with the mode that it has in the image, but for the bits that lend an identity."""
    confined = tarfile.tar_filter(member, place)
    mode = member.mode & ~(stat.S_ISUID | stat.S_ISGID)
    return confined.replace(mode=mode, uid=os.geteuid(), gid=os.getegid(), uname="", gname="", deep=False)
