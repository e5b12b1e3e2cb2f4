"""From the units of the OCI specification (which are v1's) to those of v2; pure arithmetic, no files."""

from __future__ import annotations

import math

from sampan.errors import InvalidArgument

MIN_SHARES, MAX_SHARES = 2, 262144
MAX_WEIGHT = 10000


def cpu_weight(shares: int) -> int:
    """cpu.weight (1 to 10000) of v1's cpu.shares (2 to 262144); values beyond either end give the end.

    The curve is the one that runc (since its cgroups library 0.0.6) and crun (since 1.23) share: the exponent of ten is
    quadratic in log2(shares) and goes through both ends and through the two defaults, 1024 and 100. The linear map of
    before gave the default of 1024 shares only 39.
    """
    if shares <= MIN_SHARES:
        return 1
    if shares >= MAX_SHARES:
        return MAX_WEIGHT
    power_of_two = math.log2(shares)
    exponent = (power_of_two**2 + 125 * power_of_two) / 612 - 7 / 34
    return math.ceil(10**exponent)


def io_weight(weight: int) -> int:
    """io.weight (1 to 10000) of v1's blkio.weight (10 to 1000), linear as in runc and crun; bfq takes it unchanged."""
    return 1 + (weight - 10) * 9999 // 990


def swap_alone(limit_bytes: int | None, swap_bytes: int) -> int:
    """memory.swap.max of v1's memory plus swap: what is left above the memory limit; -1 is unlimited.

    Raises InvalidArgument when the sum is below the memory limit, or limited while memory is not.
    """
    if swap_bytes == -1:
        return -1
    if limit_bytes is None or limit_bytes == -1:
        raise InvalidArgument(
            f"a limit of {swap_bytes} bytes for memory plus swap needs a memory limit",
            remedy="set the memory limit too",
        )
    if swap_bytes < limit_bytes:
        raise InvalidArgument(
            f"memory plus swap ({swap_bytes} bytes) is limited below memory alone ({limit_bytes} bytes)",
            remedy="memory-swap is the sum of memory and swap; give at least the memory limit",
        )
    return swap_bytes - limit_bytes


def count(value: int) -> str:
    """A v2 limit: "max" when it is unlimited (below zero)."""
    return "max" if value < 0 else str(value)
