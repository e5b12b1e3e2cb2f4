"""`sampan import`: an image made of a tar archive of files."""

from __future__ import annotations

import sys

from sampan.cli.grammar import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.cli.grammar import Arguments
    from sampan.client.session import QueryValue, Session

SUMMARY = "Make an image of a tar archive of files"
USAGE = ("[OPTIONS] FILE|URL|- [REPOSITORY[:TAG]]",)
WORDS = (1, 2)
OPTIONS = (
    ("change", "c", "list", "", "Apply a Dockerfile instruction to the image"),
    ("message", "m", "string", "", "What it is for"),
    ("platform", "", "string", "", "The platform it is for, as in linux/arm64"),
)
_STEP = 1 << 18


def run(arguments: Arguments, session: Session) -> int:
    """Send the archive, and print the image's id."""
    source, *reference = arguments.words
    remote = source.startswith(("http://", "https://"))
    query: dict[str, QueryValue] = {
        "changes": arguments.items("change"),
        "fromSrc": source if remote else "-",
        "message": arguments.text("message"),
        "platform": arguments.text("platform") or None,
        "repo": reference[0] if reference else "",
        "tag": "",
    }
    body = None if remote else pieces(source)
    last = ""
    for message in session.stream("POST", "/images/create", query, body):
        if message.get("error"):
            raise Failure(str(message["error"]))
        last = message.get("status") or last
    sys.stdout.write(last + "\n")
    return 0


def pieces(source: str) -> Iterator[bytes]:
    """The archive in pieces, read only as they are sent."""
    with open(0 if source == "-" else source, "rb", buffering=0, closefd=source != "-") as file:
        while data := file.read(_STEP):
            yield data
