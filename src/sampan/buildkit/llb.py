"""An image as LLB, the graph of BuildKit's solver: all of it that is made here, and that is understood.

A client that builds one target on another (`target:` of bake, `service:` of compose) hands the definition of the
first's result on as an input of the second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from google.protobuf.message import DecodeError

from sampan.buildkit.proto.pb_pb2 import Definition, Input, Op, OpMetadata, SourceOp
from sampan.errors import InvalidArgument, NotImplementedHere

_IMAGE = "docker-image://"
_INPUT = "input:"


def definition_of(image_id: str) -> Definition:
    """A source that is this image, and the op behind the last that names it as the result."""
    source = Op(source=SourceOp(identifier=_IMAGE + image_id)).SerializeToString()
    digest = _digest(source)
    result = Op(inputs=[Input(digest=digest, index=0)]).SerializeToString()
    return Definition(**{"def": [source, result]}, metadata={digest: OpMetadata(), _digest(result): OpMetadata()})


def image_in(definition: Definition) -> str:
    """The name or id of the image that a definition is. Raises NotImplementedHere, InvalidArgument for what is none."""
    try:
        ops = [Op.FromString(one) for one in getattr(definition, "def")]
    except DecodeError as error:
        raise InvalidArgument(f"an input cannot be read: {error}") from error
    sources = [op.source.identifier for op in ops if op.HasField("source")]
    if len(ops) > 2 or len(sources) != 1 or not sources[0].startswith(_IMAGE):
        raise NotImplementedHere(
            "an input is a low-level build (LLB), which is not carried out here",
            remedy="give a directory, an image or another target",
        )
    return sources[0].removeprefix(_IMAGE)


def with_inputs(options: Mapping[str, str], inputs: Mapping[str, Definition]) -> dict[str, str]:
    """The options of a front end, with the image in place of each named context that is an input.

    Raises NotImplementedHere, InvalidArgument for an input that is none, or is not there.
    """
    found = dict(options)
    for key, value in options.items():
        if key.startswith("context:") and value.startswith(_INPUT):
            name = value.removeprefix(_INPUT)
            if name not in inputs:
                raise InvalidArgument(f"the input {name} is missing", remedy="send its definition")
            found[key] = _IMAGE + image_in(inputs[name])
    return found


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
