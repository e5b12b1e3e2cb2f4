"""The stand-in for msgspec reads, refuses and places faults as msgspec does, for the documents of a bundle."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sampan
from sampan.errors import InvalidArgument
from sampan.oci.runtime_documents import decode_spec

QUICK = """
import sys
sys.path.insert(0, sys.argv[1])
from sampan.runtime import quick_dataclasses, quick_msgspec
quick_dataclasses.install()
quick_msgspec.install()
import json
from sampan.errors import InvalidArgument
from sampan.oci.runtime_documents import decode_spec
def plain(value):
    if hasattr(value, "__struct_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
for line in sys.stdin.buffer:
    content = bytes.fromhex(line.decode())
    try:
        answer = plain(decode_spec(content))
    except InvalidArgument as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
"""
Ask = Callable[[bytes], Any]

SPEC: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "process": {
        "terminal": False,
        "consoleSize": {"height": 5, "width": 6},
        "user": {"uid": 1, "gid": 2, "umask": 63, "additionalGids": [5, 6]},
        "args": ["sh", "-c"],
        "env": ["A=b"],
        "cwd": "/",
        "capabilities": {"bounding": ["CAP_KILL"], "ambient": []},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 18446744073709551615}],
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3},
        "scheduler": {"policy": "SCHED_OTHER", "nice": -1, "flags": ["SCHED_FLAG_RECLAIM"]},
    },
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {"destination": "/proc", "type": "proc"},
        {"destination": "/x", "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}]},
    ],
    "hooks": {"prestart": [{"path": "/x", "timeout": 5}], "createRuntime": []},
    "annotations": {"a": "b"},
    "linux": {
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "resources": {
            "memory": {"limit": -1, "disableOOMKiller": True},
            "blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 1}]},
            "rdma": {"mlx": {"hcaHandles": 3}},
            "devices": [{"allow": False, "access": "rwm"}],
        },
        "namespaces": [{"type": "pid"}, {"type": "network", "path": "/x"}],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "flags": [],
            "syscalls": [{"names": ["a"], "action": "b", "args": [{"index": 0, "value": 1, "op": "c"}]}],
        },
        "timeOffsets": {"boottime": {"secs": -1}},
        "intelRdt": {"closID": "x", "enableCMT": True},
    },
}


@pytest.fixture(scope="module")
def quick() -> Any:
    root = sampan.__path__[0].removesuffix("/sampan")
    command = [sys.executable, "-I", "-S", "-c", QUICK, root]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def ask(content: bytes) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(content.hex().encode() + b"\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        assert process.stdin is not None
        process.stdin.close()


def plain(value: Any) -> Any:
    if hasattr(value, "__struct_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def standard(content: bytes) -> Any:
    try:
        return plain(decode_spec(content))
    except InvalidArgument as error:
        return str(error)


def test_a_full_document_is_read_the_same(quick: Ask) -> None:
    content = json.dumps(SPEC).encode()
    answer = quick(content)
    assert isinstance(answer, dict)
    assert answer == standard(content)


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"process": {"user": {"uid": "0"}}}',
        b'{"process": {"args": "sh"}}',
        b'{"process": {"args": ["a", 1]}}',
        b'{"process": {"terminal": 1}}',
        b'{"process": {"user": {"uid": true}}}',
        b'{"process": 5}',
        b'{"linux": {"namespaces": [{"path": "/x"}]}}',
        b'{"linux": {"sysctl": {"a": 1}}}',
        b'{"linux": {"resources": {"memory": {"limit": "1"}}}}',
        b'{"linux": {"resources": {"rdma": {"a": 1}}}}',
        b'{"mounts": null, "hooks": null}',
        b'{"mounts": [null]}',
        b'{"hostname": "\\u00e9\\ud83d\\ude00", "unknown": {"deep": [1.5, null]}}',
        b'  {"hostname": "x"}\n',
    ],
)
def test_a_fault_is_found_at_the_same_place_and_said_in_the_same_words(quick: Ask, content: bytes) -> None:
    assert quick(content) == standard(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"a": 1,}', b'{"a": 1} x', b'{"hostname": "\xff"}', b"nul", b'{"hostname": "\x01"}', b"{1: 2}"],
)
def test_what_is_no_json_is_refused_by_both(quick: Ask, content: bytes) -> None:
    assert isinstance(quick(content), str)
    assert isinstance(standard(content), str)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, ...]] = []
    if isinstance(value, dict):
        inner = [one for key, item in value.items() for one in _places(item, (*place, key))]
    elif isinstance(value, list):
        inner = [one for index, item in enumerate(value) for one in _places(item, (*place, index))]
    return [place, *inner] if place else inner


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, -1, "x", [], {}, ["x"], [1], {"x": "y"}, {"type": "x"}, [{}], [None], 2**40]
)


@settings(deadline=None, max_examples=300)
@given(place=st.sampled_from(_places(SPEC)), odd=ODD, drop=st.booleans())
def test_any_change_of_a_document_is_judged_the_same(
    quick: Ask, place: tuple[Any, ...], odd: Any, *, drop: bool
) -> None:
    document = copy.deepcopy(SPEC)
    parent = document
    for step in place[:-1]:
        parent = parent[step]
    if drop:
        del parent[place[-1]]
    else:
        parent[place[-1]] = odd
    content = json.dumps(document).encode()
    assert quick(content) == standard(content)
