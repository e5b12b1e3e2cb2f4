"""A warm process for bench/start.py that has imported only what a start needs: a start for each line it reads.

Its arguments are the directory of the package and a pickled LaunchPlan; it answers with wall and cpu seconds.
"""

from __future__ import annotations

import os
import pickle
import resource
import sys
import time

sys.path.insert(0, sys.argv[1])

from sampan.linux.process import wait_pidfd
from sampan.monitor import heap
from sampan.runtime.launch import launch
from sampan.runtime.launch_plan import LaunchPlan
from sampan.runtime.launched import Stdio


def once(plan: LaunchPlan, null: int) -> tuple[float, float]:
    before = cpu_seconds()
    started = time.perf_counter()
    launched = launch(plan, Stdio(null, null, null))
    launched.go()
    wait_pidfd(launched.pidfd)
    if launched.cgroup is not None:
        launched.cgroup.remove()
        launched.cgroup.close()
    wall = time.perf_counter() - started
    os.close(launched.pidfd)
    return wall, cpu_seconds() - before


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    with open(sys.argv[2], "rb") as file:
        plan = pickle.load(file)
    null = os.open("/dev/null", os.O_RDWR)
    heap.gather_code(lambda: once(plan, null) and None)
    heap.settle()
    for _ in sys.stdin:
        wall, cpu = once(plan, null)
        sys.stdout.write(f"{wall} {cpu}\n")
        sys.stdout.flush()


main()
