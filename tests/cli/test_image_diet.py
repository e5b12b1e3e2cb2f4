"""`image diet`, `image bootstrap` and `save --since`, against a scripted daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    import socket

    from tests.cli.conftest import Command, FakeDaemon, Handler, Request

FOUND: dict[str, Any] = {
    "Id": "sha256:" + "1" * 64,
    "Size": 9_000_000,
    "Seen": 8_000_000,
    "Wasted": 3_000_000,
    "Layers": [
        {
            "Number": 0,
            "DiffId": "sha256:a",
            "Size": 6_000_000,
            "Wasted": 3_000_000,
            "Files": 40,
            "Instruction": "ADD x",
        },
        {"Number": 1, "DiffId": "sha256:b", "Size": 3_000_000, "Wasted": 0, "Files": 2, "Instruction": ""},
    ],
    "Savings": [{"Kind": "logs", "Size": 3_000_000, "Files": 1, "Remedy": "write no logs"}],
    "Waste": [{"Layer": 0, "Path": "/var/log/\x1b[2Jx", "Size": 3_000_000, "Kind": "logs", "Remedy": "write no logs"}],
    "Tree": {"Name": "/", "Size": 8_000_000, "Wasted": 0, "Parts": []},
}


def raw(content: bytes) -> Handler:
    def handle(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))

    return handle


def test_a_diet_is_shown_by_layer_by_remedy_and_by_file(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/images/app/diet", fake_daemon.reply(200, FOUND))
    done = sampan("image", "diet", "app")
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "app: 9MB in 2 layers, 8MB of them seen, 3MB (33.3%) could be saved"
    assert lines[3].split() == ["0", "6MB", "3MB", "40", "██████████░░░░░░░░░░", "ADD", "x"]
    assert lines[4].split()[-1] == "sha256:b"
    assert lines[7].split() == ["3MB", "1", "logs", "write", "no", "logs"]
    assert lines[-1].split() == ["3MB", "0", "logs", "/var/log/?[2Jx"], "a name could steer the terminal"


def test_a_diet_is_given_as_json_and_as_a_page(fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    fake_daemon.on("GET", "/images/app/diet", fake_daemon.reply(200, FOUND))
    assert json.loads(sampan("image", "diet", "--json", "app").stdout) == FOUND
    fake_daemon.on("GET", "/images/app/diet", raw(b"<!doctype html>"))
    page = tmp_path / "page.html"
    done = sampan("image", "diet", "--html", str(page), "app")
    assert (done.returncode, done.stdout.decode()) == (0, f"written to {page}\n")
    assert page.read_bytes() == b"<!doctype html>"
    assert fake_daemon.requests[-1].query == {"format": "html"}


def test_a_smaller_image_is_written_and_what_it_saved_is_said(fake_daemon: FakeDaemon, sampan: Command) -> None:
    made = {"Id": "sha256:2", "Size": 6_000_000, "SizeBefore": 9_000_000, "LeftOut": []}
    fake_daemon.on("POST", "/images/app/squash", fake_daemon.reply(201, made))
    assert sampan("image", "diet", "--squash", "one:v1", "app").stdout == b"one:v1: 6MB instead of 9MB, 33.3% less\n"
    assert fake_daemon.requests[-1].query == {"repo": "one", "tag": "v1"}
    assert sampan("image", "diet", "--slim", "s", "app").returncode == 0
    assert fake_daemon.requests[-1].query == {"repo": "s", "slim": "safe"}
    assert sampan("image", "diet", "--slim", "s", "--leave-out", "logs", "app").returncode == 0
    assert fake_daemon.requests[-1].query["slim"] == "logs"
    assert sampan("image", "diet", "--leave-out", "logs", "app").returncode == 125


def test_a_base_image_is_asked_for_and_its_lines_are_shown(fake_daemon: FakeDaemon, sampan: Command) -> None:
    said = b'{"stream":"I: downloading\\n"}\n{"aux":{"ID":"sha256:3"}}\n'
    fake_daemon.on("POST", "/images/bootstrap", raw(said))
    done = sampan("image", "bootstrap", "--include", "git,curl", "--include", "vim", "-t", "mine", "debian:trixie")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"sha256:3\n", b"I: downloading\n")
    query = parse_qs(urlsplit(fake_daemon.requests[-1].target).query)
    assert query == {"from": ["debian:trixie"], "name": ["mine"], "package": ["git", "curl", "vim"]}
    fake_daemon.on("POST", "/images/bootstrap", raw(b'{"error":"no suite","errorDetail":{"remedy":"another"}}\n'))
    done = sampan("image", "bootstrap", "-q", "debian:trixie")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"sampan: no suite\n  try: another\n"


def test_an_archive_leaves_out_what_the_other_side_has(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.is_sampans()
    fake_daemon.on("GET", "/images/get", raw(b"a tar"))
    assert sampan("save", "--since", "base", "--since", "other", "app").stdout == b"a tar"
    query = parse_qs(urlsplit(fake_daemon.requests[-1].target).query)
    assert query == {"names": ["app"], "since": ["base", "other"]}
