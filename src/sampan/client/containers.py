"""All containers as one thing: find them, list them, make them, run them (docker-py's ContainerCollection)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, Unpack, overload

from sampan.client.container import Container, read_ending
from sampan.client.creation import create_document
from sampan.client.documents import CreateOptions, Pruned
from sampan.client.failure import ContainerError, ImageNotFoundError, NotFoundError
from sampan.client.filters import filters_text
from sampan.client.frames import STDERR, split_streams
from sampan.client.session import Session, quote
from sampan.client.transport import ConnectionLost


@dataclass(frozen=True, slots=True)
class Containers:
    """The containers of one daemon."""

    session: Session

    def get(self, name: str) -> Container:
        """The container with this name or id. Raises NotFoundError: there is none."""
        return Container(self.session, self.session.call("GET", f"/containers/{quote(name)}/json"))

    def list(
        self, *, all: bool = False, filters: Mapping[str, object] | None = None, limit: int = -1, sparse: bool = False
    ) -> list[Container]:
        """Those that run, or all; with `sparse` only what the list itself tells of each."""
        query = {"all": all, "filters": filters_text(filters), "limit": limit if limit > 0 else None}
        found: list[Container] = []
        for document in self.session.call("GET", "/containers/json", query):
            if sparse:
                found.append(Container(self.session, document))
                continue
            try:
                found.append(self.get(document["Id"]))
            except NotFoundError:
                continue  # removed since the list was made
        return found

    def create(
        self, image: str, command: str | Iterable[str] | None = None, **options: Unpack[CreateOptions]
    ) -> Container:
        """Make a container without starting it. Raises ImageNotFoundError: the image is not there."""
        query = {"name": options.get("name"), "platform": options.get("platform")}
        body = create_document(image, command, options)
        return self.get(self.session.call("POST", "/containers/create", query, body)["Id"])

    @overload
    def run(
        self,
        image: str,
        command: str | Iterable[str] | None = None,
        *,
        detach: Literal[True],
        remove: bool = False,
        **options: Unpack[CreateOptions],
    ) -> Container: ...

    @overload
    def run(
        self,
        image: str,
        command: str | Iterable[str] | None = None,
        *,
        detach: Literal[False] = False,
        remove: bool = False,
        stdout: bool = True,
        stderr: bool = False,
        stream: Literal[False] = False,
        **options: Unpack[CreateOptions],
    ) -> bytes: ...

    @overload
    def run(
        self,
        image: str,
        command: str | Iterable[str] | None = None,
        *,
        detach: Literal[False] = False,
        remove: bool = False,
        stdout: bool = True,
        stderr: bool = False,
        stream: Literal[True],
        **options: Unpack[CreateOptions],
    ) -> Iterator[bytes]: ...

    def run(
        self,
        image: str,
        command: str | Iterable[str] | None = None,
        *,
        detach: bool = False,
        remove: bool = False,
        stdout: bool = True,
        stderr: bool = False,
        stream: bool = False,
        **options: Unpack[CreateOptions],
    ) -> Container | bytes | Iterator[bytes]:
        """Make a container and run it; its output when it has ended, or the container itself with `detach`.

        A missing image is pulled. Raises ContainerError: it ended with a code other than 0.
        """
        if remove and detach:
            options["auto_remove"] = True
        try:
            container = self.create(image, command, **options)
        except ImageNotFoundError:
            self._pull(image, options.get("platform"))
            container = self.create(image, command, **options)
        if detach:
            container.start()
            return container
        running = Running(container, remove=remove)
        if stream:
            return running.stream(stdout=stdout, stderr=stderr)
        output, said, code = running.finish(stdout=stdout, stderr=stderr)
        if code:
            raise ContainerError(container.name, code, command, image, said)
        return output

    def prune(self, filters: Mapping[str, object] | None = None) -> Pruned:
        """Remove all that do not run."""
        found: Pruned = self.session.call("POST", "/containers/prune", {"filters": filters_text(filters)})
        return found

    def _pull(self, image: str, platform: str | None) -> None:
        from sampan.client.images import Images

        Images(self.session).pull(image, platform=platform)


class Running:
    """A container that has been started to be followed to its end.

    It is attached to and waited for before its start, so nothing depends on a log that can be read, nor on a container
    that is still there when it has ended.
    """

    def __init__(self, container: Container, *, remove: bool) -> None:
        auto = bool(container.attrs["HostConfig"].get("AutoRemove"))
        self._container = container
        self._remove = remove and not auto
        self._ending = container.begin_wait("removed" if auto else "next-exit")
        try:
            self._output = container.attach_socket(stdin=False)
            try:
                container.start()
            except BaseException:
                self._output.close()
                raise
        except BaseException:
            self._ending.close()
            if self._remove:
                container.remove(force=True)
            raise

    def stream(self, *, stdout: bool, stderr: bool) -> Iterator[bytes]:
        """What it prints, as it comes; at the end it is removed when that was asked for."""
        with closing(self._ending), self._output as output:
            for number, data in split_streams(output.chunks(), multiplexed=output.multiplexed):
                if stderr if number == STDERR else stdout:
                    yield data
            self._settle()

    def finish(self, *, stdout: bool, stderr: bool) -> tuple[bytes, bytes, int]:
        """What of its output was asked for, its standard error, and its exit code."""
        with closing(self._ending), self._output as output:
            pieces = list(split_streams(output.chunks(), multiplexed=output.multiplexed))
            code = self._settle()
        wanted = [data for number, data in pieces if (stderr if number == STDERR else stdout)]
        return b"".join(wanted), b"".join(data for number, data in pieces if number == STDERR), code

    def _settle(self) -> int:
        try:
            code = read_ending(self._ending)["StatusCode"]
        except ConnectionLost:  # another daemon may have taken over since; the container does not notice
            code = self._container.wait()["StatusCode"]
        if self._remove:
            self._container.remove()
        return code
