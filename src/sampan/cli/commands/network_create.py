"""`sampan network create`: a network of one's own."""

from __future__ import annotations

import ipaddress
import sys

from sampan.cli.grammar import Failure, UsageError
from sampan.cli.request.environment import key_values, read_labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Make a network"
USAGE = ("[OPTIONS] NETWORK",)
WORDS = (1, 1)
AUX_FORM = "write name=address, as in router=10.1.0.2"
OPTIONS = (
    ("attachable", "", "bool", "", "Let containers join by hand"),
    ("aux-address", "", "map", "", "An address that is not given out (name=address)"),
    ("config-from", "", "string", "", "Take the configuration of this network"),
    ("config-only", "", "bool", "", "Make a configuration, no network"),
    ("driver", "d", "string", "bridge", "Who drives it: bridge, macvlan"),
    ("gateway", "", "list", "", "The gateway's address in a subnet"),
    ("ingress", "", "bool", "", "For swarms"),
    ("internal", "", "bool", "", "Give no way out"),
    ("ip-range", "", "list", "", "Give out addresses of this part of a subnet"),
    ("ipam-driver", "", "string", "default", "Who gives out addresses"),
    ("ipam-opt", "", "map", "", "Option of who gives out addresses (key=value)"),
    ("ipv6", "", "bool", "", "IPv6 too (default: for the way in and out, when the host has it)"),
    ("label", "", "list", "", "Set a label (key=value)"),
    ("opt", "o", "map", "", "Option of the driver (key=value)"),
    ("scope", "", "string", "", "Where it is known: local"),
    ("subnet", "", "list", "", "A subnet, as in 10.1.0.0/24"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Make it and print its id."""
    source = arguments.text("config-from")
    document = {
        "Driver": arguments.text("driver"),
        "Scope": arguments.text("scope"),
        "EnableIPv6": arguments.flag("ipv6") if arguments.given("ipv6") else None,
        "IPAM": {
            "Driver": arguments.text("ipam-driver"),
            "Options": key_values(arguments.items("ipam-opt")),
            "Config": subnets(arguments),
        },
        "Internal": arguments.flag("internal"),
        "Attachable": arguments.flag("attachable"),
        "Ingress": arguments.flag("ingress"),
        "ConfigOnly": arguments.flag("config-only"),
        "ConfigFrom": {"Network": source} if source else None,
        "Options": key_values(arguments.items("opt")),
        "Labels": read_labels(arguments.items("label")),
        "Name": arguments.words[0],
    }
    answer = session.call("POST", "/networks/create", None, document)
    if answer.get("Warning"):
        sys.stderr.write(f"WARNING: {answer['Warning']}\n")
    sys.stdout.write(answer["Id"] + "\n")
    return 0


def subnets(arguments: Arguments) -> list[dict[str, Any]]:
    """Each subnet with the range, gateway and further addresses that lie in it."""
    found: dict[Any, dict[str, Any]] = {}
    for text in _parts(arguments, "subnet"):
        net = _network(text, "subnet")
        if any(net.version == other.version and net.overlaps(other) for other in found):
            raise Failure(f"the subnet {text} overlaps another", remedy="give subnets that share no address")
        found[net] = {"Subnet": text}
    for text in _parts(arguments, "ip-range"):
        inside = _network(text, "ip-range")
        _place(found, inside.network_address, text, "ip-range")["IPRange"] = text
    for text in _parts(arguments, "gateway"):
        _place(found, _address(text, "gateway"), text, "gateway")["Gateway"] = text
    for name, text in key_values(arguments.items("aux-address")).items():
        if not name or not text:
            raise UsageError(f"--aux-address {name or '=' + text!r} is no name and address", remedy=AUX_FORM, code=1)
        place = _place(found, _address(text, "aux-address"), text, "aux-address")
        place.setdefault("AuxiliaryAddresses", {})[name] = text
    return list(found.values())


def _parts(arguments: Arguments, option: str) -> list[str]:
    return [part.strip() for text in arguments.items(option) for part in text.split(",")]


def _network(text: str, option: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"--{option} {text!r} is no subnet", remedy="write it as in 10.1.0.0/24", code=1) from None


def _address(text: str, option: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        form = AUX_FORM if option == "aux-address" else "write it as in 10.1.0.1"
        raise UsageError(f"--{option} {text!r} is no address", remedy=form, code=1) from None


def _place(found: dict[Any, dict[str, Any]], address: Any, text: str, option: str) -> dict[str, Any]:
    for net, place in found.items():
        if net.version == address.version and address in net:
            return place
    remedy = f"give one inside {' or '.join(map(str, found))}" if found else "name the subnet with --subnet"
    raise Failure(f"--{option} {text} lies in no subnet", remedy=remedy)
