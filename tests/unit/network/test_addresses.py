"""What is allotted: pools, addresses, fixed ones, MAC addresses."""

from __future__ import annotations

import ipaddress
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import Conflict, Forbidden, InvalidArgument
from sampan.network import addresses
from sampan.network.definitions import Subnet


def number(text: str) -> int:
    return int(ipaddress.ip_address(text))


def test_the_first_pool_that_nothing_overlaps_is_taken() -> None:
    assert addresses.free_subnet([]) == Subnet("172.17.0.0/16", "172.17.0.1", chosen=True)
    assert addresses.free_subnet(["172.17.9.0/24", "172.16.0.0/15", "fd00::/8"]).subnet == "172.18.0.0/16"
    assert addresses.free_subnet(["172.16.0.0/12"]).subnet == "192.168.0.0/20"
    with pytest.raises(Conflict, match="non-overlapping"):
        addresses.free_subnet(["172.16.0.0/12", "192.168.0.0/16"])


def test_unique_local_subnets_follow_from_their_seed() -> None:
    first, second, *rest = list(addresses.unique_local_subnets("seed"))
    assert [first, second] == list(islice(addresses.unique_local_subnets("seed"), 2))
    assert first not in addresses.unique_local_subnets("other")
    assert first.subnet_of(ipaddress.IPv6Network("fd00::/8"))
    assert len({first, second, *rest}) == 1 << 16
    assert {one.supernet(new_prefix=48) for one in (first, second, *rest)} == {first.supernet(new_prefix=48)}


def test_addresses_come_back_as_late_as_can_be() -> None:
    subnet = Subnet("10.0.0.0/29", "10.0.0.1")
    given_out = []
    after = 0
    for _ in range(6):
        found = addresses.next_address(subnet, {number("10.0.0.4")}, after)
        after = number(found)
        given_out.append(found)
    assert given_out == ["10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6", "10.0.0.2", "10.0.0.3"]


def test_a_full_range_is_told() -> None:
    subnet = Subnet("10.0.0.0/30", "10.0.0.1")
    with pytest.raises(Conflict, match="no available IPv4 addresses"):
        addresses.next_address(subnet, {number("10.0.0.2")})


@given(st.integers(16, 30), st.integers(0, 2**32 - 1), st.sets(st.integers(0, 200), max_size=50))
def test_an_address_is_free_inside_and_no_gateway(prefix: int, base: int, offsets: set[int]) -> None:
    network = ipaddress.IPv4Network((base, prefix), strict=False)
    subnet = Subnet(str(network), str(network[1]))
    used = {int(network[0]) + offset for offset in offsets}
    try:
        found = ipaddress.ip_address(addresses.next_address(subnet, used))
    except Conflict:
        assert all(int(host) in used | {int(network[1])} for host in network.hosts())
        return
    assert found in network
    assert int(found) not in used
    assert found not in {network[0], network[1], network[-1]}


def test_a_user_s_subnet_is_completed_and_checked() -> None:
    assert addresses.complete(Subnet("10.1.0.0/24")).gateway == "10.1.0.1"
    assert addresses.complete(Subnet("2001:db8::/64")).gateway == "2001:db8::1"
    for wrong in (
        Subnet("10.1.0.7/24"),
        Subnet("nonsense"),
        Subnet("10.1.0.0/24", gateway="10.2.0.1"),
        Subnet("10.1.0.0/24", ip_range="10.2.0.0/25"),
        Subnet("10.1.0.0/24", ip_range="10.1.0.0/16"),
        Subnet("10.1.0.0/24", auxiliary={"a": "10.2.0.1"}),
    ):
        with pytest.raises(InvalidArgument):
            addresses.complete(wrong)


