"""What --network, --network-rate and --network-class say."""

from __future__ import annotations

import pytest

from sampan.cli.grammar import UsageError
from sampan.cli.request.networks import read_class, read_network, read_rate


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10mbit", (10_000_000, 10_000_000)),
        ("in=1.5Mbit,out=500kbit", (1_500_000, 500_000)),
        ("out=2gbit", (0, 2_000_000_000)),
        ("8000", (8000, 8000)),
        ("8000bit", (8000, 8000)),
        ("0", (0, 0)),
    ],
)
def test_rates_are_read(text: str, found: tuple[int, int]) -> None:
    assert read_rate(text) == {"In": found[0], "Out": found[1]}


@pytest.mark.parametrize(
    "text", ["", "fast", "10mb", "up=10mbit", "in=", "in=10mbit,", "-5kbit", "1.2.3mbit", "in=1mbit,in=2mbit", "١mbit"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_rate(text)


def test_classes_are_read() -> None:
    assert read_class("10:1") == 0x100001
    assert read_class("0x100001") == 0x100001
    for text in ("", "x", "0", "1:2:3", "0x100000000"):
        with pytest.raises(UsageError):
            read_class(text)


def test_a_network_has_a_priority_and_options() -> None:
    found = read_network("name=net1,gw-priority=-7,driver-opt=com.docker.network.endpoint.ifname=up0")
    assert found["gw-priority"] == -7
    assert found["driver-opt"] == {"com.docker.network.endpoint.ifname": "up0"}
    with pytest.raises(UsageError):
        read_network("name=net1,gw-priority=high")
