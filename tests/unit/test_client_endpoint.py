"""Where the daemon is: every form that SAMPAN_HOST, DOCKER_HOST, -H and contexts may have."""

from __future__ import annotations

import errno
import hashlib
import json
import posix
from pathlib import Path

import pytest

from sampan.client.endpoint import DEFAULT_SOCKET, Endpoint, parse_endpoint
from sampan.client.failure import DaemonUnreachable
from sampan.client.lookup import find_endpoint


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (b"SAMPAN_HOST", b"DOCKER_HOST", b"SAMPAN_CONTEXT", b"DOCKER_CONTEXT", b"DOCKER_TLS_VERIFY"):
        monkeypatch.delitem(posix.environ, name, raising=False)
    monkeypatch.setitem(posix.environ, b"DOCKER_CONFIG", str(tmp_path).encode())


@pytest.mark.parametrize(
    ("text", "shown", "authority"),
    [
        ("unix:///a/b.sock", "unix:///a/b.sock", "localhost"),
        ("unix://", f"unix://{DEFAULT_SOCKET}", "localhost"),
        ("/a/b.sock", "unix:///a/b.sock", "localhost"),
        ("tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375", "10.0.0.1:2375"),
        ("tcp://host", "tcp://host:2375", "host:2375"),
        ("tcp://:99", "tcp://127.0.0.1:99", "127.0.0.1:99"),
        ("tcp://[::1]:99", "tcp://[::1]:99", "[::1]:99"),
        ("tcp://[::1]", "tcp://[::1]:2375", "[::1]:2375"),
        ("http://host:1/prefix/", "tcp://host:1/prefix", "host:1"),
        ("https://host", "https://host:2376", "host:2376"),
        ("host:1234", "tcp://host:1234", "host:1234"),
    ],
)
def test_an_endpoint_is_read_in_all_of_dockers_forms(text: str, shown: str, authority: str) -> None:
    endpoint = parse_endpoint(text)

    assert str(endpoint) == shown
    assert endpoint.authority == authority


@pytest.mark.parametrize("text", ["ftp://x", "tcp://host:port", "tcp://host:70000", "npipe:////./pipe/x"])
def test_another_form_is_refused_with_those_that_are_taken(text: str) -> None:
    with pytest.raises(DaemonUnreachable) as caught:
        parse_endpoint(text)

    assert "unix://" in caught.value.remedy


def test_the_way_by_ssh_is_told() -> None:
    with pytest.raises(DaemonUnreachable) as caught:
        parse_endpoint("ssh://user@host")

    assert "ssh -nNT -L /tmp/far.sock:/run/sampan/sampan.sock HOST" in caught.value.remedy


def test_the_first_that_says_something_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(find_endpoint()[0]) == f"unix://{DEFAULT_SOCKET}"
    monkeypatch.setitem(posix.environ, b"DOCKER_HOST", b"unix:///docker.sock")
    assert str(find_endpoint()[0]) == "unix:///docker.sock"
    monkeypatch.setitem(posix.environ, b"SAMPAN_HOST", b"unix:///sampan.sock")
    assert str(find_endpoint()[0]) == "unix:///sampan.sock"
    assert str(find_endpoint("unix:///option.sock")[0]) == "unix:///option.sock"
    assert str(find_endpoint(context="default")[0]) == f"unix://{DEFAULT_SOCKET}"


def test_only_the_default_socket_may_get_a_daemon() -> None:
    assert find_endpoint()[1]
    assert find_endpoint(f"unix://{DEFAULT_SOCKET}")[1]
    assert not find_endpoint("unix:///other.sock")[1]
    assert not find_endpoint("tcp://127.0.0.1:1")[1]


def test_a_host_and_a_context_exclude_each_other() -> None:
    with pytest.raises(DaemonUnreachable, match="both"):
        find_endpoint("unix:///a.sock", "x")


@pytest.mark.parametrize("scheme", ["tcp", "https"])
def test_tls_comes_from_dockers_variables(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setitem(posix.environ, b"DOCKER_TLS_VERIFY", b"1")
    monkeypatch.setitem(posix.environ, b"DOCKER_CERT_PATH", b"/certs")

    endpoint, _ = find_endpoint(f"{scheme}://host:2376")

    assert endpoint.tls is not None
    assert endpoint.tls.ca == "/certs/ca.pem"
    assert endpoint.tls.verify


def test_a_context_is_found_where_docker_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "contexts/meta" / hashlib.sha256(b"far").hexdigest()
    folder.mkdir(parents=True)
    document = {"Name": "far", "Endpoints": {"docker": {"Host": "tcp://far:2376", "SkipTLSVerify": False}}}
    (folder / "meta.json").write_text(json.dumps(document))
    keys = tmp_path / "contexts/tls" / hashlib.sha256(b"far").hexdigest() / "docker"
    keys.mkdir(parents=True)
    (keys / "ca.pem").write_text("x")

    endpoint, may_start = find_endpoint(context="far")

    assert str(endpoint) == "https://far:2376"
    assert endpoint.tls is not None
    assert endpoint.tls.ca == str(keys / "ca.pem")
    assert not may_start


def test_a_context_that_is_not_there_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachable, match="no context 'near'"):
        find_endpoint(context="near")
    folder = tmp_path / "contexts/meta" / hashlib.sha256(b"near").hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text("{}")
    with pytest.raises(DaemonUnreachable, match="'near' cannot be read"):
        find_endpoint(context="near")


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOENT, "sampand -H"), (errno.ECONNREFUSED, "sampand -H"), (errno.EACCES, "sudo")]
)
def test_a_failed_connect_says_what_can_be_done(number: int, words: str) -> None:
    failure = Endpoint("unix", path="/x.sock").unreachable(OSError(number, "Reason"))

    assert str(failure) == "cannot connect to the daemon at unix:///x.sock: reason"
    assert words in failure.remedy


def test_a_socket_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachable, match="no such file"):
        Endpoint("unix", path=str(tmp_path / "none.sock")).connect()
    with pytest.raises(DaemonUnreachable, match="refused"):
        parse_endpoint("tcp://127.0.0.1:1").connect()
