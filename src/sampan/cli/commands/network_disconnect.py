"""`sampan network disconnect`: let a container leave a network."""

from __future__ import annotations

from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Let a container leave a network"
USAGE = ("[OPTIONS] NETWORK CONTAINER",)
WORDS = (2, 2)
OPTIONS = (("force", "f", "bool", "", "Disconnect it in any case"),)


def run(arguments: Arguments, session: Session) -> int:
    """Disconnect it."""
    network, container = arguments.words
    document = {"Container": container, "Force": arguments.flag("force")}
    session.call("POST", f"/networks/{quote(network)}/disconnect", None, document)
    return 0
