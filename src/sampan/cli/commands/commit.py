"""`sampan commit`: an image of what a container has become."""

from __future__ import annotations

import sys

from sampan.client.references import split_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Make an image of a container's present files"
USAGE = ("[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",)
WORDS = (1, 2)
OPTIONS = (
    ("author", "a", "string", "", "Who made it"),
    ("change", "c", "list", "", "Apply a Dockerfile instruction to the image"),
    ("message", "m", "string", "", "What it is for"),
    ("pause", "p", "bool", "true", "Freeze the container meanwhile"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Make it and print its id."""
    container, *reference = arguments.words
    name, tag = split_reference(reference[0]) if reference else ("", "")
    query = {
        "author": arguments.text("author"),
        "changes": arguments.items("change"),
        "comment": arguments.text("message"),
        "container": container,
        "pause": None if arguments.flag("pause") else 0,
        "repo": name,
        "tag": (tag or "latest") if name else "",
    }
    sys.stdout.write(session.call("POST", "/commit", query)["Id"] + "\n")
    return 0
