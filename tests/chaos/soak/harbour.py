"""The engine of a soak with its network, and what may be left of ships: in the kernel, on disk, in the daemon."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.building import context_of
from tests.chaos.soak.model import BASE, Fleet
from tests.engine_process import EngineProcess, UnixConnection
from tests.groups import groups_matching
from tests.private_network import PrivateNetwork
from tests.waiting import until

PATIENCE_S = 60.0
NETWORKS_OF_DOCKER = frozenset({"bridge", "host", "none"})
_APPLETS = ("sh", "sleep", "cat", "wc", "true", "kill", "echo")


def busybox_root() -> bytes:
    """A root file system of busybox alone, as an archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.add("/bin/busybox", "bin/busybox")
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return made.getvalue()


@dataclass
class Harbour:
    """An engine, where it lives, and what it was like before anything was asked of it."""

    engine: EngineProcess
    network: PrivateNetwork
    descriptors: dict[int, int] = field(default_factory=dict)  # of each daemon, when it had nothing for the first time
    elements: list[Any] = field(default_factory=list)  # of the table of rules, while there are no ships
    ids: set[str] = field(default_factory=set)  # of every container that there ever was
    done: int = 0  # acts, over all examples

    def note_what_stays(self) -> None:
        """Use everything once, so that what is made with the first container and stays is there already."""
        container = self.engine.create("first", "true", image=BASE, host={"NetworkMode": "bridge"})
        self.engine.json("POST", f"/containers/{container}/start", expect=204)
        self.engine.wait(container)
        self.engine.json("DELETE", f"/containers/{container}", expect=204)
        self.elements = elements(self)

    def post_archive(self, path: str, archive: bytes) -> tuple[int, bytes]:
        """POST with an archive as its body."""
        connection = UnixConnection(self.engine.socket)
        try:
            connection.request("POST", path, archive, {"Content-Type": "application/x-tar"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def import_base(self) -> str:
        """The image that every first ship is made of; its id."""
        repository, _, tag = BASE.partition(":")
        status, body = self.post_archive(f"/images/create?fromSrc=-&repo={repository}&tag={tag}", busybox_root())
        assert status == 200, body
        return self.image_id(BASE)

    def build(self, base: str, tag: str, word: str) -> tuple[int, bytes]:
        """Build an image of one step over another."""
        context = context_of({"Dockerfile": f"FROM {base}\nRUN echo {word} >> /mark\n"})
        return self.post_archive(f"/build?t={tag}", context)

    def image_id(self, name: str) -> str:
        found: str = self.engine.json("GET", f"/images/{name}/json")["Id"]
        return found

    def tags(self) -> set[str]:
        images = self.engine.json("GET", "/images/json")
        return {tag for image in images for tag in image["RepoTags"] or ()}

    def listed(self) -> dict[str, tuple[str, str]]:
        entries = self.engine.json("GET", "/containers/json?all=1")
        return {entry["Id"]: (entry["Names"][0], entry["State"]) for entry in entries}

    def networks(self) -> dict[str, str]:
        found = {entry["Name"]: entry["Id"] for entry in self.engine.json("GET", "/networks")}
        return {name: network for name, network in found.items() if name not in NETWORKS_OF_DOCKER}

    def volumes(self) -> set[str]:
        return {entry["Name"] for entry in self.engine.json("GET", "/volumes")["Volumes"]}

    def lines_of(self, volume: str) -> int:
        """How many lines the ships have written to a volume's file."""
        path = Path(self.engine.data_root) / "volumes" / volume / "_data" / "log"
        return len(path.read_text().splitlines()) if path.exists() else 0


def check_lists(harbour: Harbour, fleet: Fleet) -> None:
    """Every list of the engine says what the model says."""
    lines = {name: harbour.lines_of(name) for name in fleet.volumes}
    for what, seen, expected in (
        ("containers", harbour.listed(), fleet.listed()),
        ("images", harbour.tags(), set(fleet.tags)),
        ("networks", harbour.networks(), fleet.networks),
        ("volumes", harbour.volumes(), set(fleet.volumes)),
        ("lines in volumes", lines, fleet.volumes),
    ):
        assert seen == expected, (what, seen, expected)
    for ship in fleet.ships.values():
        shown = harbour.engine.inspect(ship.id)
        assert set(shown["NetworkSettings"]["Networks"]) - {"none"} == ship.networks, ship
        assert shown["Image"] == ship.image, ship


def check_kernel(harbour: Harbour, fleet: Fleet) -> None:
    """What there is in the kernel and on disk belongs to a ship that the model has."""
    alive = {ship.id for ship in fleet.alive()}
    whole = set(fleet.ships)
    root, run = Path(harbour.engine.data_root), Path(harbour.engine.exec_root)
    _same("folders of containers", whole, lambda: _long_names(root / "containers"))
    _same("folders of monitors", alive, lambda: _long_names(run))
    _same("cgroups", alive, lambda: {name for name in _cgroups() if name in harbour.ids})
    _same("mounts on the host", set(), lambda: _mounted(f"{root}/"))
    documents = [harbour.engine.inspect(ship_id) for ship_id in alive]
    places = [place for one in documents for place in one["NetworkSettings"]["Networks"].values()]
    veths = {f"sp{place['EndpointID'][:12]}" for place in places if place["MacAddress"]}
    _same("veths", veths, lambda: {name for name in harbour.network.links() if name.startswith("sp")})
    bridges = {f"br-{network[:12]}" for network in fleet.networks.values()}
    _same("bridges", bridges, lambda: {name for name in harbour.network.links() if name.startswith("br-")})
    _same("ports", fleet.ports(), lambda: published(harbour))


def _same(what: str, expected: set[Any], look: Any) -> None:
    seen: set[Any] = set()

    def is_so() -> bool:
        nonlocal seen
        seen = look()
        return seen == expected

    try:
        until(is_so, PATIENCE_S)
    except AssertionError:
        raise AssertionError(f"{what}: too many {seen - expected}, missing {expected - seen}") from None


def _long_names(path: Path) -> set[str]:
    return {name for name in os.listdir(path) if len(name) == 64} if path.exists() else set()


def _cgroups() -> set[str]:
    return {path.name for path in groups_matching("sampan/*")}


def _mounted(root: str) -> set[str]:
    targets = {line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return {target for target in targets if target.startswith(root)}


def published(harbour: Harbour) -> set[int]:
    """The ports in the maps of our table."""
    text = harbour.network.run("nft", "list", "map", "inet", "sampan", "any4", check=False)
    return {int(port) for port in re.findall(r"tcp \. (\d+) : [\d.]+ \.", text)}


def elements(harbour: Harbour) -> list[Any]:
    """What the maps and sets of our table hold."""
    text = harbour.network.run("nft", "-j", "list", "table", "inet", "sampan", check=False)
    entries = json.loads(text)["nftables"] if text else []
    return [entry[kind]["elem"] for entry in entries for kind in ("map", "set") if entry.get(kind, {}).get("elem")]
