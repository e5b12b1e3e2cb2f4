"""Columns by the rules of Go's text/tabwriter (minimum 10, padding 3), and how lists are printed."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.cli.formats.containers import container_columns, ports_text
from sampan.cli.formats.listing import show
from sampan.cli.formats.table import align, columns
from sampan.cli.grammar import Failure

COLUMNS: dict[str, Any] = {"ID": ("ID", lambda row: row["id"]), "Name": ("NAME", lambda row: row["name"])}
ROWS = [{"id": "1", "name": "one"}, {"id": "2222222222", "name": "two"}]


def test_a_column_is_as_wide_as_its_widest_cell_and_three_more() -> None:
    assert columns([["A", "B"], ["123456789", "x"]]) == "A           B\n123456789   x\n"


def test_a_column_is_at_least_ten_wide() -> None:
    assert columns([["A", "B"], ["1", "x"]]) == "A         B\n1         x\n"


def test_letters_are_counted_and_not_bytes() -> None:
    assert columns([["üüüüüüüüüü", "x"]]) == "üüüüüüüüüü   x\n"


def test_a_column_ends_where_a_line_lacks_it() -> None:
    text = align("a\tb\tc\nlonger than ten\tb\nx\n1\t2\n")

    assert text == "a                 b         c\nlonger than ten   b\nx\n1         2\n"


def test_text_without_tabs_stays_as_it_is() -> None:
    assert align("one\ntwo") == "one\ntwo"


@pytest.mark.parametrize(
    ("format", "quiet", "printed"),
    [
        ("", "", "ID           NAME\n1            one\n2222222222   two\n"),
        ("table", "", "ID           NAME\n1            one\n2222222222   two\n"),
        ("", "ID", "1\n2222222222\n"),
        ("{{.Name}}", "", "one\ntwo\n"),
        ("{{.Name}}", "ID", "one\ntwo\n"),
        ("json", "", '{"ID":"1","Name":"one"}\n{"ID":"2222222222","Name":"two"}\n'),
        (r"table {{.Name}}\t{{.ID}}", "", "NAME      ID\none       1\ntwo       2222222222\n"),
    ],
)
def test_a_list_is_printed_as_format_asks(
    format: str, quiet: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(ROWS, COLUMNS, ("ID", "Name"), format, quiet=quiet)

    assert capsys.readouterr().out == printed


def test_a_template_for_a_column_that_is_not_there_is_an_error() -> None:
    with pytest.raises(Exception, match="Nope") as caught:
        show(ROWS, COLUMNS, ("ID",), "{{.Nope}}")

    assert not isinstance(caught.value, (KeyError, Failure))


def test_functions_leave_the_heading_of_a_column_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    for function in ("json .ID", "lower .ID", "truncate .ID 2", 'split .ID ","', 'join (split .ID ",") "+"'):
        show(ROWS, COLUMNS, ("ID",), f"table {{{{{function}}}}}")

        heading = capsys.readouterr().out.splitlines()[0]
        assert heading == COLUMNS["ID"][0], function


def test_ports_are_joined_to_ranges() -> None:
    both = [{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp", "IP": address} for address in ("0.0.0.0", "::")]
    exposed = [{"PrivatePort": port, "Type": "tcp"} for port in (90, 91, 92, 99)]
    same = [{"PrivatePort": port, "PublicPort": port, "Type": "udp", "IP": "0.0.0.0"} for port in (53, 54)]

    assert ports_text(both) == "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
    assert ports_text(exposed) == "90-92/tcp, 99/tcp"
    assert ports_text(same) == "0.0.0.0:53-54->53-54/udp"
    assert ports_text([]) == ""
    apart = [{"PrivatePort": port, "Type": kind} for port, kind in ((1, "tcp"), (2, "tcp"), (3, "udp"), (5, "tcp"))]
    assert ports_text([*both, *apart, *same]) == (
        "1-2/tcp, 5/tcp, 3/udp, 0.0.0.0:53-54->53-54/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
    ), "docker's order: what has another number on the host comes last"


def test_a_container_is_shortened_unless_told_not_to_be() -> None:
    container = {
        "Id": "ab" * 32,
        "Names": ["/c1", "/other/alias"],
        "Image": "name:tag@sha256:" + "0" * 64,
        "Command": "a command that is long",
        "Mounts": [{"Name": "v" * 20, "Driver": "local"}, {"Source": "/a"}],
        "Created": 0,
        "SizeRw": 5,
        "SizeRootFs": 1000,
    }
    short, full = container_columns(), container_columns(full=True)

    def shown(columns: Any, name: str) -> Any:
        return columns[name][1](container)

    assert (shown(short, "ID"), shown(full, "ID")) == ("ab" * 6, "ab" * 32)
    assert (shown(short, "Names"), shown(full, "Names")) == ("c1", "c1,other/alias")
    assert (shown(short, "Image"), shown(full, "Image")) == ("name:tag", container["Image"])
    assert shown(short, "Command") == '"a command that is l…"'
    assert shown(short, "Mounts") == "v" * 14 + "…,/a"
    assert shown(short, "LocalVolumes") == "1"
    assert shown(short, "Size") == "5B (virtual 1kB)"
