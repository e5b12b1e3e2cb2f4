"""--network and what goes with it, and the options that fill /etc/hosts and /etc/resolv.conf."""

from __future__ import annotations

from sampan.cli.grammar import UsageError
from sampan.cli.request.addresses import is_address, is_mac_address
from sampan.cli.request.mounts import split_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.cli.request import CreateRequest

    Network = dict[
        str, Any
    ]  # what one --network says: name, alias, ip, ip6, link-local-ip, mac-address, driver-opt, link, gw-priority

_LISTS = frozenset({"alias", "link-local-ip"})
_TEXTS = frozenset({"name", "ip", "ip6", "mac-address"})
_POWERS = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "bit": 1, "": 1}
BUILT_IN = frozenset({"default", "bridge", "host", "none"})


def apply(arguments: Arguments, request: CreateRequest) -> None:
    """Fill in NetworkMode, the endpoints, Links, ExtraHosts and the DNS fields."""
    host = request.host
    host["Dns"] = [_address(text, "--dns") for text in arguments.items("dns")]
    host["DnsOptions"] = arguments.items("dns-option")
    host["ExtraHosts"] = [_host_line(text) for text in arguments.items("add-host")] or None
    links = arguments.items("link")
    for link in links:
        if link.count(":") > 1 or not link:
            raise UsageError(f"--link {link!r} is no link", remedy="write container:alias")
    host["Links"] = links or None
    if arguments.given("network-rate"):
        host["NetworkRate"] = read_rate(arguments.text("network-rate"))
    if arguments.given("network-class"):
        host["NetworkClass"] = read_class(arguments.text("network-class"))
    mac = arguments.text("mac-address").strip()
    if mac and not is_mac_address(mac):
        raise UsageError(f"--mac-address {mac!r} is none", remedy="write it as in 92:d0:c6:0a:29:33")
    networks = [read_network(text) for text in arguments.items("network")]
    host["NetworkMode"] = networks[0]["name"] if networks else "default"
    names = [network["name"] for network in networks]
    if len(set(names)) < len(names):
        raise UsageError("a network is named twice")
    if len(networks) > 1 and not all(_user_defined(name) for name in names):
        raise UsageError("host, none, bridge and container:NAME cannot be combined with other networks")
    request.endpoints = _endpoints(arguments, networks, mac)


def _user_defined(name: str) -> bool:
    return name not in BUILT_IN and not name.startswith("container:")


def _endpoints(arguments: Arguments, networks: list[Network], mac: str) -> dict[str, dict[str, Any]]:
    first = networks[0] if networks else {"name": "default"}
    _merge(arguments, first, mac)
    made = {network["name"]: _endpoint(network) for network in networks or [first]}
    if len(networks) == 1 and set(first) == {"name"}:
        return {}
    return made


def _merge(arguments: Arguments, first: Network, mac: str) -> None:
    """The options beside --network are about the first network."""
    lists = {"alias": "network-alias", "link": "link", "link-local-ip": "link-local-ip"}
    for key, option in lists.items():
        if not arguments.items(option):
            continue
        if key in first:
            raise UsageError(f"--{option} and --network {key}= exclude each other", remedy="leave one of them out")
        if key == "alias" and not _user_defined(first["name"]):
            raise UsageError(
                f"--{option} has no effect on the network {first['name']!r}",
                remedy="give names on a network made by `network create`",
            )
        if key != "link" or _user_defined(first["name"]):
            first[key] = list(arguments.items(option))
    for key in ("ip", "ip6", "mac-address"):
        value = mac if key == "mac-address" else arguments.text(key)
        if not value:
            continue
        if key in first:
            raise UsageError(f"--{key} and --network {key}= exclude each other", remedy="leave one of them out")
        first[key] = value


def _endpoint(network: Network) -> dict[str, Any]:
    from sampan.cli.request import plain_endpoint

    endpoint = plain_endpoint()
    endpoint["Aliases"] = network.get("alias")
    endpoint["Links"] = network.get("link")
    endpoint["MacAddress"] = network.get("mac-address", "")
    endpoint["DriverOpts"] = network.get("driver-opt")
    if network.get("gw-priority"):
        endpoint["GwPriority"] = network["gw-priority"]
    names = {"ip": "IPv4Address", "ip6": "IPv6Address", "link-local-ip": "LinkLocalIPs"}
    addresses = {name: network[key] for key, name in names.items() if key in network}
    endpoint["IPAMConfig"] = addresses or None
    return endpoint


def read_network(text: str) -> Network:
    """One --network: a name, or words such as name=net1,alias=a,ip=10.0.0.2."""
    if "=" not in text:
        if not text:
            raise UsageError("--network names none", remedy="name a network, or none, host, container:NAME")
        return {"name": text}
    network: Network = {}
    for word in split_words(text):
        key, mark, value = word.partition("=")
        if mark and key in _TEXTS:
            network[key] = value
        elif mark and key in _LISTS:
            network.setdefault(key, []).append(value)
        elif mark and key == "gw-priority":
            network["gw-priority"] = _priority(value)
        elif mark and key == "driver-opt":
            name, _, option = value.partition("=")
            network.setdefault("driver-opt", {})[name] = option
        else:
            raise UsageError(
                f"--network {text!r} has no use for {word!r}",
                remedy="use name, alias, ip, ip6, link-local-ip, mac-address, driver-opt and gw-priority",
            )
    if not network.get("name"):
        raise UsageError(f"--network {text!r} names no network", remedy="add name=...")
    return network


def read_rate(text: str) -> dict[str, int]:
    """10mbit for both directions, or in=10mbit,out=5mbit; bits per second, as tc has them."""
    parts = [part.partition("=")[::2] for part in text.split(",")] if "=" in text else [("in", text), ("out", text)]
    seen = [direction for direction, _ in parts]
    found = {"In": 0, "Out": 0}
    for direction, rate in parts:
        unit = next(unit for unit in _POWERS if rate.lower().endswith(unit))
        number = rate[: len(rate) - len(unit)]
        plain = number.replace(".", "", 1)
        if direction not in {"in", "out"} or not (plain.isascii() and plain.isdigit()):
            raise UsageError(
                f"--network-rate {text!r} is no rate", remedy="write 10mbit, or in=10mbit,out=500kbit; 0 is no limit"
            )
        if seen.count(direction) > 1:
            raise UsageError(f"--network-rate {text!r} has {direction} twice", remedy="leave one of them out")
        found[direction.title()] = int(float(number) * _POWERS[unit])
    return found


def read_class(text: str) -> int:
    """A class id of net_cls: 10:1 as tc writes it, or the whole number as 0x100001."""
    major, mark, minor = text.partition(":")
    try:
        number = (int(major, 16) << 16 | int(minor, 16)) if mark else int(text, 0)
    except ValueError:
        number = 0
    if not 0 < number < 1 << 32:
        raise UsageError(f"--network-class {text!r} is none", remedy="write 10:1 or 0x100001")
    return number


def _priority(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"gw-priority {text!r} is no number") from None


def _address(text: str, option: str) -> str:
    if not is_address(text):
        raise UsageError(f"{option} {text!r} is no address", remedy="write one as in 192.0.2.1 or 2001:db8::1")
    return text


def _host_line(text: str) -> str:
    """name:address, with name=address and [v6] taken too."""
    name, mark, address = text.partition("=")
    if not mark or ":" in name:
        name, mark, address = text.partition(":")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not name or not mark or (address != "host-gateway" and not is_address(address)):
        raise UsageError(f"--add-host {text!r} is no host", remedy="write name:address, or name:host-gateway")
    return f"{name}:{address}"
