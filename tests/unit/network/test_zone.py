"""Answers to questions for names."""

from __future__ import annotations

from dnslib import RCODE, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from sampan.network.names.zone import Further, Owner, Place, Zone


def zone() -> Zone:
    made = Zone()
    made.put_network("n1", "app", internal=False)
    made.put_network("n2", "inner", internal=True)
    made.put("a", Owner({"n1": Place(("one", "alias"), "10.0.0.2", "fd00::2")}, links={"db": "two"}))
    made.put("b", Owner({"n1": Place(("two", "alias"), "10.0.0.3")}, servers=("192.0.2.53",)))
    made.put("c", Owner({"n2": Place(("three",), "10.1.0.2")}))
    return made


def found(made: Zone, owner: str, name: str, kind: str = "A") -> set[str] | None:
    answer = made.answer(owner, DNSRecord.question(name, kind).pack())
    return {str(record.rdata) for record in DNSRecord.parse(answer).rr} if isinstance(answer, bytes) else None


def test_names_are_those_of_shared_networks() -> None:
    made = zone()
    assert found(made, "a", "two") == found(made, "a", "TWO.app") == found(made, "a", "db") == {"10.0.0.3"}
    assert found(made, "b", "alias") == {"10.0.0.2", "10.0.0.3"}
    assert found(made, "b", "one", "AAAA") == {"fd00::2"}
    assert found(made, "b", "two", "AAAA") == set()
    assert found(made, "b", "db") is None
    assert found(made, "a", "three") is None
    assert found(made, "a", "3.0.0.10.in-addr.arpa", "PTR") == {"two.app."}


def test_the_rest_is_asked_further_or_not_at_all() -> None:
    made = zone()
    question = DNSRecord.question("far.example").pack()
    assert made.answer("a", question) == Further(())
    assert made.answer("b", question) == Further(("192.0.2.53",))
    refused = made.answer("c", question)
    assert isinstance(refused, bytes)
    assert DNSRecord.parse(refused).header.rcode == RCODE.SERVFAIL


def test_who_is_gone_is_nobody() -> None:
    made = zone()
    made.drop("b")
    made.drop("b")
    assert found(made, "a", "two") is None
    assert found(made, "a", "alias") == {"10.0.0.2"}
    assert made.answer("b", DNSRecord.question("one").pack()) is None


@given(st.binary(max_size=600))
def test_no_packet_is_too_strange(packet: bytes) -> None:
    answer = zone().answer("a", packet)
    assert answer is None or isinstance(answer, bytes | Further)
