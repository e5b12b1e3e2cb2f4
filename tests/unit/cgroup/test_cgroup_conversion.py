from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.cgroup.conversion import cpu_weight, io_weight, swap_alone
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    ("shares", "weight"),
    # The ends and the defaults, by definition of the curve; between them values worked out by hand.
    [(1, 1), (2, 1), (3, 2), (10, 4), (102, 17), (512, 59), (1024, 100), (2048, 174), (262144, 10000), (999999, 10000)],
)
def test_shares_become_the_weight_that_runc_and_crun_give(shares: int, weight: int) -> None:
    assert cpu_weight(shares) == weight


@given(st.integers(2, 262144))
def test_more_shares_are_never_less_weight(shares: int) -> None:
    assert 1 <= cpu_weight(shares) <= cpu_weight(shares + 1) <= 10000


@pytest.mark.parametrize(("v1", "v2"), [(10, 1), (500, 4950), (1000, 10000)])
def test_a_block_io_weight_is_mapped_from_end_to_end(v1: int, v2: int) -> None:
    assert io_weight(v1) == v2


@pytest.mark.parametrize(
    ("limit", "both", "alone"), [(64, 64, 0), (64, 96, 32), (64, -1, -1), (None, -1, -1), (-1, -1, -1)]
)
def test_swap_alone_is_the_sum_without_the_memory(limit: int | None, both: int, alone: int) -> None:
    assert swap_alone(limit, both) == alone


@pytest.mark.parametrize(("limit", "both"), [(64, 63), (None, 64), (-1, 64)])
def test_a_sum_that_has_no_meaning_is_refused(limit: int | None, both: int) -> None:
    with pytest.raises(InvalidArgument):
        swap_alone(limit, both)
