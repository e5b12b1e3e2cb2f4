"""`sampan port`: where a container's ports are published."""

from __future__ import annotations

import sys

from sampan.cli.formats.containers import bracketed
from sampan.cli.grammar import Failure
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show where the ports of a container are published"
USAGE = ("CONTAINER [PORT[/PROTOCOL]]",)
WORDS = (1, 2)
OPTIONS = ()


def run(arguments: Arguments, session: Session) -> int:
    """Print one line for each binding."""
    name, *asked = arguments.words
    container = session.call("GET", f"/containers/{quote(name)}/json")
    published = (container["NetworkSettings"] or {}).get("Ports") or {}
    if asked:
        port = asked[0] if "/" in asked[0] else f"{asked[0]}/tcp"
        if not published.get(port):
            raise Failure(f"port {port} of {name} is not published", remedy=f"see `sampan port {name}`")
        lines = [_address(binding) for binding in published[port]]
    else:
        ports = sorted(published, key=lambda port: (port.partition("/")[2], int(port.partition("/")[0])))
        lines = [f"{port} -> {_address(binding)}" for port in ports for binding in published[port] or []]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _address(binding: dict[str, str]) -> str:
    return f"{bracketed(binding['HostIp'])}:{binding['HostPort']}"
