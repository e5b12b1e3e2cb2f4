"""Whatever a client sends, it gets an answer that says what is wrong with it: never a 500, never silence."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.engine_process import EngineProcess
from tests.private_network import make_private_network
from tests.raw_http import ask, connect, receive_head, request

from sampan.api.routes import TABLE

HANG_S = 60
NASTY = (
    *("", " ", "0", "-1", "1", "true", "²", "٣", "1e308", "nan", "inf", "9" * 25, "-" + "9" * 25, "9" * 5000, "\0"),
    *(
        "../..",
        "..",
        ".",
        "/",
        "//",
        "%",
        "%zz",
        "a" * 3000,
        "ü",
        "\ud7ff",
        "[",
        "(",
        "*",
        "10m",
        "1h" * 40,
        "~",
        "host",
    ),
    *(
        "2026-01-01T00:00:00Z",
        "0001-01-01",
        "9999-12-31T23:59:59.999999999Z",
        "10000-01-01T00:00:00Z",
        "-5m",
        "1.",
        ".5",
    ),
    *("DEEP LIST", "DEEP MAP", '{"label":{"":true}}', '{"name":["("]}', '{"until":["x"]}', "{}", "null", "[[]]"),
    *('{"label":[null]}', '{"status":[1]}', '{"before":["x"]}', '{"id":{"a":"b"}}', '{"publish":["0-99999999999"]}'),
)
DEEP = {"DEEP LIST": "[" * 20_000, "DEEP MAP": '{"HostConfig":' * 10_000}  # short names, as examples are printed
ABSENT = [row for row in TABLE if row[2].__module__.endswith(".absent")]  # all answer alike: a few will do
ROWS = [(method, path) for method, path, _ in (*(row for row in TABLE if row not in ABSENT), *ABSENT[::8])]
QUERY_NAMES = (
    "all limit size filters t signal h w stdout stderr stdin stream logs follow since until tail timestamps details v "
    "force link condition name ps_args one-shot detachKeys platform repo tag comment author changes pause container "
    "names noprune digests shared-size manifests quiet type path copyUIDGID noOverwriteDirNonDir message verbose"
).split()
FIELDS = (
    "Image Cmd Entrypoint Env Labels User WorkingDir Hostname ExposedPorts Volumes StopSignal StopTimeout Healthcheck "
    "HostConfig NetworkingConfig EndpointsConfig Memory NanoCpus CpusetCpus Ulimits Devices Binds Mounts Tmpfs "
    "PortBindings RestartPolicy LogConfig Type Config Name Options Driver CapAdd SecurityOpt Sysctls ExtraHosts "
    "ShmSize PidsLimit Test Interval Retries Detach Tty ConsoleSize DetachKeys AttachStdin Privileged Container Force "
    "IPAM Subnet EnableIPv6 Internal Mode PidMode IpcMode NetworkMode Annotations TimeOffsets DeviceRequests Dns"
).split()

texts = st.sampled_from(NASTY[:-10]) | st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner),
    max_leaves=12,
)
documents = st.dictionaries(st.sampled_from(FIELDS), values, max_size=12).map(lambda body: {"Image": "host", **body})
bodies = documents | values | st.binary(max_size=200) | st.sampled_from(["DEEP LIST", "DEEP MAP"])
queries = st.lists(st.tuples(st.sampled_from(QUERY_NAMES), st.sampled_from(NASTY) | st.text(max_size=30)), max_size=5)
names = st.sampled_from(["fuzz-created", "fuzz-ended", "host", "none", "bridge", *NASTY[:30]]) | st.text(
    min_size=1, max_size=20
)


@pytest.fixture(scope="module")
def lonely_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine in a network namespace of its own: nothing that it is told to do reaches this machine's network."""
    directory: Path = tmp_path_factory.mktemp("fuzz")
    network = make_private_network()
    with contextlib.closing(network), EngineProcess(directory, netns_fd=network.netns_fd) as engine:
        engine.create("fuzz-created", "true")
        engine.run("fuzz-ended", "true")
        engine.wait("fuzz-ended")
        yield engine


def _send(engine: EngineProcess, content: bytes) -> int:
    """The status of the answer; a connection that is closed without one counts as 0, silence fails."""
    with connect(engine) as connection:
        connection.settimeout(HANG_S)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before it was read to its end
            connection.sendall(content)
        return receive_head(connection)[0]


def _fill(path: str, name: str) -> str:
    return re.sub(r"\{[^}]*\}", lambda _: urllib.parse.quote(name, safe=""), path)


def _is_spared(method: str, path: str, name: str) -> bool:
    """Containers that the other examples need stay, and a registry that cannot be reached is waited for."""
    asks_a_registry = path in {"/auth", "/images/search", "/images/{name:path}/push"} or path.startswith(
        "/distribution"
    )
    is_needed = (method == "DELETE" and name.startswith("fuzz-")) or path.endswith(("/prune", "/rename"))
    return asks_a_registry or is_needed


@settings(
    max_examples=500, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
)
@given(
    row=st.sampled_from(ROWS),
    version=st.sampled_from(["", "/v1.24", "/v1.41", "/v1.47"]),
    name=names,
    query=queries,
    body=bodies,
    content_type=st.sampled_from(["application/json", "application/json", "", "text/plain", "application/x-tar"]),
)
def test_no_request_is_answered_with_500_or_not_at_all(
    lonely_engine: EngineProcess,
    row: tuple[str, str],
    version: str,
    name: str,
    query: list[tuple[str, str]],
    body: Any,
    content_type: str,
) -> None:
    method, path = row
    if _is_spared(method, path, name):
        return
    content = body if isinstance(body, bytes) else DEEP.get(str(body), json.dumps(body)).encode()
    shown = urllib.parse.urlencode([(key, DEEP.get(value, value)) for key, value in query])
    target = f"{version}{_fill(path, name)}?{shown}"
    headers = {"Content_Type": content_type} if content_type else {}
    status = _send(lonely_engine, request(method, target, content, **headers))
    assert status != 500, f"{method} {target[:300]} {content[:300]!r}"


def test_afterwards_the_engine_is_well_and_nothing_was_unforeseen(lonely_engine: EngineProcess) -> None:
    assert ask(lonely_engine, "GET", "/_ping").body == b"OK"
    log = lonely_engine.log.read_text()
    assert "not foreseen" not in log, log[log.index("not foreseen") :][:3000]
    assert "never retrieved" not in log
