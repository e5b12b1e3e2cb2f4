"""Images as LLB, handed from one target of a client's to another."""

from __future__ import annotations

import hashlib

import pytest

from sampan.buildkit.llb import definition_of, image_in, with_inputs
from sampan.buildkit.proto.pb_pb2 import Definition, Input, Op, SourceOp
from sampan.errors import InvalidArgument, NotImplementedHere

IMAGE = "sha256:" + "a" * 64


def _definition(*ops: Op) -> Definition:
    return _of_bytes([op.SerializeToString() for op in ops])


def _of_bytes(ops: list[bytes]) -> Definition:
    made = Definition()
    getattr(made, "def").extend(ops)
    return made


def test_the_last_op_of_a_definition_names_the_one_that_is_the_image_and_both_have_metadata() -> None:
    made = definition_of(IMAGE)
    source, result = getattr(made, "def")
    digests = [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in (source, result)]
    assert [one.digest for one in Op.FromString(result).inputs] == digests[:1]
    assert sorted(made.metadata) == sorted(digests)
    assert image_in(made) == IMAGE


def test_an_input_takes_the_place_of_a_named_context() -> None:
    options = {"context:base::linux/amd64": "input:x", "context:dir": "local:dir", "input-metadata:x": "{}"}
    found = with_inputs(options, {"x": definition_of(IMAGE)})
    assert found == {**options, "context:base::linux/amd64": f"docker-image://{IMAGE}"}


def test_an_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="the input x is missing"):
        with_inputs({"context:base": "input:x"}, {})


@pytest.mark.parametrize(
    "definition",
    [
        Definition(),
        _definition(Op(source=SourceOp(identifier="git://r.test/x")), Op(inputs=[Input()])),
        _definition(Op(inputs=[Input()]), Op(inputs=[Input()])),
        _definition(Op(source=SourceOp(identifier="docker-image://x")), Op(inputs=[Input()]), Op(inputs=[Input()])),
    ],
)
def test_what_is_no_single_image_is_refused(definition: Definition) -> None:
    with pytest.raises(NotImplementedHere, match="LLB"):
        image_in(definition)


def test_what_is_no_definition_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="cannot be read"):
        image_in(_of_bytes([b"\xff"]))
