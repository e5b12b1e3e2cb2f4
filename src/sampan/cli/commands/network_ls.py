"""`sampan network ls`: the networks there are."""

from __future__ import annotations

from sampan.cli.filters import filters_query
from sampan.cli.formats.containers import labels_text
from sampan.cli.formats.listing import show
from sampan.cli.formats.written import go_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "List networks"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("filter", "f", "filter", "", "Show only networks that match, as in driver=bridge"),
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("no-trunc", "", "bool", "", "Shorten nothing"),
    ("quiet", "q", "bool", "", "Print only the ids"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Print the list, by name."""
    networks = sorted(session.call("GET", "/networks", filters_query(arguments)), key=lambda network: network["Name"])
    columns = network_columns(full=arguments.flag("no-trunc"))
    quiet = "ID" if arguments.flag("quiet") else ""
    show(networks, columns, ("ID", "Name", "Driver", "Scope"), arguments.text("format"), quiet=quiet)
    return 0


def network_columns(*, full: bool = False) -> dict[str, Column]:
    """All columns; `full` shortens no ids."""
    return {
        "CreatedAt": ("CREATED AT", lambda network: go_time(network.get("Created", ""))),
        "Driver": ("DRIVER", lambda network: network["Driver"]),
        "ID": ("NETWORK ID", lambda network: network["Id"] if full else network["Id"][:12]),
        "IPv6": ("IPV6", lambda network: "true" if network.get("EnableIPv6") else "false"),
        "Internal": ("INTERNAL", lambda network: "true" if network.get("Internal") else "false"),
        "Label": ("", lambda network: lambda name: (network.get("Labels") or {}).get(name, "")),
        "Labels": ("LABELS", lambda network: labels_text(network.get("Labels"))),
        "Name": ("NAME", lambda network: network["Name"]),
        "Scope": ("SCOPE", lambda network: network["Scope"]),
    }
