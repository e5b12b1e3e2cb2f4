"""nftables of private network namespaces, through the library."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sampan.errors import NotImplementedHere
from sampan.linux import nftables
from sampan.linux.network_namespace import make_network_namespace
from sampan.linux.nftables import Nftables

try:
    nftables.library()
except NotImplementedHere as missing:
    pytest.skip(f"{missing}", allow_module_level=True)

TABLE = """
add table inet sampan
add map inet sampan ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
add chain inet sampan before { type nat hook prerouting priority dstnat; }
add rule inet sampan before dnat ip to meta l4proto . th dport map @ports
"""


def run(host: Any, function: Callable[[Nftables], Any]) -> Any:
    """Call `function` with the nftables of a network namespace of its own."""

    def inside_it() -> Any:
        with Nftables() as nft:
            return function(nft)

    return host.run(inside_it, mnt=False, net=True)


def test_a_published_port_is_one_element(host: Any) -> None:
    def check(nft: Nftables) -> tuple[str, str]:
        nft.run(TABLE)
        nft.run("add element inet sampan ports { tcp . 8080 : 10.0.0.2 . 80 }")
        shown = nft.run("list map inet sampan ports")
        nft.run("delete element inet sampan ports { tcp . 8080 }")
        return shown, nft.run("list map inet sampan ports")

    shown, after = run(host, check)
    assert "elements = { 6 . 8080 : 10.0.0.2 . 80 }" in shown
    assert "elements" not in after


def test_json_goes_in_and_out(host: Any) -> None:
    def check(nft: Nftables) -> Any:
        nft.run('{"nftables": [{"add": {"table": {"family": "inet", "name": "sampan"}}}]}', json=True)
        return json.loads(nft.run("list tables", json=True))

    listed = run(host, check)["nftables"]
    assert {each["table"]["name"] for each in listed if "table" in each} == {"sampan"}


def test_what_was_added_is_echoed_with_its_handle(host: Any) -> None:
    def check(nft: Nftables) -> tuple[str, Any]:
        nft.run(TABLE)
        rule = "add rule inet sampan before counter accept"
        return nft.run(rule, echo=True, handles=True), json.loads(nft.run(rule, echo=True, json=True))

    text, document = run(host, check)
    assert text.count("\n") == 1
    assert "# handle" in text
    assert document["nftables"][0]["add"]["rule"]["handle"] > 0


def test_numbers_are_not_made_names(host: Any) -> None:
    def check(nft: Nftables) -> str:
        nft.run(TABLE)
        return nft.run("list chain inet sampan before")

    assert "priority -100" in run(host, check)


def test_a_refused_command_undoes_those_before_it(host: Any) -> None:
    def check(nft: Nftables) -> str:
        with pytest.raises(FileNotFoundError):
            nft.run("add table inet one\nadd chain inet one two\ndelete table inet three")
        return nft.run("list ruleset")

    assert run(host, check) == ""


@pytest.mark.parametrize(
    ("commands", "number", "said", "about"),
    [
        ("delete table inet none", errno.ENOENT, "No such file or directory", "delete table inet none"),
        (
            "create table inet a\ncreate chain inet a b\ncreate chain inet a b",
            errno.EEXIST,
            "File exists",
            "chain inet a b",
        ),
        ("add table inet a\nadd bogus\nadd table inet b", errno.EINVAL, "syntax error", "add bogus"),
        ("add table inet a\nadd chain inet none b", errno.ENOENT, "No such file or directory", "add chain inet none b"),
        ('{"nftables": [{"delete": {"table": {"family": "inet", "name": "x"}}}]}', errno.ENOENT, "No such file", ""),
        ("add rule inet a b accept", errno.ENOENT, "No such file or directory", "add rule inet a b accept"),
    ],
)
def test_a_refusal_names_the_line_and_the_kernel_s_errno(
    host: Any, commands: str, number: int, said: str, about: str
) -> None:
    with pytest.raises(OSError, match=said) as refusal:
        run(host, lambda nft: nft.run(commands, json=commands.startswith("{")))
    assert refusal.value.errno == number
    assert about in str(refusal.value)
    assert "^" not in str(refusal.value)


def test_a_refusal_leaves_nothing_for_the_next_command(host: Any) -> None:
    def check(nft: Nftables) -> str:
        with pytest.raises(OSError, match="bogus"):
            nft.run("bogus")
        nft.run("add table inet a")
        with pytest.raises(OSError, match="nft") as refusal:
            nft.run("delete table inet b")
        return nft.run("list tables") + str(refusal.value)

    assert (
        run(host, check)
        == "table inet a\n[Errno 2] nft: Could not process rule: No such file or directory: 'delete table inet b'"
    )


def test_each_context_belongs_to_its_namespace(host: Any) -> None:
    def check(nft: Nftables) -> list[str]:
        places = [make_network_namespace() for _ in range(2)]
        others = [Nftables(place) for place in places]
        for place in places:
            os.close(place)
        for number, each in enumerate((nft, *others)):
            each.run(f"add table inet t{number}")
        shown = [each.run("list tables") for each in (nft, *others)]
        for each in others:
            each.close()
        return shown

    assert run(host, check) == ["table inet t0\n", "table inet t1\n", "table inet t2\n"]


def test_several_threads_may_use_one_context(host: Any) -> None:
    def check(nft: Nftables) -> int:
        nft.run(TABLE)
        failures = []

        def add(first: int) -> None:
            for port in range(first, first + 100):
                try:
                    nft.run(f"add element inet sampan ports {{ tcp . {port} : 10.0.0.2 . 80 }}")
                except OSError as error:
                    failures.append(error)

        threads = [threading.Thread(target=add, args=(first,)) for first in (1000, 2000, 3000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        return nft.run("list map inet sampan ports").count("10.0.0.2")

    assert run(host, check) == 300


def test_a_closed_context_refuses_and_closes_again(host: Any) -> None:
    def check(nft: Nftables) -> int:
        nft.close()
        nft.close()
        with pytest.raises(OSError, match="closed") as refusal:
            nft.run("list ruleset")
        return refusal.value.errno or 0

    assert run(host, check) == errno.EBADF


def test_nothing_is_left_open(host: Any) -> None:
    def check(_: Nftables) -> tuple[list[str], list[str]]:
        before = os.listdir("/proc/self/fd")
        with Nftables() as nft:
            nft.run(TABLE)
            with pytest.raises(OSError, match="bogus"):
                nft.run("add table inet a\nbogus")
        return before, os.listdir("/proc/self/fd")

    before, after = run(host, check)
    assert before == after


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nftables, "_SONAME", "libnftables.so.none")
    nftables.library.cache_clear()
    try:
        with pytest.raises(NotImplementedHere) as refusal:
            Nftables()
        assert "apt-get install libnftables1" in refusal.value.remedy
    finally:
        nftables.library.cache_clear()


def test_hundreds_of_lines_are_one_transaction(host: Any) -> None:
    def check(nft: Nftables) -> str:
        nft.run(TABLE)
        lines = [f"add element inet sampan ports {{ udp . {port} : 10.0.0.2 . 53 }}" for port in range(1, 400)]
        with pytest.raises(FileNotFoundError):
            nft.run("\n".join([*lines, "delete table inet none"]))
        assert "10.0.0.2" not in nft.run("list map inet sampan ports")
        nft.run("\n".join(lines))
        return nft.run("list map inet sampan ports")

    assert run(host, check).count("10.0.0.2") == 399


def test_an_interval_that_is_not_there_cannot_be_deleted_as_any_other_element(host: Any) -> None:
    def check(nft: Nftables) -> list[int | None]:
        nft.run(f"{TABLE}\nadd set inet sampan sources {{ type ipv4_addr; flags interval; }}")
        found = []
        for element in ("ports { tcp . 8080 }", "sources { 10.0.0.0/24 }"):
            with pytest.raises(OSError, match="nft: ") as refusal:
                nft.run(f"delete element inet sampan {element}")
            found.append(refusal.value.errno)
        return found

    assert run(host, check) == [errno.ENOENT, errno.ENOENT]
