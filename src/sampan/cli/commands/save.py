"""`sampan save`: images as a tar archive."""

from __future__ import annotations

from sampan.cli.archives import write_archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Write images as a tar archive"
USAGE = ("[OPTIONS] IMAGE [IMAGE...]",)
WORDS = (1, -1)
OPTIONS = (
    ("output", "o", "string", "", "Write to this file instead of standard output"),
    ("since", "", "list", "", "Leave out the layers of this image, which the other side has"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Copy the archive."""
    if arguments.given("since"):
        from sampan.cli.only_here import refuse_elsewhere

        refuse_elsewhere(arguments, session, ("since",))
    return write_archive(
        session, "/images/get", {"names": arguments.words, "since": arguments.items("since")}, arguments.text("output")
    )
