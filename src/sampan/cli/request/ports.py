"""--publish and --expose: [address:][host port:]container port[/protocol], with ranges, or key=value words."""

from __future__ import annotations

from sampan.cli.grammar import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.cli.request import CreateRequest

PROTOCOLS = ("tcp", "udp", "sctp")
_FORM = "write [address:][host port:]container port[/tcp|udp|sctp], as in 127.0.0.1:8080:80/tcp or 8000-8009:80-89"


def apply(arguments: Arguments, request: CreateRequest) -> None:
    """Fill in ExposedPorts and PortBindings."""
    exposed: dict[str, dict[str, str]] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for text in arguments.items("publish"):
        for port, binding in read_publish(text):
            exposed[port] = {}
            bindings.setdefault(port, []).append(binding)
    for text in arguments.items("expose"):
        number, _, protocol = text.partition("/")
        first, last = _range(number, text)
        protocol = _protocol(protocol or "tcp", text)
        exposed.update({f"{port}/{protocol}": {} for port in range(first, last + 1)})
    request.config["ExposedPorts"] = exposed
    request.host["PortBindings"] = bindings


def read_publish(text: str) -> list[tuple[str, dict[str, str]]]:
    """The container ports ("80/tcp") of one --publish, each with its binding."""
    address, outside, inside, protocol = _words(text) if "target=" in text else _short(text)
    first, last = _range(inside, text)
    if not outside:
        ports = [""] * (last - first + 1)
    else:
        low, high = _range(outside, text)
        if high - low == last - first:
            ports = [str(port) for port in range(low, high + 1)]
        elif first == last:
            ports = [f"{low}-{high}"]
        else:
            raise UsageError(f"--publish {text!r} has ranges of different lengths", remedy=_FORM)
    return [(f"{first + at}/{protocol}", {"HostIp": address, "HostPort": port}) for at, port in enumerate(ports)]


def _short(text: str) -> tuple[str, str, str, str]:
    body, mark, protocol = text.rpartition("/")
    if not mark:
        body, protocol = text, "tcp"
    address = ""
    if body.startswith("["):
        address, closed, body = body[1:].partition("]")
        if not closed or not body.startswith(":"):
            raise UsageError(f"--publish {text!r} has no port behind its address", remedy=_FORM)
        body = body[1:]
        parts = ["", *body.split(":")] if ":" in body else ["", "", body]
    else:
        parts = body.split(":")
        parts = [""] * (3 - len(parts)) + parts
    if len(parts) != 3:
        raise UsageError(f"--publish {text!r} has too many parts", remedy=_FORM)
    return address or _address(parts[0], text), parts[1], parts[2], _protocol(protocol, text)


def _words(text: str) -> tuple[str, str, str, str]:
    found = {"mode": "ingress", "protocol": "tcp", "published": "", "target": ""}
    for word in text.split(","):
        key, mark, value = word.partition("=")
        if not mark or key not in found:
            raise UsageError(f"--publish {text!r} has no use for {word!r}", remedy=_FORM)
        found[key] = value
    return "", found["published"], found["target"], _protocol(found["protocol"], text)


def _address(text: str, whole: str) -> str:
    if text:
        from sampan.cli.request.addresses import is_address

        if not is_address(text):
            raise UsageError(f"--publish {whole!r}: {text!r} is no address", remedy=_FORM)
    return text


def _protocol(text: str, whole: str) -> str:
    if text.lower() not in PROTOCOLS:
        raise UsageError(f"{whole!r}: there is no protocol {text!r}", remedy="use tcp, udp or sctp")
    return text.lower()


def _range(text: str, whole: str) -> tuple[int, int]:
    first, mark, last = text.partition("-")
    if not mark:
        last = first
    if not (first.isdecimal() and last.isdecimal()) or not 0 <= int(first) <= int(last) <= 65535:
        raise UsageError(f"{whole!r}: {text!r} is no port and no range of ports", remedy=_FORM)
    return int(first), int(last)
