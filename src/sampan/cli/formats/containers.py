"""A container as a line of a list: the columns that `ps` has."""

from __future__ import annotations

from sampan.cli.formats.written import ago, ellipsis, quoted, short_id, size, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.formats.listing import Column

    Document = dict[str, Any]

DEFAULT = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def container_columns(*, full: bool = False) -> dict[str, Column]:
    """All columns; `full` shortens nothing."""

    def id_of(container: Document) -> str:
        return str(container["Id"])[: None if full else 12]

    def command(container: Document) -> str:
        text = container["Command"]
        return quoted(text if full else ellipsis(text, 20))

    def names(container: Document) -> str:
        found = [name.removeprefix("/") for name in container["Names"]]
        return ",".join(found if full else [name for name in found if "/" not in name])

    def image(container: Document) -> str:
        return _image(container, full=full)

    def mounts(container: Document) -> str:
        found = [mount.get("Name") or mount.get("Source", "") for mount in container.get("Mounts") or []]
        return ",".join(found if full else [ellipsis(name, 15) for name in found])

    return {
        "Command": ("COMMAND", command),
        "CreatedAt": ("CREATED AT", lambda container: timestamp(container["Created"])),
        "ID": ("CONTAINER ID", id_of),
        "Image": ("IMAGE", image),
        "Label": ("", lambda container: lambda name: (container.get("Labels") or {}).get(name, "")),
        "Labels": ("LABELS", lambda container: labels_text(container.get("Labels"))),
        "LocalVolumes": ("LOCAL VOLUMES", _local_volumes),
        "Mounts": ("MOUNTS", mounts),
        "Names": ("NAMES", names),
        "Networks": (
            "NETWORKS",
            lambda container: ",".join((container.get("NetworkSettings") or {}).get("Networks") or {}),
        ),
        "Ports": ("PORTS", lambda container: ports_text(container.get("Ports") or [])),
        "RunningFor": ("CREATED", lambda container: ago(container["Created"])),
        "Size": ("SIZE", _size),
        "State": ("STATE", lambda container: container.get("State", "")),
        "Status": ("STATUS", _status),
    }


def _status(container: Document) -> str:
    """Docker's text, and how many processes the kernel has killed for want of memory."""
    text, kills = container.get("Status", ""), container.get("MemoryKills") or []
    return f"{text} (out of memory: {kills[-1]['Program']})" if kills else text


def _image(container: Document, *, full: bool) -> str:
    image: str = container["Image"]
    if not image:
        return "<no image>"
    if full:
        return image
    if short_id(image) == short_id(container.get("ImageID") or ""):
        return short_id(image)
    name, mark, _ = image.partition("@")
    return name if mark and ":" in name.rpartition("/")[2] else image


def labels_text(labels: dict[str, str] | None) -> str:
    """Labels as one text: "a=b,c=d"."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def _networks(container: Document) -> str:
    return ",".join((container.get("NetworkSettings") or {}).get("Networks") or {})


def _local_volumes(container: Document) -> str:
    return str(sum(mount.get("Driver") == "local" for mount in container.get("Mounts") or []))


def _size(container: Document) -> str:
    own = size(container.get("SizeRw") or 0)
    total = container.get("SizeRootFs") or 0
    return f"{own} (virtual {size(total)})" if total > 0 else own


def ports_text(ports: list[Document]) -> str:
    """Ports as one text, in docker's order: "90-92/tcp, 0.0.0.0:53-54->53-54/udp, 0.0.0.0:8080->80/tcp".

    Consecutive ones are ranges where the host's have the same numbers; what has others comes last.
    """
    if not ports:
        return ""
    ordered = sorted(
        ports, key=lambda port: (port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"])
    )
    ranges: dict[tuple[str, str], tuple[int, int]] = {}  # of an address and a protocol: first port, how many
    texts: list[str] = []
    singles: list[str] = []
    for port in ordered:
        address, protocol = port.get("IP") or "", port["Type"]
        private, public = port["PrivatePort"], port.get("PublicPort") or 0
        if address and public != private:
            singles.append(f"{bracketed(address)}:{public}->{private}/{protocol}")
            continue
        first, count = ranges.get((address, protocol), (private, 0))
        if first + count != private:
            texts.append(_range_text(address, protocol, first, count))
            first, count = private, 0
        ranges[address, protocol] = first, count + 1
    texts += [_range_text(*key, *found) for key, found in ranges.items()]
    return ", ".join(texts + singles)


def bracketed(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if ":" in address else address


def _range_text(address: str, protocol: str, first: int, count: int) -> str:
    inside = f"{first}-{first + count - 1}" if count > 1 else f"{first}"
    return f"{bracketed(address)}:{inside}->{inside}/{protocol}" if address else f"{inside}/{protocol}"