@pytest.mark.parametrize(
    ("subnet", "ip_range", "reason"),
    [
        ("10.9.0.0", "", "invalid subnet 10.9.0.0: invalid CIDR block notation"),
        ("10.9.0.5/24", "", "invalid subnet 10.9.0.5/24: it should be 10.9.0.0/24"),
        ("10.9.0.0/24", "10.9.0.5/25", "invalid ip-range 10.9.0.5/25: it should be 10.9.0.0/25"),
        ("10.9.0.0/24", "10.9.0.5", "invalid ip-range 10.9.0.5: invalid CIDR block notation"),
        (
            "10.9.0.0/24",
            "10.9.0.0/16",
            "invalid ip-range 10.9.0.0/16: CIDR block is bigger than its parent subnet 10.9.0.0/24",
        ),
    ],
)
def test_a_block_of_addresses_that_is_none_is_refused_in_docker_s_words(
    subnet: str, ip_range: str, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        addresses.complete(Subnet(subnet, ip_range=ip_range))
    assert str(caught.value) == f"invalid network config:\n{reason}"


def test_fixed_addresses_are_for_subnets_of_users() -> None:
    users = Subnet("10.1.0.0/24", "10.1.0.1")
    assert addresses.check_fixed("10.1.0.9", [users], set()) == "10.1.0.9"
    for taken in ("10.1.0.1", "10.1.0.5"):
        with pytest.raises(Forbidden, match="already in use"):
            addresses.check_fixed(taken, [users], {number("10.1.0.5")})
    with pytest.raises(InvalidArgument, match="user configured subnets"):
        addresses.check_fixed("172.17.0.9", [addresses.free_subnet([])], set())
    with pytest.raises(InvalidArgument, match="no configured subnet"):
        addresses.check_fixed("10.9.0.9", [users], set())


def test_no_host_has_the_address_of_the_network_itself_or_of_broadcasts() -> None:
    users = Subnet("10.1.0.0/24", "10.1.0.1")
    for text, what in (("10.1.0.0", "the network itself"), ("10.1.0.255", "broadcasts")):
        with pytest.raises(Forbidden, match="Address already in use") as refusal:
            addresses.check_fixed(text, [users], set())
        assert refusal.value.remedy == f"in 10.1.0.0/24 {text} stands for {what}: choose another"
        with pytest.raises(Forbidden) as refusal:
            addresses.complete(Subnet("10.1.0.0/24", gateway=text))
        assert str(refusal.value) == f"failed to allocate gateway ({text}): Address already in use"
        with pytest.raises(Forbidden) as refusal:
            addresses.complete(Subnet("10.1.0.0/24", auxiliary={"router": text}))
        assert str(refusal.value) == f"failed to allocate secondary ip address (router:{text}): Address already in use"
    assert addresses.complete(Subnet("10.1.0.0/31", gateway="10.1.0.0")).gateway == "10.1.0.0"
    assert addresses.check_fixed("10.1.0.1", [Subnet("10.1.0.0/31", "10.1.0.0")], set()) == "10.1.0.1"
    assert addresses.check_fixed("fd00::ffff", [Subnet("fd00::/112", "fd00::1")], set()) == "fd00::ffff"


@pytest.mark.parametrize(
    ("subnet", "of_whom"),
    [
        ("224.0.0.0/24", "224.0.0.0/4 is for multicast"),
        ("127.0.0.0/24", "127.0.0.0/8 is for the host itself"),
        ("0.0.0.0/24", "0.0.0.0/8 is for this network"),
        ("ff05::/64", "ff00::/8 is for multicast"),
    ],
)
def test_a_subnet_without_addresses_for_hosts_is_refused(subnet: str, of_whom: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        addresses.complete(Subnet(subnet))
    assert str(refusal.value) == f"invalid subnet {subnet}: {of_whom}, no host has an address there"


def test_the_address_of_a_group_is_no_address_of_an_interface() -> None:
    for text in ("01:00:5e:00:00:01", "FF-FF-FF-FF-FF-FF"):
        with pytest.raises(InvalidArgument, match=f"invalid MAC address {text}: it is a group's"):
            addresses.parse_mac(text)
    assert addresses.parse_mac("FE-00-00-00-00-01") == "fe:00:00:00:00:01"


def test_mac_addresses_follow_from_addresses() -> None:
    assert addresses.mac_of("172.17.0.2", "") == "02:42:ac:11:00:02"
    assert addresses.mac_of("", "seed") == addresses.mac_of("", "seed") != addresses.mac_of("", "other")
