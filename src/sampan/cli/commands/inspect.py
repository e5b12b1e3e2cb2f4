"""`sampan inspect`: everything that is known of containers, images, networks and volumes."""

from __future__ import annotations

import sys

from sampan.cli.grammar import Failure, UsageError
from sampan.client.failure import ApiError, ClientError, NamelessError, NotFoundError
from sampan.client.json_text import indented
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show everything about containers, images, networks and volumes"
USAGE = ("[OPTIONS] NAME|ID [NAME|ID...]",)
WORDS = (1, -1)
OPTIONS = (
    ("format", "f", "string", "", "How to print: json, or a Go template"),
    ("size", "s", "bool", "", "Show how much containers have written"),
    ("type", "", "string", "", "Look among these only: container, image, network, volume"),
)
NO_TEMPLATE = 64  # docker's code for it; for one that does not fit the document it is 1
PATHS = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}

OTHER_PATHS = {"config": "/configs/{}", "secret": "/secrets/{}"}  # asked for by name alone
QUERIES: dict[str, dict[str, str | bool]] = {"container": {"size": True}, "network": {"verbose": "true"}}


def run(arguments: Arguments, session: Session) -> int:
    """Print what is found; the exit code is 1 when something is not."""
    kind = arguments.text("type")
    if kind and kind not in PATHS:
        raise UsageError(f"--type cannot be {kind!r}", remedy=f"use {', '.join(PATHS)}", code=1)
    return inspect(arguments, session, [kind] if kind else list(PATHS))


def inspect(arguments: Arguments, session: Session, kinds: Sequence[str]) -> int:
    """Look for each word among `kinds`, in order, and print."""
    found: list[Any] = []
    failures: list[ClientError] = []
    option = "verbose" if kinds == ["network"] else "size"
    size = arguments.given(option) and arguments.flag(option)
    for word in arguments.words:
        answer = _find(session, word, kinds, size=size)
        (failures if isinstance(answer, ClientError) else found).append(answer)
    template = arguments.text("format")
    if template:
        _print_by_template(template, found)
    else:
        sys.stdout.write(indented(found) + "\n")
    if failures:
        from sampan.cli.each import complain

        for failure in failures:
            complain(failure)
    return 1 if failures else 0


def _find(session: Session, word: str, kinds: Sequence[str], *, size: bool) -> Any:
    if not word:
        return NamelessError(kinds[0] if len(kinds) == 1 else "object")
    for kind in kinds:
        query = QUERIES.get(kind) if size else None
        try:
            return session.call("GET", (PATHS | OTHER_PATHS)[kind].replace("{}", quote(word)), query)
        except NotFoundError as error:
            if len(kinds) == 1:
                return error
        except ApiError as error:
            return error
    return NotFoundError(
        404, f"No such object: {word}", remedy="`sampan ps -a`, `images`, `network ls` and `volume ls` list all"
    )


def _print_by_template(source: str, documents: list[Any]) -> None:
    from sampan.cli.formats.template import Template, TemplateError

    try:
        template = Template("{{json .}}" if source == "json" else source)
    except TemplateError as error:
        raise Failure(str(error), remedy=error.remedy, code=NO_TEMPLATE) from None
    for document in documents:
        sys.stdout.write(template.render(document) + "\n")
