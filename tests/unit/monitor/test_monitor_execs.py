from __future__ import annotations

from typing import Any, cast

from sampan.linux.process import Exit
from sampan.monitor.execs import Execs
from sampan.monitor.loop import Loop
from sampan.monitor.protocol import Exited, Message, MonitorPlan
from sampan.monitor.target import Target


class EndedTarget:
    """A target that has ended and tells what is done to it."""

    id = "e"
    pid = 5
    exit = Exit(5, 3, 0, core_dumped=False)
    ended = True
    has_clients = False

    def __init__(self, acts: list[object]) -> None:
        self._acts = acts

    def finish_clients(self) -> None:
        self._acts.append("clients see the end")


def test_a_code_is_told_before_clients_see_the_end_and_ask_for_it() -> None:
    acts: list[object] = []

    def tell(message: Message) -> None:
        assert isinstance(message, Exited)
        acts.append((message.exec_id, message.code))

    loop = Loop()
    execs = Execs(loop, cast("MonitorPlan", None), cast("Any", None), tell, lambda: None)
    execs.target_ended(cast("Target", EndedTarget(acts)))
    assert acts == [("e", 3), "clients see the end"]
    loop.close()
