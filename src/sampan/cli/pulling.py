"""Pulling and pushing an image, and who shows the progress of long works."""

from __future__ import annotations

from sampan.cli.grammar import Failure, UsageError
from sampan.cli.progress_lines import Lines
from sampan.cli.settings import settings
from sampan.client.references import join_reference, split_reference
from sampan.client.session import documents, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TextIO

    from sampan.client.session import Session
    from sampan.client.transport import Response


def pull_image(
    session: Session, image: str, platform: str = "", *, out: TextIO | None, every_tag: bool = False, code: int = 1
) -> None:
    """Pull it, writing progress to `out`; Failure with `code` when the daemon says on the way that it cannot."""
    name, tag = split_reference(image)
    if not name or ("@" in image and ":" not in tag):
        raise UsageError(
            f"{image!r} names no image", remedy="write NAME[:TAG], or NAME@sha256: and the 64 digits", code=code
        )
    headers: dict[str, str] = {}
    if settings():
        from sampan.cli.credentials import header_for

        headers = header_for(image)
    query = {"fromImage": name, "tag": None if every_tag else tag or "latest", "platform": platform or None}
    response = session.request("POST", "/images/create", query, None, headers)
    show_progress(response, out, code=code)


def whole_name(image: str, *, every_tag: bool = False) -> str:
    """What a pull or push was of, with its registry, and its tag unless it was of all."""
    from sampan.cli.credentials import HUB, registry_of

    name, tag = split_reference(image)
    if registry_of(name) == HUB and not name.startswith(f"{HUB}/"):
        name = f"{HUB}/{name if '/' in name else f'library/{name}'}"
    return name if every_tag else join_reference(name, tag or "latest")


def push_image(session: Session, image: str, *, out: TextIO | None, every_tag: bool = False) -> None:
    """Push it, writing progress to `out`; Failure when the daemon says on the way that it cannot."""
    from sampan.cli.credentials import header_for

    name, tag = split_reference(image)
    headers = {"X-Registry-Auth": "e30=", **header_for(name)}  # e30= is {}: the daemon wants the header in any case
    query = {"tag": None if every_tag else tag or "latest"}
    response = session.request("POST", f"/images/{quote(name)}/push", query, None, headers)
    show_progress(response, out)


def show_progress(response: Response, out: TextIO | None, *, code: int = 1) -> None:
    """Show the messages of a pull, push, import or load: as bars on a terminal, else one line for each new state.

    Failure with `code` for a message of failure.
    """
    if out is not None and out.isatty():
        from sampan.cli.bars import PatientBars

        with PatientBars(out) as bars:
            for message in checked(documents(bars.chunks(response)), code=code):
                bars.show(message)
        return
    lines = Lines(out)
    for message in checked(documents(response.chunks()), code=code):
        lines.show(message)


def checked(messages: Iterable[dict[str, Any]], *, code: int = 1) -> Iterator[dict[str, Any]]:
    """The messages of a long work; Failure with `code` for one of failure."""
    for message in messages:
        if message.get("error") or message.get("errorDetail"):
            detail = message.get("errorDetail") or {}
            sentence = str(message.get("error") or detail.get("message"))
            raise Failure(sentence, remedy=detail.get("remedy") or "", code=code)
        yield message
