"""RUN of one stage: the command and its environment, the cache asked, a step run, and what it wrote as a layer."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from sampan.build import instructions as said
from sampan.build.configuring import argv, shell_of
from sampan.build.graph import StagePlan
from sampan.build.instructions import Heredoc, ShellForm
from sampan.build.progress import Output, Removed, Running, StepEnds, Tell
from sampan.build.run_mounts import RunMounts
from sampan.build.stage_state import EPOCH, StageState
from sampan.build.steps import StepEnd, StepMount, StepRequest
from sampan.build.threads import away, here
from sampan.build.workshop import Workshop
from sampan.errors import Forbidden, InvalidArgument, NotImplementedHere
from sampan.image.adopt import is_small
from sampan.image.commit import commit_layer
from sampan.image.layers import Layer

_SCRIPT_DIRECTORY = "/dev/pipes"
_HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"  # the build argument that names the machine to the steps
_MOST_SHOWN = 1000  # characters of a command that failed
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LIST = ('["', "['")  # as lists begin, and no command
_ONLY_HEREDOC = re.compile(r"""\s*\d*<<-?(?:"[^"]*"|'[^']*'|[^\s"'<>|&;]+)\s*""")


class StepFailed(InvalidArgument):
    """A command ended with another code than 0; `code` is that, `command` its beginning where it is a long script."""

    def __init__(self, command: str, code: int, *, remedy: str) -> None:
        self.command = command if len(command) <= _MOST_SHOWN else command[:_MOST_SHOWN] + "…"
        on_one_line = _CONTROL.sub(lambda found: json.dumps(found[0])[1:-1], self.command)
        super().__init__(f"The command '{on_one_line}' returned a non-zero code: {code}", remedy=remedy)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Command:
    """A RUN in the words of execve(2): `script` is a file that the first word names, when it is one of ours."""

    words: tuple[str, ...]
    script: bytes = b""
    script_name: str = ""


@dataclass(frozen=True, slots=True)
class Commands:
    """Carries out RUN."""

    workshop: Workshop
    plan: StagePlan
    tell: Tell

    async def run(self, state: StageState, instruction: said.Run) -> None:
        """Go on from an image with what the command wrote. Raises StepFailed, and what cannot be asked of a step."""
        request = self.workshop.request
        _refuse(instruction, may_have_host=request.host_network or request.limits.network == "host")
        committer = self.workshop.committer
        command = _command(instruction, state)
        arguments = build_arguments(state)
        shown = " ".join((*([f"|{len(arguments)}", *arguments] if arguments else []), *_shown(command, state)))
        async with AsyncExitStack() as held:
            mounts = await RunMounts(self.workshop, self.plan, self.tell, held).prepare(state, instruction)
            options = (instruction.network, mounts.key, command.script.hex(), *self._surroundings)
            key = committer.key(state, shown, state.defaults, *options)
            cached = self.workshop.find_cached(self.plan, state, key, shown, state.defaults)
            if cached is not None:
                committer.take_cached(state, cached, self.tell)
                return
            layer_key = committer.layer_key(state, shown, *options)
            diff_id = self.workshop.find_layer(self.plan, layer_key)
            if diff_id is None:
                await mounts.acquire()
                step_mounts = (*mounts.mounts, *self._script_mounts(command))
                diff_id = await self._run(state, instruction, command.words, step_mounts, mounts.environment)
                committer.cache.remember_layer(layer_key, diff_id)
            else:
                committer.hold.take(diff_id)
            committer.commit(state, key, shown, state.defaults, diff_id=diff_id)
        self.tell(StepEnds(state.image_id))

    @property
    def _hostname(self) -> str:
        return self.workshop.request.build_args.get(_HOSTNAME, "")

    @property
    def _surroundings(self) -> tuple[str, ...]:
        """What a build asks for around its commands, which they can see."""
        limits = self.workshop.request.limits
        hosts = (f"host {one}" for one in limits.extra_hosts)
        ulimits = (f"ulimit {one.name} {one.soft} {one.hard}" for one in limits.ulimits)
        return (*((self._hostname,) if self._hostname else ()), *hosts, *ulimits)

    def _script_mounts(self, command: _Command) -> Sequence[StepMount]:
        if not command.script:
            return ()
        path = os.path.join(self.workshop.scratch, f"script-{secrets.token_hex(8)}")
        with open(path, "xb") as file:
            file.write(command.script)
            os.fchmod(file.fileno(), 0o755)
        return (StepMount(f"{_SCRIPT_DIRECTORY}/{command.script_name}", source=path, is_file=True),)

    async def _run(
        self,
        state: StageState,
        instruction: said.Run,
        words: tuple[str, ...],
        mounts: tuple[StepMount, ...],
        private: dict[str, str],
    ) -> str:
        """The diff-id of what the command wrote."""
        runner, request, committer = self.workshop.runner, self.workshop.request, self.workshop.committer
        latest_s = committer.latest_s(state)
        step = StepRequest(
            image_id=await self._image_id(state),
            defaults=state.defaults,
            command=words,
            environment={**_epoch(state, latest_s), **state.scope.proxies, **_own_arguments(state)},
            private=private,
            limits=request.limits,
            mounts=mounts,
            network=instruction.network if instruction.network != "default" else "",
            hostname=self._hostname,
        )
        end = await runner.run(step, self._started, self._wrote)
        try:
            if end.code:
                raise _failed(words, end, state.image_id)
            keeps_container = not (request.remove or request.force_remove)
            upper = runner.upper(end.container_id)
            where = here if is_small(upper) else away
            layer = await where(lambda: self._take(upper, latest_s, keeps_container=keeps_container))
        except BaseException as error:
            if request.force_remove or isinstance(error, asyncio.CancelledError):
                await self._remove(end.container_id)
            else:
                runner.keep(end.container_id)
            raise
        self._let_go(end.container_id, keeps_container=keeps_container)
        return layer.diff_id

    def _let_go(self, container_id: str, *, keeps_container: bool) -> None:
        if keeps_container:
            self.workshop.runner.keep(container_id)
        else:
            self.workshop.runner.remove_soon(container_id)
            self.tell(Removed(container_id))

    def _started(self, container_id: str) -> None:
        self.tell(Running(container_id))

    async def _wrote(self, content: bytes, is_error: bool) -> None:  # noqa: FBT001 -- which of two streams
        self.tell(Output(content, is_error))
        await self.workshop.room()

    async def _remove(self, container_id: str) -> None:
        await self.workshop.runner.remove(container_id)
        self.tell(Removed(container_id))

    def _take(self, upper: str, latest_s: int | None, *, keeps_container: bool) -> Layer:
        """The layer of what a step wrote: its own directory, or a copy when the container is to stay as it is."""
        hold, snapshots = self.workshop.committer.hold, self.workshop.snapshots
        if keeps_container:
            return commit_layer(upper, snapshots.layers, hold, latest_mtime_s=latest_s)
        return snapshots.adopt(upper, hold, latest_s)

    async def _image_id(self, state: StageState) -> str:
        """The image to run on; scratch is made one."""
        if state.image is None:
            raise InvalidArgument(
                "there is nothing to run in: the stage is FROM scratch", remedy="COPY a root file system first"
            )
        return state.image.id


