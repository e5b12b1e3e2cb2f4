"""What of a build's leftovers a client means."""

from __future__ import annotations

import pytest

from sampan.buildkit.proto.control_pb2 import PruneRequest
from sampan.buildkit.prunes import of_filters, of_request
from sampan.engine.build_prunes import MOUNT, STEP, PruneCaches
from sampan.errors import InvalidArgument, NotImplementedHere


def test_filters_of_a_client_are_those_of_a_prune() -> None:
    assert of_filters([]) == of_filters([""]) == PruneCaches()
    assert of_filters(["id~=^ab,type==exec.cachemount"]) == PruneCaches(id="^ab", kind="exec.cachemount")
    assert of_filters(["description==mount /c", "parents==p"]) == PruneCaches(description="mount /c", parent="p")
    assert of_filters(["inuse"]).nothing
    assert of_filters(["shared"]).nothing
    assert of_filters(["private"]) == PruneCaches()
    assert (of_filters(["mutable"]).kind, of_filters(["immutable"]).kind) == (MOUNT, STEP)


def test_a_whole_id_is_no_expression() -> None:
    wanted = of_filters(["id==a.c"])
    assert wanted.means("a.c", STEP, 0.0)
    assert not wanted.means("abc", STEP, 0.0)
    assert not wanted.means("a.c1", STEP, 0.0)


def test_what_was_of_use_lately_and_so_many_bytes_stay() -> None:
    hour = 3600
    asked = PruneRequest(keepDuration=hour * 10**9, reservedSpace=5)
    assert of_request(asked, 10_000.0) == PruneCaches(before_s=10_000.0 - hour, keep_bytes=5)
    assert of_request(PruneRequest(reservedSpace=5, maxUsedSpace=9), 0.0) == PruneCaches(keep_bytes=9)


@pytest.mark.parametrize("text", ["colour==red", "type~=x", "inuse==1", "id", "a b", "id!=x"])
def test_a_filter_that_is_none_is_refused_and_removes_nothing(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid filter"):
        of_filters([text])


def test_a_prune_by_what_is_free_on_the_disk_is_refused() -> None:
    with pytest.raises(NotImplementedHere, match="free"):
        of_request(PruneRequest(minFreeSpace=1), 0.0)
