"""Which container the prepared monitor makes ready ahead: its id, and what it is going to be like.

A container that is started is most likely to be like the last one. Its id is drawn before there is one: the next that
is created gets it (`claim`). So that the cgroup of an id can be found after a crash, the id's run directory is there
first; recovery removes what belongs to a run directory without a record.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable

from sampan.errors import SampanError
from sampan.runtime.ahead import model_of
from sampan.runtime.launch import release
from sampan.runtime.launch_plan import LaunchPlan


class Expectation:
    """What is expected of the next start, of the one monitor that is prepared; on the event loop."""

    def __init__(self, run_directory: Callable[[str], str]) -> None:
        """`run_directory` is where a container of an id has what it has while it runs."""
        self._run_directory = run_directory
        self._like: LaunchPlan | None = None
        self._id = ""
        self._is_claimed = False
        self._left: dict[str, LaunchPlan] = {}  # made ready in vain; their monitors give back what they made

    @property
    def expected(self) -> str:
        """The id of the container that is made ready, or ""."""
        return self._id

    def learn(self, plan: LaunchPlan) -> None:
        """Another start: the next may be like it. What was made ready for somebody else is left."""
        self.leave(unless=plan.id)
        self._left.pop(plan.id, None)  # what has its id now is the container's
        self._like = model_of(plan, plan.id)

    def claim(self) -> str:
        """An id for a new container: the expected one, once, or a random one."""
        if self._id and not self._is_claimed:
            self._is_claimed = True
            return self._id
        return secrets.token_hex(32)

    def draw(self, container_id: str = "") -> LaunchPlan | None:
        """The model of the next container, or of the one that was just created; None when nothing is known of it.

        Its run directory is made.
        """
        model = None if self._like is None or self._id else model_of(self._like, container_id or secrets.token_hex(32))
        if model is not None:
            os.makedirs(self._run_directory(model.id), mode=0o700, exist_ok=True)
            self._id, self._is_claimed = model.id, bool(container_id)
        return model

    def leave(self, *, unless: str = "") -> None:
        """The monitor that was told is not there any more, or serves the container `unless`."""
        if self._id not in {"", unless} and self._like is not None:
            model = model_of(self._like, self._id)
            if model is not None:
                self._left[model.id] = model
        self._id, self._is_claimed = "", False

    def tidy(self) -> None:
        """Remove what is left of those that were not started: the monitor did that, unless it was killed."""
        for model in tuple(self._left.values()):
            try:
                if model.cgroup is not None:
                    release(model.cgroup.path)
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(self._run_directory(model.id))
            except (OSError, SampanError):  # the next time, or recovery
                continue
            del self._left[model.id]
