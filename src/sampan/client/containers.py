"""All containers as one thing: find them, list them, make them, run them (docker-py's ContainerCollection)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Unpack, overload

from sampan.client.container import Container
from sampan.client.creation import create_document
from sampan.client.documents import CreateOptions, Pruned
from sampan.client.failure import ContainerError, ImageNotFoundError, NotFoundError
from sampan.client.filters import filters_text
from sampan.client.session import Session, quote


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
        container.start()
        if detach:
            return container
        if stream:
            return self._stream(container, stdout=stdout, stderr=stderr, remove=remove)
        return self._finish(container, image, command, stdout=stdout, stderr=stderr, remove=remove)

    def prune(self, filters: Mapping[str, object] | None = None) -> Pruned:
        """Remove all that do not run."""
        found: Pruned = self.session.call("POST", "/containers/prune", {"filters": filters_text(filters)})
        return found

    def _pull(self, image: str, platform: str | None) -> None:
        from sampan.client.images import Images

        Images(self.session).pull(image, platform=platform)

    def _stream(self, container: Container, *, stdout: bool, stderr: bool, remove: bool) -> Iterator[bytes]:
        yield from container.logs(stdout=stdout, stderr=stderr, stream=True, follow=True)
        container.wait()
        if remove:
            container.remove()

    def _finish(
        self, container: Container, image: str, command: object, *, stdout: bool, stderr: bool, remove: bool
    ) -> bytes:
        code = container.wait()["StatusCode"]
        auto = bool(container.attrs["HostConfig"].get("AutoRemove"))
        output = b"" if auto else container.logs(stdout=stdout, stderr=stderr)
        said = container.logs(stdout=False, stderr=True) if code and not auto else b""
        if remove and not auto:
            container.remove()
        if code:
            raise ContainerError(container.name, code, command, image, said)
        return output
