"""`sampan network connect`: let a container join a network."""

from __future__ import annotations

from sampan.cli.request import plain_endpoint
from sampan.cli.request.environment import key_values
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Let a container join a network"
USAGE = ("[OPTIONS] NETWORK CONTAINER",)
WORDS = (2, 2)
OPTIONS = (
    ("alias", "", "list", "", "Another name of the container on the network"),
    ("driver-opt", "", "list", "", "Option of the driver (key=value)"),
    ("ip", "", "string", "", "IPv4 address on the network"),
    ("ip6", "", "string", "", "IPv6 address on the network"),
    ("link", "", "list", "", "Link to another container (name:alias)"),
    ("link-local-ip", "", "list", "", "Add a link-local address on the network"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Connect it."""
    network, container = arguments.words
    addresses: dict[str, Any] = {
        "IPv4Address": arguments.text("ip"),
        "IPv6Address": arguments.text("ip6"),
        "LinkLocalIPs": arguments.items("link-local-ip"),
    }
    endpoint = plain_endpoint()
    endpoint["IPAMConfig"] = {key: value for key, value in addresses.items() if value}
    endpoint["Links"] = arguments.items("link") or None
    endpoint["Aliases"] = arguments.items("alias")
    endpoint["DriverOpts"] = key_values(arguments.items("driver-opt"))
    document = {"Container": container, "EndpointConfig": endpoint}
    session.call("POST", f"/networks/{quote(network)}/connect", None, document)
    return 0
