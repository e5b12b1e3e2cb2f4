"""`sampan pull`: get an image from its registry."""

from __future__ import annotations

import sys

from sampan.cli.grammar import UsageError
from sampan.cli.pulling import pull_image, whole_name
from sampan.client.references import split_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Get an image from its registry"
USAGE = ("[OPTIONS] NAME[:TAG|@DIGEST]",)
WORDS = (1, 1)
OPTIONS = (
    ("all-tags", "a", "bool", "", "Get every tag of the repository"),
    ("disable-content-trust", "", "bool", "true", "Kept for docker's scripts; signatures by notary are not checked"),
    ("platform", "", "string", "", "Platform of the image, as in linux/arm64"),
    ("quiet", "q", "bool", "", "Do not show how it goes"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Pull it, and print its whole name."""
    image = arguments.words[0]
    every = arguments.flag("all-tags")
    if every and split_reference(image)[1]:
        raise UsageError("--all-tags and a tag exclude each other", remedy="leave one of them out", code=1)
    pull_image(
        session,
        image,
        arguments.text("platform"),
        out=None if arguments.flag("quiet") else sys.stdout,
        every_tag=every,
    )
    sys.stdout.write(whole_name(image, every_tag=every) + "\n")
    return 0
