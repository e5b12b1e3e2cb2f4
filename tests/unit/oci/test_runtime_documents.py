"""From the bytes of config.json, process.json and resources to structs."""

from __future__ import annotations

import pytest

from sampan.errors import InvalidArgument
from sampan.oci import runtime_documents
from sampan.oci.runtime_spec import RuntimeSpec


def test_unknown_fields_are_ignored_and_absent_ones_are_empty() -> None:
    spec = runtime_documents.decode_spec(b'{"ociVersion": "1.2.0", "windows": {"x": 1}, "linux": {"future": true}}')
    assert spec.process is None
    assert spec.linux is not None
    assert spec.linux.namespaces == ()


def test_null_is_read_as_absent_as_writers_in_go_mean_it() -> None:
    spec = runtime_documents.decode_spec(b'{"ociVersion": "1.2.0", "mounts": null, "linux": {"sysctl": null}}')
    assert spec.mounts == ()
    assert spec.linux is not None
    assert spec.linux.sysctl == {}


def test_the_names_of_the_specification_are_all_met() -> None:
    resources = runtime_documents.decode_resources(
        b'{"memory": {"disableOOMKiller": true, "kernelTCP": 1}, "blockIO": {"throttleReadIOPSDevice":'
        b' [{"major": 8, "minor": 0, "rate": 5}]}, "network": {"classID": 7}, "cpu": {"realtimeRuntime": 3}}'
    )
    assert resources.memory is not None
    assert (resources.memory.disable_oom_killer, resources.memory.kernel_tcp) == (True, 1)
    assert resources.block_io is not None
    assert resources.block_io.throttle_read_iops_device[0].rate == 5
    assert resources.network is not None
    assert resources.network.class_id == 7
    assert resources.cpu is not None
    assert resources.cpu.realtime_runtime == 3


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "config.json: "),
        (b"[]", "expected `object`"),
        (b'{"process": {"user": {"uid": "0"}}}', r"\$.process.user.uid"),
        (b'{"process": {"args": [null, 1]}}', r"\$.process.args"),
        (b'{"linux": {"namespaces": [{"path": "/x"}]}}', "type"),
        (b'{"mounts": [{"options": "ro"}], "hooks": null}', r"\$.mounts\[0\].options"),
        (b'{"hostname": "\xff"}', "config.json: "),
        (b'{"process": {}} trailing', "config.json: "),
    ],
)
def test_a_document_of_the_wrong_shape_says_where(content: bytes, fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        runtime_documents.decode_spec(content)


def test_the_error_names_the_file() -> None:
    with pytest.raises(InvalidArgument, match=r"^/tmp/p\.json: "):
        runtime_documents.decode_process(b"{", "/tmp/p.json")


def test_a_spec_is_frozen() -> None:
    with pytest.raises(AttributeError):
        RuntimeSpec().hostname = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "config.json: "),
        (b"[]", "config.json: expected `object`, got `array`"),
        (b'{"ociVersion": "\xff"}', "config.json: it is no UTF-8"),
    ],
)
def test_what_is_wrong_with_a_document_is_told_after_its_name(content: bytes, said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        runtime_documents.decode_spec(content)
    assert str(caught.value).startswith(said)
    assert "jSON" not in str(caught.value)
