"""`sampan secret create`: keep a secret for containers."""

from __future__ import annotations

from sampan.cli.secrets import create

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Keep a secret, which containers get as a file in memory"
USAGE = ("[OPTIONS] NAME FILE|-",)
WORDS = (2, 2)
OPTIONS = (("label", "l", "list", "", "Set a label (key=value)"),)


def run(arguments: Arguments, session: Session) -> int:
    """Send it, and print its id."""
    return create(arguments, session, "secret")
