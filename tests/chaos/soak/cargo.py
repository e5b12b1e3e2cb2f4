"""Acts on what ships are made of and what they share: images, networks, volumes."""

from __future__ import annotations

from hypothesis.stateful import rule
from tests.chaos.soak.model import BASE
from tests.chaos.soak.player import PICK, Player, picked, when

MOST_NETWORKS, MOST_VOLUMES, MOST_TAGS = 3, 3, 5


class Cargo(Player):
    """Images come out of ships and builds; networks and volumes cannot go while a ship needs them."""

    @rule(pick=PICK)
    @when(lambda self: self.fleet.ships and len(self.fleet.tags) < MOST_TAGS)
    def commit(self, pick: int) -> None:
        ship = picked(self.ships_in(), pick)
        tag = f"{self.new_name('i')}:latest"
        made = self.expect("POST", f"/commit?container={ship.id}&repo={tag[:-7]}&tag=latest", 201)["Id"]
        self.fleet.tags[tag] = made
        self.fleet.marks[made] = ship.marks

    @rule(pick=PICK)
    @when(lambda self: len(self.fleet.tags) < MOST_TAGS)
    def tag(self, pick: int) -> None:
        source = picked(sorted(self.fleet.tags), pick)
        name = self.new_name("t")
        self.expect("POST", f"/images/{source}/tag?repo={name}&tag=x", 201)
        self.fleet.tags[f"{name}:x"] = self.fleet.tags[source]

    @rule(pick=PICK)
    @when(lambda self: len(self.fleet.tags) < MOST_TAGS)
    def build(self, pick: int) -> None:
        base = picked(sorted(self.fleet.tags), pick)
        tag = f"{self.new_name('b')}:latest"
        self.harbour.done += 1
        status, body = self.harbour.build(base, tag, tag)
        assert status == 200, body
        assert b'"error"' not in body, body
        made = self.harbour.image_id(tag)
        self.fleet.tags[tag] = made
        self.fleet.marks[made] = self.fleet.marks[self.fleet.tags[base]] + 1

    @rule(pick=PICK)
    @when(lambda self: len(self.fleet.tags) > 1)
    def untag(self, pick: int) -> None:
        tag = picked(sorted(set(self.fleet.tags) - {BASE}), pick)
        image = self.fleet.tags[tag]
        is_last = list(self.fleet.tags.values()).count(image) == 1
        refused = is_last and self.fleet.from_image(image)
        self.expect("DELETE", f"/images/{tag}", 409 if refused else 200)
        if not refused:
            del self.fleet.tags[tag]

    @rule()
    def prune_images(self) -> None:
        self.expect("POST", "/images/prune", 200)

    @rule()
    @when(lambda self: len(self.fleet.networks) < MOST_NETWORKS)
    def create_network(self) -> None:
        name = self.new_name("n")
        self.fleet.networks[name] = self.expect("POST", "/networks/create", 201, {"Name": name})["Id"]

    @rule(pick=PICK)
    @when(lambda self: self.fleet.networks)
    def remove_network(self, pick: int) -> None:
        name = picked(sorted(self.fleet.networks), pick)
        users = self.fleet.on(name)
        if users and not any(ship.is_alive for ship in users):
            return  # ships would be left that can start nowhere
        self.expect("DELETE", f"/networks/{name}", 403 if users else 204)
        if not users:
            del self.fleet.networks[name]

    @rule(pick=PICK, network=PICK)
    @when(lambda self: self.fleet.networks and any(ship.networks for ship in self.fleet.ships.values()))
    def connect_or_disconnect(self, pick: int, network: int) -> None:
        ship = picked([ship for ship in self.ships_in() if ship.networks], pick)
        name = picked(sorted(self.fleet.networks), network)
        if name not in ship.networks:
            self.expect("POST", f"/networks/{name}/connect", 200, {"Container": ship.id})
            self.expect("POST", f"/networks/{name}/connect", 403, {"Container": ship.id})
            ship.networks.add(name)
        elif len(ship.networks) > 1:
            self.expect("POST", f"/networks/{name}/disconnect", 200, {"Container": ship.id})
            ship.networks.discard(name)

    @rule()
    @when(lambda self: len(self.fleet.volumes) < MOST_VOLUMES)
    def create_volume(self) -> None:
        name = self.new_name("v")
        self.expect("POST", "/volumes/create", 201, {"Name": name})
        self.fleet.volumes[name] = 0

    @rule(pick=PICK)
    @when(lambda self: self.fleet.volumes)
    def remove_volume(self, pick: int) -> None:
        name = picked(sorted(self.fleet.volumes), pick)
        users = self.fleet.users_of(name)
        self.expect("DELETE", f"/volumes/{name}", 409 if users else 204)
        if not users:
            del self.fleet.volumes[name]
