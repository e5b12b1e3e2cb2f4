"""What a parent sets for its child: the failure names what was asked for."""

from __future__ import annotations

import os

import pytest

from sampan.runtime.launch_plan import ProcessPlan
from sampan.runtime.launched import set_process_limits


def test_a_score_that_the_kernel_refuses_is_named() -> None:
    own = ProcessPlan(argv=("true",), environment=(), oom_score_adj=5000)
    with pytest.raises(OSError, match="oom_score_adj 5000"):
        set_process_limits(os.getpid(), own, ())
