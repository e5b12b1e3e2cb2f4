"""What can go wrong between a client and a daemon.

Kept free of `sampan.errors` at import, whose enum costs a command line milliseconds that it only needs when something
did go wrong; `ApiError.kind` looks it up then.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.errors import Kind


NO_ENGINE = "see whether an engine listens at that address, or something else"


class ClientError(Exception):
    """The base of all: `str(error)` is the sentence, `error.remedy` says what can be done and may be empty."""

    def __init__(self, sentence: str, *, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy


class DaemonUnreachable(ClientError):
    """No daemon answers at the endpoint, or it may not be talked to."""


class NamelessError(ClientError):
    """A request for a container, an image and so on whose name is the empty string: no daemon is asked."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"the name of the {kind} is empty", remedy="write it, or look whether a variable in its place is set"
        )


class ProtocolError(ClientError):
    """The other end does not speak HTTP as it should, or ended in the middle of an answer."""

    def __init__(self, sentence: str, *, remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy or NO_ENGINE)


class ApiError(ClientError):
    """The daemon refused: `status` is the HTTP status, the sentence is the daemon's own."""

    def __init__(self, status: int, sentence: str, *, remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.status = status

    @property
    def kind(self) -> Kind:
        """The kind of sampan's own errors that has this status; SYSTEM when none has."""
        from sampan.errors import Kind

        return next((kind for kind in Kind if kind.http_status == self.status), Kind.SYSTEM)


class NotFoundError(ApiError):
    """404: what the request names does not exist (docker-py's NotFound)."""


class ImageNotFoundError(NotFoundError):
    """404 for an image (docker-py's ImageNotFound)."""


class ConflictError(ApiError):
    """409: the request clashes with the present state."""


class BuildError(ClientError):
    """A build that failed (docker-py's BuildError); `log` is all that the daemon said of it."""

    def __init__(self, sentence: str, log: list[dict[str, Any]], *, remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.log = log


class ContainerError(ClientError):
    """A container that was run to its end ended with a code other than 0 (docker-py's ContainerError)."""

    def __init__(self, name: str, exit_status: int, command: object, image: str, stderr: bytes) -> None:
        text = f": {stderr.decode(errors='replace').strip()}" if stderr else ""
        super().__init__(f"command {command!r} in image {image!r} ended with exit status {exit_status}{text}")
        self.container = name
        self.exit_status = exit_status
        self.command = command
        self.image = image
        self.stderr = stderr


def api_error(status: int, body: bytes, path: str = "") -> ApiError:
    """The error that an answer of `status` with `body` stands for; a body that is no JSON is taken as the sentence."""
    from sampan.client.json_text import loads

    sentence, remedy = body.decode(errors="replace").strip(), ""
    try:
        document = loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and "message" in document:
        sentence, remedy = str(document["message"]), str(document.get("remedy") or "")
    elif sentence or status < 400:
        remedy = NO_ENGINE
    made: type[ApiError] = ApiError
    if status == 404:
        made = ImageNotFoundError if "o such image" in sentence else NotFoundError
    elif status == 409:
        made = ConflictError
    return made(status, sentence or f"{path} answered with status {status} and no message", remedy=remedy)
