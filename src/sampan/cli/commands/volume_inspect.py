"""`sampan volume inspect`: everything that is known of volumes."""

from __future__ import annotations

from sampan.cli.commands.inspect import inspect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show everything about volumes"
USAGE = ("[OPTIONS] VOLUME [VOLUME...]",)
WORDS = (1, -1)
OPTIONS = (("format", "f", "string", "", "How to print: json, or a Go template"),)


def run(arguments: Arguments, session: Session) -> int:
    """Print what is found; the exit code is 1 when something is not."""
    return inspect(arguments, session, ["volume"])
