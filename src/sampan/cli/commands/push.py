"""`sampan push`: give an image to its registry."""

from __future__ import annotations

import sys

from sampan.cli.grammar import UsageError
from sampan.cli.pulling import push_image, whole_name
from sampan.client.references import split_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Give an image to its registry"
USAGE = ("[OPTIONS] NAME[:TAG]",)
WORDS = (1, 1)
OPTIONS = (
    ("all-tags", "a", "bool", "", "Give every tag of the repository"),
    ("disable-content-trust", "", "bool", "true", "Kept for docker's scripts; signatures by notary are not made"),
    ("quiet", "q", "bool", "", "Do not show how it goes"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Push it."""
    every = arguments.flag("all-tags")
    if every and split_reference(arguments.words[0])[1]:
        raise UsageError("--all-tags and a tag exclude each other", remedy="leave one of them out", code=1)
    quiet = arguments.flag("quiet")
    push_image(session, arguments.words[0], out=None if quiet else sys.stdout, every_tag=every)
    if quiet:
        sys.stdout.write(whole_name(arguments.words[0], every_tag=every) + "\n")
    return 0
