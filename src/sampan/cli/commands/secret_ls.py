"""`sampan secret ls`: the secrets there are."""

from __future__ import annotations

from sampan.cli.secrets import LIST_OPTIONS, list_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "List secrets"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = LIST_OPTIONS


def run(arguments: Arguments, session: Session) -> int:
    """Print the list, by name."""
    return list_all(arguments, session, "secret")
