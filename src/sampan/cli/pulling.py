"""Pulling and pushing an image, and the progress of long works as lines of text."""

from __future__ import annotations

from sampan.cli.grammar import Failure
from sampan.cli.settings import settings
from sampan.client.references import split_reference
from sampan.client.session import documents, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TextIO

    from sampan.client.session import Session


def pull_image(
    session: Session, image: str, platform: str = "", *, out: TextIO | None, every_tag: bool = False, code: int = 1
) -> None:
    """Pull it, writing progress to `out`; Failure with `code` when the daemon says on the way that it cannot."""
    headers: dict[str, str] = {}
    if settings():
        from sampan.cli.credentials import header_for

        headers = header_for(image)
    name, tag = split_reference(image)
    query = {"fromImage": name, "tag": None if every_tag else tag or "latest", "platform": platform or None}
    response = session.request("POST", "/images/create", query, None, headers)
    show_progress(documents(response.chunks()), out, code=code)


def push_image(session: Session, image: str, *, out: TextIO | None, every_tag: bool = False) -> None:
    """Push it, writing progress to `out`; Failure when the daemon says on the way that it cannot."""
    from sampan.cli.credentials import header_for

    name, tag = split_reference(image)
    headers = {"X-Registry-Auth": "e30=", **header_for(name)}  # e30= is {}: the daemon wants the header in any case
    query = {"tag": None if every_tag else tag or "latest"}
    response = session.request("POST", f"/images/{quote(name)}/push", query, None, headers)
    show_progress(documents(response.chunks()), out)


def show_progress(messages: Iterable[dict[str, Any]], out: TextIO | None, *, code: int = 1) -> None:
    """Show the messages of a pull, push, import or load: as bars on a terminal, else one line for each new state.

    Failure with `code` for a message of failure.
    """
    bars = None
    if out is not None and out.isatty():
        from sampan.cli.bars import open_bars

        bars = open_bars(out)
    if bars is not None:
        with bars:
            for message in checked(messages, code=code):
                bars.show(message)
        return
    states: dict[str, str] = {}
    for message in checked(messages, code=code):
        if out is not None:
            _write(message, states, out)


def checked(messages: Iterable[dict[str, Any]], *, code: int = 1) -> Iterator[dict[str, Any]]:
    """The messages of a long work; Failure with `code` for one of failure."""
    for message in messages:
        if message.get("error") or message.get("errorDetail"):
            detail = message.get("errorDetail") or {}
            sentence = str(message.get("error") or detail.get("message"))
            raise Failure(sentence, remedy=detail.get("remedy") or "", code=code)
        yield message


def _write(message: dict[str, Any], states: dict[str, str], out: TextIO) -> None:
    part, status = message.get("id", ""), message.get("status", "")
    if "stream" in message:
        out.write(message["stream"])
    elif status and states.get(part) != status:
        if part:
            states[part] = status
        out.write(f"{part}: {status}\n" if part else f"{status}\n")
    out.flush()
