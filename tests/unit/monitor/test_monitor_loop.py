from __future__ import annotations

import os

from sampan.monitor.loop import READABLE, WRITABLE, Loop


def test_an_event_for_a_descriptor_that_was_closed_and_reused_is_dropped() -> None:
    loop = Loop()
    first, first_end = os.pipe()
    second, second_end = os.pipe()
    calls: list[str] = []

    def replace_the_other(victim: int) -> None:
        loop.forget(victim)
        os.close(victim)
        assert os.dup(first_end) == victim  # writable, but not what the fetched event was about
        loop.watch(victim, WRITABLE, lambda _: calls.append("reused"))

    done: list[int] = []

    def whoever_comes_first(descriptor: int, other: int) -> None:
        if not done:
            done.append(other)
            loop.forget(descriptor)
            replace_the_other(other)
        else:
            calls.append("stale")

    os.write(first_end, b"x")
    os.write(second_end, b"x")
    loop.watch(first, READABLE, lambda _: whoever_comes_first(first, second))
    loop.watch(second, READABLE, lambda _: whoever_comes_first(second, first))
    loop.step()
    assert calls == []
    loop.step()
    assert calls == ["reused"]
    loop.close()
    for descriptor in (first, first_end, second, second_end):
        os.close(descriptor)


def test_timers_come_in_the_order_of_their_times_and_a_cancelled_one_never() -> None:
    loop = Loop()
    calls: list[str] = []
    loop.after(0.02, lambda: calls.append("late"))
    loop.after(0.001, lambda: calls.append("early"))
    loop.after(0.005, lambda: calls.append("never")).cancel()
    loop.run()
    assert calls == ["early", "late"]
    loop.close()


def test_a_loop_that_was_stopped_before_it_ran_does_not_run() -> None:
    loop = Loop()
    loop.after(1000, lambda: None)
    loop.stop()
    loop.run()
    loop.close()
