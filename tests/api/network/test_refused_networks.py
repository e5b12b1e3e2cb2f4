"""Networks that cannot be: refused with the reason, and nothing is left of them."""

from __future__ import annotations

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Networks
from tests.private_network import PrivateNetwork

NAME, MTU = "com.docker.network.bridge.name", "com.docker.network.driver.mtu"
BRIDGE = "com.docker.network.bridge"


def test_what_the_kernel_refuses_is_told_and_nothing_is_left(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks
) -> None:
    networks.create("before")  # so that there are rules
    links, rules = network.links(), network.run("nft", "list", "table", "inet", "sampan")
    # the kernel has settings for all links under this name (devinet_sysctl_register)
    refused = engine.json("POST", "/networks/create", {"Name": "late", "Options": {NAME: "all"}}, expect=500)
    assert refused["message"].startswith("cannot make the link all: ")
    assert "nvalid argument" in refused["message"]
    assert "late" not in networks.listed()
    assert network.links() == links
    assert network.run("nft", "list", "table", "inet", "sampan") == rules


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({MTU: "60"}, "invalid MTU 60: a link has one of 68 to 65535 bytes"),
        ({MTU: "70000"}, "invalid MTU 70000: a link has one of 68 to 65535 bytes"),
        ({MTU: "many"}, "invalid MTU 'many'"),
        ({NAME: "a b"}, "invalid bridge name 'a b'"),
        ({NAME: "a:b"}, "invalid bridge name 'a:b'"),
        ({NAME: ".."}, "invalid bridge name '..'"),
        ({f"{BRIDGE}.host_binding_ipv4": "foo"}, f"failed to parse {BRIDGE}.host_binding_ipv4 value: foo (nil ip)"),
        (
            {f"{BRIDGE}.enable_icc": "foo"},
            f'failed to parse {BRIDGE}.enable_icc value: foo (strconv.ParseBool: parsing "foo": invalid syntax)',
        ),
        (
            {f"{BRIDGE}.gateway_mode_ipv4": "foo"},
            f"failed to parse {BRIDGE}.gateway_mode_ipv4 value: foo (unknown gateway mode foo)",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(
    engine: EngineProcess, networks: Networks, options: dict[str, str], message: str
) -> None:
    refused = engine.json("POST", "/networks/create", {"Name": "wrong", "Options": options}, expect=400)
    assert refused["message"] == message
    assert "wrong" not in networks.listed()


def test_a_network_with_a_small_mtu_has_ipv6_only_if_it_is_asked_for_and_then_is_refused(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks
) -> None:
    networks.create("small", Options={MTU: "1000", NAME: "small0"})
    assert "mtu 1000" in network.run("ip", "link", "show", "small0")
    assert "UnaskedIPv6" not in networks.inspect("small")
    asked = {"Name": "wrong", "EnableIPv6": True, "Options": {MTU: "1000"}}
    refused = engine.json("POST", "/networks/create", asked, expect=400)
    assert refused["message"] == "IPv6 needs an MTU of 1280 or more, not 1000"
