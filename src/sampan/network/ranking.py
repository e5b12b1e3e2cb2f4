"""Which of an owner's places in networks comes first, as libnetwork decides: names of interfaces, routes, ports.

Internal networks come last and among themselves as they were asked for. The others go by the priority of the gateway,
then those with both families before those with one, then by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.network.definitions import Endpoint, EndpointRequest, Network, Publication, family_of

type Place = tuple[EndpointRequest | Endpoint, Network]


def ranked(places: Sequence[Place]) -> list[int]:
    """The numbers of the places, first the first."""
    return sorted(range(len(places)), key=lambda number: _rank(*places[number]))


def router(places: Sequence[Place], *, publishing: bool = False) -> int:
    """The number of the place that default routes go by, or ports are published on; -1 when none leads anywhere."""
    return next(iter(_leading_out(places, publishing=publishing)), -1)


def published(places: Sequence[tuple[Endpoint, Network]], *, leaving: str) -> list[tuple[Publication, ...]]:
    """What each endpoint is to publish of what all of them do, when the one with the id `leaving` is to go.

    Each port goes by the first that has an address of its family, and stays where it is when there is none.
    """
    order = [places[number][0] for number in _leading_out(places, publishing=True) if places[number][0].id != leaving]
    found: dict[str, list[Publication]] = {endpoint.id: [] for endpoint, _ in places}
    for endpoint, _ in places:
        for one in endpoint.publications:
            home = next((other for other in order if other.address(family_of(one.address))), endpoint)
            found[home.id].append(one)
    return [tuple(each) for each in found.values()]


def _leading_out(places: Sequence[Place], *, publishing: bool) -> list[int]:
    return [number for number in ranked(places) if _leads_out(places[number][1], publishing=publishing)]


def _rank(place: EndpointRequest | Endpoint, network: Network) -> tuple[bool, int, bool, str]:
    if network.internal:
        return True, 0, False, ""
    return False, -place.priority, len({subnet.family for subnet in network.asked}) < 2, network.name


def _leads_out(network: Network, *, publishing: bool) -> bool:
    has_router = bool(network.router(4) or network.router(6))
    return not network.internal and has_router and (network.is_bridge or not publishing)
