from __future__ import annotations

import time

from sampan.engine.container import Exited, Restarting
from sampan.engine.restarts import LONGEST_DELAY_S, left_s

EXITED = Exited(1, 1, 2)


def test_a_start_is_waited_for_until_it_is_due() -> None:
    now_ns = time.time_ns()
    assert left_s(Restarting(EXITED, now_ns - 1)) == 0
    assert 20 < left_s(Restarting(EXITED, now_ns + 30 * 10**9)) <= 30


def test_a_clock_that_was_set_back_lets_nobody_wait_longer_than_the_longest_delay() -> None:
    assert left_s(Restarting(EXITED, time.time_ns() + 3600 * 10**9)) == LONGEST_DELAY_S
