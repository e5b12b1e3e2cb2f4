"""What a link says, word by word."""

from __future__ import annotations

import pytest

from sampan.engine.config import ContainerConfig, ProcessConfig
from sampan.engine.container import ContainerRecord, Endpoint
from sampan.engine.links import environment, parse
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "found"),
    [("db:d", ("db", "d")), ("db", ("db", "db")), ("/db:/web/d", ("db", "d")), ("db:", ("db", "db"))],
)
def test_links_are_read(text: str, found: tuple[str, str]) -> None:
    assert parse(text) == found


def test_a_link_to_nobody_is_none() -> None:
    with pytest.raises(InvalidArgument):
        parse(":alias")


def test_ports_in_a_row_are_told_as_a_range_too() -> None:
    process = ProcessConfig(exposed_ports=("8003/tcp", "8001/tcp", "8002/tcp", "9000/udp", "9001/udp"))
    there = Endpoint(network_id="n", ip_address="172.17.0.9")
    record = ContainerRecord("i" * 64, "db", 0, "", ContainerConfig(process), endpoints={"bridge": there})
    found = list(environment("web", "db", record))
    assert found[0] == "DB_PORT=tcp://172.17.0.9:8001"
    assert [entry for entry in found if "START" in entry or "END" in entry] == [
        "DB_PORT_8001_TCP_START=tcp://172.17.0.9:8001",
        "DB_PORT_8001_TCP_PORT_START=8001",
        "DB_PORT_8001_TCP_END=tcp://172.17.0.9:8003",
        "DB_PORT_8001_TCP_PORT_END=8003",
    ]
    assert "DB_PORT_9001_UDP=udp://172.17.0.9:9001" in found
