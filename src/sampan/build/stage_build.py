"""One stage from its base to its last instruction: each instruction looked up in the cache, else carried out.

Configuration is `configuring`'s, files are `files`', commands are `commands`'; here they become images.
"""

from __future__ import annotations

import errno
import os
import secrets
from dataclasses import dataclass, field
from typing import Protocol

from sampan.build import instructions as said
from sampan.build.commands import Commands
from sampan.build.configuring import configure, replaced, work_directory
from sampan.build.file_steps import FileSteps
from sampan.build.graph import StagePlan
from sampan.build.instructions import Instruction, Position
from sampan.build.moving import reads_context
from sampan.build.parser import parse_trigger
from sampan.build.progress import Note, Removed, Running, StageBegins, StepBegins, StepEnds, Tell, Triggers
from sampan.build.request import NOTHING
from sampan.build.snapshots import refuse_machine
from sampan.build.stage_state import StageState, begin, nop
from sampan.build.threads import away
from sampan.build.workshop import Workshop
from sampan.errors import InvalidArgument, SampanError
from sampan.image.platforms import parse_platform
from sampan.image.records import Image
from sampan.image.tree import disk_failure
from sampan.linux.openat import make_directories_in_root

_OF_PATH = frozenset({errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})


class Others(Protocol):
    """The other stages of the build."""

    def enlist(self, plan: StagePlan, triggers: tuple[Instruction, ...]) -> list[int]:
        """Take on the stages that nobody builds and these triggers of a stage's base need."""

    async def build_late(self, plan: StagePlan, triggers: tuple[Instruction, ...], late: list[int]) -> None:
        """Build what was enlisted, and wait for all that the triggers take files from."""


