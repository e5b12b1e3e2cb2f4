"""Values that no field can have are refused where they come in, in Docker's words where it has some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.private_network import make_private_network
from tests.raw_http import ask

DISK = "/dev/null"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine with networks, in a network namespace of its own."""
    network = make_private_network()
    try:
        with EngineProcess(tmp_path_factory.mktemp("engine"), netns_fd=network.netns_fd) as running:
            running.json("POST", "/networks/create", {"Name": "net"}, expect=201)
            running.create("box", "true")
            yield running
    finally:
        network.close()


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ({"Memory": 2**63}, f"Memory: the number {2**63} is out of range"),
        ({"Ulimits": [{"Name": "nofile", "Soft": -(2**63) - 1}]}, "Ulimits[0].Soft: the number"),
        ({"BlkioDeviceReadBps": [{"Path": DISK, "Rate": -1}]}, "BlkioDeviceReadBps"),
        ({"BlkioDeviceWriteIOps": [{"Path": DISK, "Rate": -1}]}, "BlkioDeviceWriteIOps"),
        ({"BlkioWeightDevice": [{"Path": DISK, "Weight": 1 << 16}]}, "BlkioWeightDevice"),
    ],
)
def test_a_number_that_is_too_large_or_too_small_is_refused(
    engine: EngineProcess, host: dict[str, Any], sentence: str
) -> None:
    create = ask(engine, "POST", "/containers/create", {"Image": "host", "Cmd": ["true"], "HostConfig": host})
    update = ask(engine, "POST", "/containers/box/update", host)
    for answer in (create, update):
        assert answer.status == 400
        assert answer.message.startswith("invalid JSON: ")
        assert sentence in answer.message


@pytest.mark.parametrize("mac", ["zz:zz:zz:zz:zz:zz", "02:42", "02:42:ac-11:00:02", "x" * 70_000])
def test_what_is_no_mac_address_is_refused_before_a_start(engine: EngineProcess, mac: str) -> None:
    body = {"Image": "host", "Cmd": ["true"]}
    asked = {"EndpointsConfig": {"net": {"MacAddress": mac}}}
    answer = ask(engine, "POST", "/containers/create", body | {"MacAddress": mac})
    assert (answer.status, answer.message) == (400, f"invalid config for network bridge: invalid MAC address {mac}")
    answer = ask(engine, "POST", "/containers/create", body | {"NetworkingConfig": asked})
    assert (answer.status, answer.message) == (400, f"invalid config for network net: invalid MAC address {mac}")
    answer = ask(engine, "POST", "/networks/net/connect", {"Container": "box", "EndpointConfig": {"MacAddress": mac}})
    assert (answer.status, answer.message) == (400, f"invalid MAC address {mac}")


def test_a_mac_address_may_be_written_in_either_way(engine: EngineProcess) -> None:
    engine.create("mac", "sleep", "600", host={"NetworkMode": "net"}, MacAddress="02-42-AC-AA-00-07")
    engine.json("POST", "/containers/mac/start", expect=204)
    (place,) = engine.inspect("mac")["NetworkSettings"]["Networks"].values()
    assert place["MacAddress"] == "02:42:ac:aa:00:07"
    engine.json("DELETE", "/containers/mac?force=1", expect=204)


def test_a_link_local_address_that_is_none_is_refused(engine: EngineProcess) -> None:
    asked = {"Container": "box", "EndpointConfig": {"IPAMConfig": {"LinkLocalIPs": ["here"]}}}
    answer = ask(engine, "POST", "/networks/net/connect", asked)
    assert (answer.status, answer.message) == (400, "invalid endpoint settings:\ninvalid link-local IP address: here")


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"ConfigFrom": {"Network": "other"}}, 404, 'configuration network "other" does not exist'),
        ({"ConfigOnly": True}, 400, "only settings for others"),
        ({"IPAM": {"Config": [{"IPRange": "10.9.0.0/24"}]}}, 400, "invalid subnet : invalid CIDR block notation"),
        ({"IPAM": {"Config": [{"AuxiliaryAddresses": {"a": "x"}}]}}, 400, "invalid CIDR block notation"),
    ],
)
def test_settings_of_a_network_that_would_be_lost_are_refused(
    engine: EngineProcess, body: dict[str, Any], status: int, sentence: str
) -> None:
    answer = ask(engine, "POST", "/networks/create", {"Name": "other", **body})
    assert answer.status == status
    assert sentence in answer.message


@pytest.mark.parametrize("path", ["/containers/create", "/volumes/create", "/networks/create"])
def test_a_string_that_is_no_text_is_refused(engine: EngineProcess, path: str) -> None:
    answer = ask(engine, "POST", path, b'{"Name": "\xff", "Image": "\xff"}', Content_Type="application/json")
    assert (answer.status, answer.message) == (400, "invalid JSON: Name: a string is no UTF-8")


@pytest.mark.parametrize("host", ["..", ".example", f"{'x' * 70}.example"])
def test_what_no_host_can_be_called_is_not_reached(engine: EngineProcess, host: str) -> None:
    answer = ask(engine, "GET", f"/images/search?term={host}%2Fx")
    assert answer.status == 503
    assert answer.message.startswith(f"cannot reach the registry at https://{host}")


@pytest.mark.parametrize("path", ["/containers/json", "/images/json", "/networks", "/volumes"])
def test_filters_that_are_null_are_none(engine: EngineProcess, path: str) -> None:
    assert ask(engine, "GET", f"{path}?filters=null").status == 200
