"""How outputs of two engines are compared: what is masked, and where documents differ."""

from __future__ import annotations

import pytest
from tests.compat.side_by_side import COMMANDS, differences, lines_of, mask


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a" * 64 + " x", "b" * 64 + " x"),
        ("0123456789ab  web", "ba9876543210    web"),
        ("Up 3 seconds", "Up About a minute"),
        ("Exited (1) 2 seconds ago", "Exited (1) Less than a second ago"),
        ("2026-01-02T03:04:05.678Z", "2025-11-12T13:14:15Z"),
        ("2.03MB (virtual 4kB)", "1GiB (virtual 17B)"),
    ],
)
def test_what_is_never_the_same_is_masked(one: str, other: str) -> None:
    assert mask(one) == mask(other)


@pytest.mark.parametrize(("one", "other"), [("Up 3 seconds", "Exited (0) 3 seconds ago"), ("a b", "a c"), ("1", "2")])
def test_what_is_said_otherwise_is_not(one: str, other: str) -> None:
    assert mask(one) != mask(other)


def test_documents_are_compared_member_by_member() -> None:
    theirs = [{"a": {"b": 1, "same": [1, 2]}, "Mounts": [{"Destination": "/x"}, {"Destination": "/y", "RW": True}]}]
    ours = [
        {"a": {"b": 2, "same": [1, 2]}, "Mounts": [{"Destination": "/y", "RW": False}, {"Destination": "/x"}], "c": 3}
    ]
    assert list(differences(theirs, ours)) == [
        "[0].Mounts()[1].RW: true | false",
        "[0].a.b: 1 | 2",
        '[0].c: "(absent)" | 3',
    ]


def test_every_script_has_lines() -> None:
    scripts = [path.stem for path in COMMANDS.glob("*.txt")]
    assert len(scripts) >= 5
    assert all(list(lines_of(script)) for script in scripts)


def test_binds_are_the_same_in_any_order() -> None:
    assert list(differences({"Binds": ["/a:/x", "/b:/y"]}, {"Binds": ["/b:/y", "/a:/x"]})) == []
    assert list(differences({"Binds": ["/a:/x"]}, {"Binds": ["/b:/x"]})) == ['.Binds[0]: "/a:/x" | "/b:/x"']