def _refuse(instruction: said.Run, *, may_have_host: bool) -> None:
    where = instruction.position
    if instruction.security == "insecure":
        raise NotImplementedHere(
            "security.insecure is not allowed: no step of a build gets more than a container's rights",
            remedy="leave --security out, and do what needs it in a container that is run with --privileged",
        )
    if instruction.network == "host" and not may_have_host:
        raise Forbidden(
            "network.host is not allowed: this build has no right to the machine's network",
            remedy="pass --network host to the build, if its Dockerfile is to be trusted with that",
        )
    if instruction.devices:
        raise NotImplementedHere(
            f"RUN --device={instruction.devices[0]} is not built", remedy="leave --device out; a build has no devices"
        )
    if isinstance(instruction.command, ShellForm) and not instruction.command.text:
        raise where.refusal("RUN has no command", remedy="write RUN COMMAND")


def _command(instruction: said.Run, state: StageState) -> _Command:
    """The words of the command; heredocs are given to the shell, or executed when they begin with #!."""
    command, heredocs = instruction.command, instruction.heredocs
    if not heredocs or not isinstance(command, ShellForm):
        return _Command(argv(command, state.defaults))
    if _ONLY_HEREDOC.fullmatch(command.text):
        only = heredocs[0]
        if only.lines.startswith("#!"):
            return _Command((f"{_SCRIPT_DIRECTORY}/{only.name}",), only.lines.encode(), only.name)
        return _Command((*shell_of(state.defaults), only.lines))
    return _Command((*shell_of(state.defaults), _with_heredocs(command.text, heredocs)))


def _with_heredocs(text: str, heredocs: Sequence[Heredoc]) -> str:
    """The command as the shell itself reads it, its heredocs behind it."""
    return text + "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in heredocs)


def _shown(command: _Command, state: StageState) -> tuple[str, ...]:
    if command.script:
        return (*shell_of(state.defaults), f"<<{command.script_name}\n{command.script.decode(errors='replace')}")
    return command.words


def _own_arguments(state: StageState) -> dict[str, str]:
    """The build arguments that a command sees as variables: those that no ENV hides."""
    return {name: value for name, value in state.scope.arguments.items() if name not in state.scope.environment}


def _epoch(state: StageState, latest_s: int | None) -> dict[str, str]:
    """SOURCE_DATE_EPOCH, by which compilers, archivers and Python write no time that the layer will not have."""
    return {} if latest_s is None or EPOCH in state.scope.environment else {EPOCH: str(latest_s)}


def build_arguments(state: StageState) -> list[str]:
    """The same as history shows them, in order."""
    return [f"{name}={value}" for name, value in sorted(_own_arguments(state).items())]


def _failed(words: Sequence[str], end: StepEnd, image_id: str) -> StepFailed:
    short = image_id.removeprefix("sha256:")[:12]
    remedy = f"look at what the command wrote above; `sampan run --rm -it {short} sh` is where it began"
    if words[-1].startswith(_LIST):
        remedy = "the list is no JSON, so the shell took it for a command: write double quotes, and commas between"
    if end.oom_killed:
        remedy = "it was killed for want of memory: allow more with --memory, or leave the limit out"
    return StepFailed(" ".join(words), end.code, remedy=remedy)
