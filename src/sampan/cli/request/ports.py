"""--publish and --expose: [address:][host port:]container port[/protocol], with ranges, or key=value words."""

from __future__ import annotations

from sampan.cli.grammar import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.cli.request import CreateRequest

PROTOCOLS = ("tcp", "udp", "sctp")
_FORM = "write [address:][host port:]container port[/tcp|udp|sctp], as in 127.0.0.1:8080:80/tcp or 8000-8009:80-89"
_EXPOSED = "write port[/tcp|udp|sctp], as in 80, 53/udp or 8000-8009"


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
        first, last = _range(number, f"--expose {text!r}", _EXPOSED)
        protocol = _protocol(protocol or "tcp", f"--expose {text!r}")
        exposed.update({f"{port}/{protocol}": {} for port in range(first, last + 1)})
    request.config["ExposedPorts"] = exposed
    request.host["PortBindings"] = bindings


def read_publish(text: str, option: str = "--publish") -> list[tuple[str, dict[str, str]]]:
    """The container ports ("80/tcp") of one --publish, or another option of its form, each with its binding."""
    said = f"{option} {text!r}"
    address, outside, inside, protocol = _words(text, said) if "target=" in text else _short(text, said)
    first, last = _range(inside, said)
    if not outside:
        ports = [""] * (last - first + 1)
    else:
        low, high = _range(outside, said)
        if high - low == last - first:
            ports = [str(port) for port in range(low, high + 1)]
        elif first == last:
            ports = [f"{low}-{high}"]
        else:
            raise UsageError(f"{said} has ranges of different lengths", remedy=_FORM)
    return [(f"{first + at}/{protocol}", {"HostIp": address, "HostPort": port}) for at, port in enumerate(ports)]


def _short(text: str, said: str) -> tuple[str, str, str, str]:
    body, mark, protocol = text.rpartition("/")
    if not mark:
        body, protocol = text, "tcp"
    address = ""
    if body.startswith("["):
        address, closed, body = body[1:].partition("]")
        if not closed or not body.startswith(":"):
            raise UsageError(f"{said} has no port behind its address", remedy=_FORM)
        body = body[1:]
        parts = ["", *body.split(":")] if ":" in body else ["", "", body]
    else:
        parts = body.split(":")
        parts = [""] * (3 - len(parts)) + parts
    if len(parts) != 3:
        raise UsageError(f"{said} has too many parts", remedy=_FORM)
    return address or _address(parts[0], said), parts[1], parts[2], _protocol(protocol, said)


def _words(text: str, said: str) -> tuple[str, str, str, str]:
    found = {"mode": "ingress", "protocol": "tcp", "published": "", "target": ""}
    for word in text.split(","):
        key, mark, value = word.partition("=")
        if not mark or key not in found:
            raise UsageError(f"{said} has no use for {word!r}", remedy=_FORM)
        found[key] = value
    return "", found["published"], found["target"], _protocol(found["protocol"], said)


def _address(text: str, said: str) -> str:
    if text:
        from sampan.cli.request.addresses import is_address

        if not is_address(text):
            raise UsageError(f"{said}: {text!r} is no address", remedy=_FORM)
    return text


def _protocol(text: str, said: str) -> str:
    if text.lower() not in PROTOCOLS:
        raise UsageError(f"{said}: there is no protocol {text!r}", remedy="use tcp, udp or sctp")
    return text.lower()


def _range(text: str, said: str, form: str = _FORM) -> tuple[int, int]:
    first, mark, last = text.partition("-")
    if not mark:
        last = first
    digits = first.isdecimal() and last.isdecimal() and text.isascii()
    if not digits or not 0 <= int(first) <= int(last) <= 65535:
        raise UsageError(f"{said}: {text!r} is no port and no range of ports", remedy=form)
    return int(first), int(last)