@dataclass(slots=True)
class StageBuild:
    """Builds one stage. `first` is the number of its FROM among all steps, of which there are `total`."""

    workshop: Workshop
    plan: StagePlan
    instructions: tuple[Instruction, ...]
    first: int
    total: int
    tell: Tell
    others: Others
    state: StageState = field(init=False)

    async def build(self) -> Image | None:
        """The stage's image; None when it is nothing at all. Raises the SampanError of the step that failed."""
        self.tell(self._begins())
        self.tell(StepBegins(self.first, self.total, self.plan.stage.position.text))
        self.state = await self._begin()
        self.workshop.scopes[self.plan.index] = self.state.scope
        self.workshop.begun[self.plan.index] = self.state.image
        triggers = tuple(self._trigger(text) for text in self.state.pending)
        late = self.others.enlist(self.plan, triggers)
        self.workshop.uses.begin(triggers)
        if triggers:
            await self.others.build_late(self.plan, triggers, late)
            await self._carry_out_triggers(triggers)
        self.tell(StepEnds(self.state.image_id))
        for number, instruction in enumerate(self.instructions, self.first + 1):
            self.tell(StepBegins(number, self.total, instruction.position.text))
            await self._carry_out(instruction)
        return self.state.image

    def _begins(self) -> StageBegins:
        stage = self.plan.stage
        steps = 1 + sum(isinstance(one, said.Run | said.Copy | said.Add | said.Workdir) for one in self.instructions)
        is_alone = len(self.workshop.graph.stages) == 1
        return StageBegins(stage.name or f"stage-{self.plan.index}", steps, is_alone)

    async def _begin(self) -> StageState:
        plan, workshop = self.plan, self.workshop
        if plan.base_stage is not None:
            image = workshop.results[plan.base_stage]
            state = begin(image, workshop.scope, workshop.platform)
            state.scope = workshop.scopes[plan.base_stage].child()
            return state
        if NOTHING in {plan.base, workshop.request.context_of(plan.base)}:
            platform = parse_platform(plan.platform) if plan.platform else workshop.platform
            return begin(None, workshop.scope, platform)
        asked = plan.platform or workshop.request.platform
        try:
            image = await workshop.bases.find(plan.base, pull=workshop.request.pull, platform=asked, tell=self.tell)
            refuse_machine(image, plan.base)
        except SampanError as error:
            raise placed(error, plan.stage.position) from error
        workshop.committer.use(image)
        return begin(image, workshop.scope, workshop.platform)

    def _trigger(self, text: str) -> Instruction:
        return parse_trigger(text, name=f"{self.plan.base} (ONBUILD)", escape=self.workshop.escape)

    async def _carry_out_triggers(self, triggers: tuple[Instruction, ...]) -> None:
        """What the base says is to be done before anything else: a part of FROM, which ends with the last of it."""
        tell = self.tell
        tell(Triggers(len(triggers)))
        self.tell = lambda event: None if isinstance(event, StepEnds) else tell(event)
        for instruction in triggers:
            await self._carry_out(instruction)
        self.tell = tell

    async def _carry_out(self, instruction: Instruction) -> None:
        try:
            match instruction:
                case said.Run():
                    await Commands(self.workshop, self.plan, self.tell).run(self.state, instruction)
                case said.Copy() | said.Add():
                    await FileSteps(self.workshop, self.plan, self.tell).copy(self.state, instruction)
                case said.Workdir():
                    await self._work_directory(instruction)
                case _:
                    self._configure(instruction)
        except SampanError as error:
            raise placed(error, instruction.position) from error
        if reads_context(instruction):
            self.workshop.uses.left -= 1

    def _configure(self, instruction: Instruction) -> None:
        state, committer = self.state, self.workshop.committer
        made = configure(instruction, state.defaults, state.scope, command_set=state.command_set)
        state.command_set = state.command_set or made.sets_command
        if made.note:
            self.tell(Note(made.note))
        command = nop(made.defaults, made.comment, apart=True)
        author = state.config.author if made.author is None else made.author
        key = committer.key(state, command, made.defaults, author)
        cached = self.workshop.find_cached(self.plan, state, key, command, made.defaults)
        if cached is not None:
            committer.take_cached(state, cached, self.tell)
            return
        self._show_container()
        committer.commit(state, key, command, made.defaults, author=made.author)
        self.tell(StepEnds(state.image_id))

    async def _work_directory(self, instruction: said.Workdir) -> None:
        state, committer, snapshots = self.state, self.workshop.committer, self.workshop.snapshots
        path = state.scope.expand(instruction.path, instruction.position)
        if not path:
            raise instruction.position.refusal("WORKDIR is empty", remedy="name a directory")
        path = work_directory(state.defaults.working_dir, path)
        after = replaced(state.defaults, working_dir=path)
        command = nop(state.defaults, f"WORKDIR {path}", apart=False)
        key = committer.key(state, command, after)
        cached = self.workshop.find_cached(self.plan, state, key, command, after)
        if cached is not None:
            committer.take_cached(state, cached, self.tell)
            return
        latest_s = committer.latest_s(state)

        def make() -> str:
            with snapshots.writable(state.diff_ids) as snapshot:
                try:
                    os.close(make_directories_in_root(snapshot.root_fd, path, 0o755, 0, 0))
                except OSError as error:
                    raise _no_work_directory(path, error) from error
                return snapshots.finish(snapshot, committer.hold, latest_s).diff_id

        diff_id = await away(make)
        self._show_container()
        committer.commit(state, key, command, after, diff_id=diff_id)
        self.tell(StepEnds(state.image_id))

    def _show_container(self) -> None:
        """What Docker's builder shows of a step that only changes the configuration: it makes a container for it.

        Nothing is run for one here or there; readers of the stream count on the two lines.
        """
        name = secrets.token_hex(32)
        self.tell(Running(name))
        if self.workshop.request.remove or self.workshop.request.force_remove:
            self.tell(Removed(name))


def _no_work_directory(path: str, error: OSError) -> SampanError:
    if error.errno not in _OF_PATH:
        return disk_failure(f"Cannot mkdir {path}", error)
    why = "is not a directory" if error.errno == errno.ENOTDIR else os.strerror(error.errno or 0).lower()
    return InvalidArgument(f"Cannot mkdir: {path} {why}", remedy="choose another")


def placed(error: SampanError, where: Position) -> SampanError:
    """The error with the place in the Dockerfile that it is about, unless it has one."""
    error.place = error.place or f"{where.file}:{where.line}"
    return error
