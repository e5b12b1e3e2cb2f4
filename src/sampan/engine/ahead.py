"""Which container the prepared monitor makes ready ahead: its id, and what it is going to be like.

A container that is started is most likely to be like the last one. Its id is drawn before there is one: the next that
is created gets it (`claim`). So that the cgroup of an id can be found after a crash, the id's run directory is there
first; recovery removes what belongs to a run directory without a record.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Collection

from sampan.errors import SampanError
from sampan.linux.filesystem import make_directory
from sampan.runtime.ahead import model_of
from sampan.runtime.launch import release
from sampan.runtime.launch_plan import LaunchPlan


class Expectation:
    """What is expected of the next start, of the one monitor that is prepared; on the event loop."""

    def __init__(self, run_directory: Callable[[str], str], cgroup_parent: str) -> None:
        """`run_directory` is where a container of an id has what it has while it runs.

        Nothing is made below another cgroup than `cgroup_parent`: it is somebody's who may want to remove it.
        """
        self._run_directory = run_directory
        self._cgroup_parent = f"/{cgroup_parent.strip('/')}"
        self._like: LaunchPlan | None = None
        self._model: LaunchPlan | None = None
        self._is_claimed = False
        self._left: list[LaunchPlan] = []  # made ready, and nobody came; their monitors give back what they made

    @property
    def expected(self) -> str:
        """The id of the container that is made ready, or ""."""
        return self._model.id if self._model is not None else ""

    def is_for_another(self, container_id: str) -> bool:
        """Whether what is made ready is for a container that exists, and is not this one."""
        return self._is_claimed and self.expected not in {"", container_id}

    def learn(self, plan: LaunchPlan) -> None:
        """A start: the next may be like it."""
        is_usual = plan.cgroup is not None and plan.cgroup.path == f"{self._cgroup_parent}/{plan.id}"
        self._like = model_of(plan, plan.id) if is_usual else None

    def claim(self) -> str:
        """An id for a new container: the expected one, once, or a random one."""
        if self._model is not None and not self._is_claimed:
            self._is_claimed = True
            return self._model.id
        return secrets.token_hex(32)

    def draw(self, container_id: str = "") -> LaunchPlan | None:
        """The model of the next container, or of the one that was just created; None when nothing is known of it.

        Its run directory is made.
        """
        if self._like is not None and self._model is None:
            model = model_of(self._like, container_id or secrets.token_hex(32))
            if model is not None:
                make_directory(self._run_directory(model.id), 0o700)
            self._model, self._is_claimed = model, bool(container_id)
            return model
        return None

    def give_up(self) -> None:
        """The container that was expected is not started by the monitor that knows it: remember to `tidy`."""
        if self._model is not None:
            self._left.append(self._model)
        self.come()

    def come(self) -> None:
        """The container that was expected is started."""
        self._model, self._is_claimed = None, False

    def tidy(self, unless: Collection[str] = ()) -> None:
        """Remove what is left of those that were given up, but for some: their monitors did, unless killed."""
        for model in [one for one in self._left if one.id not in unless]:
            with contextlib.suppress(OSError, SampanError):  # the next time, or recovery
                if model.cgroup is not None:
                    release(model.cgroup.path)
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(self._run_directory(model.id))
                self._left.remove(model)

    def forget(self, container_id: str) -> None:
        """What there is under this id is a container's from now on."""
        self._left = [model for model in self._left if model.id != container_id]
