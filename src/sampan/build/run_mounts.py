"""RUN --mount: what is mounted for one command only, made ready and let go again.

Nothing of it is in the layer: mount points that the image lacks come from a layer below the step's own (whoever runs
the step sees to that), so that nothing has to be removed afterwards and no link can lead a removal astray. Sources are
looked up without leaving the context, the stage or the cache that they are in.
"""

from __future__ import annotations

import errno
import os
import posixpath
import secrets
import shutil
import stat
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from sampan.build import instructions as said
from sampan.build.agents import agent_socket
from sampan.build.cache_mounts import Lease
from sampan.build.configuring import work_directory
from sampan.build.copying import Attributes, Copier
from sampan.build.file_steps import find_origin
from sampan.build.graph import StagePlan
from sampan.build.instructions import Mount, MountType, Position
from sampan.build.layer_paths import directories_of, file_of
from sampan.build.mounts import read_mount
from sampan.build.progress import Tell
from sampan.build.sources import find_sources
from sampan.build.stage_state import StageState
from sampan.build.steps import Owner, StepMount
from sampan.build.threads import away
from sampan.build.workshop import Workshop
from sampan.errors import InvalidArgument, NotFound

_NAME_SPACE = "BUILDKIT_CACHE_MOUNT_NS"  # the build argument that keeps the caches of some builds apart
_SECRETS = "/run/secrets"
_AGENT = "/run/buildkit/ssh_agent.{}"
_LONGEST = 250  # what fsconfig(2) takes as a value, with some room


@dataclass(slots=True)
class Prepared:
    """A command's mounts: `key` says for the cache what they hold; `mounts` are there after `acquire`."""

    workshop: Workshop
    plan: StagePlan
    tell: Tell
    held: AsyncExitStack
    key: str = ""
    mounts: tuple[StepMount, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    caches: list[tuple[str, Mount, str]] = field(default_factory=list)  # each behind its name, with the target
    agents: list[tuple[Mount, str, str]] = field(default_factory=list)  # with the target and the agent's own socket

    async def acquire(self) -> None:
        """Take the caches that the command will use, in an order that two builds cannot block each other with.

        The sockets of agents are made here too.
        """
        for mount, target, agent in self.agents:
            path = os.path.join(self.workshop.private(), secrets.token_hex(8))
            owner = Owner(0o600 if mount.mode is None else mount.mode, mount.uid or 0, mount.gid or 0)
            await self.held.enter_async_context(agent_socket(agent, path, owner))
            self.mounts = (*self.mounts, StepMount(target, path, writable=True, is_file=True))
        for name, mount, target in sorted(self.caches, key=lambda one: one[0]):
            lease = await self.workshop.caches.take(name, mount.sharing)
            self.held.callback(lease.release)
            if lease.is_new:
                await self._fill(mount, lease)
            subpath = "" if mount.origin else _inner(mount.source)
            self.mounts = (*self.mounts, StepMount(target, lease.path, subpath, writable=not mount.read_only))

    async def _fill(self, mount: Mount, lease: Lease) -> None:
        """Give a new cache its owner and mode, and what from= says to begin with."""
        if mount.origin:
            image = await find_origin(self.workshop, self.plan, mount.origin, self.tell)
            diff_ids = image.diff_ids if image else ()
            await away(lambda: self._copy(mount, lease.path, diff_ids))
        os.chown(lease.path, mount.uid or 0, mount.gid or 0)
        os.chmod(lease.path, 0o755 if mount.mode is None else mount.mode)
        self.workshop.caches.fill(lease)

    def _copy(self, mount: Mount, path: str, diff_ids: Sequence[str]) -> None:
        target = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with self.workshop.snapshots.readable(diff_ids) as root:
                attributes = Attributes(mount.uid or 0, mount.gid or 0)
                Copier(target, attributes).content(root, _inner(mount.source).encode() or b".", ".")
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{mount.source} is no directory in {mount.origin}", remedy="look at source=") from None
        finally:
            os.close(target)


@dataclass(frozen=True, slots=True)
class RunMounts:
    """Prepares the mounts of one RUN; what is taken is given back with `held`."""

    workshop: Workshop
    plan: StagePlan
    tell: Tell
    held: AsyncExitStack

    async def prepare(self, state: StageState, instruction: said.Run) -> Prepared:
        """The mounts that the instruction asks for. Raises InvalidArgument for what cannot be."""
        where = instruction.position
        prepared = Prepared(self.workshop, self.plan, self.tell, self.held)
        keys, mounts = [], []
        space = self.workshop.request.build_args.get(_NAME_SPACE, "")
        for word in instruction.mounts:
            mount = read_mount(word, lambda text: state.scope.expand(text, where), where)
            target = _target(mount, state, where)
            keys.append(f"{mount!r}")
            match mount.type:
                case MountType.CACHE:
                    prepared.caches.append((_cache_name(mount, target, space), mount, target))
                    keys += [space] if space else []
                case MountType.TMPFS:
                    mounts.append(StepMount(target, size_bytes=mount.size_bytes))
                case MountType.BIND:
                    bound, key = await self._bind(mount, target)
                    mounts.append(bound)
                    keys.append(key)
                case MountType.SECRET:
                    content = await self.workshop.request.asker.secret(_secret_name(mount))
                    mounts += self._secret(mount, content, target, prepared)
                case MountType.SSH:
                    await self._agent(mount, target, prepared)
        prepared.mounts = tuple(mounts)
        prepared.key = "\n".join(keys)
        return prepared

    # what is bound

    async def _bind(self, mount: Mount, target: str) -> tuple[StepMount, str]:
        """The mount and what is in it, for the cache."""
        if not mount.origin:
            return await away(lambda: self._bind_context(mount, target))
        image = await find_origin(self.workshop, self.plan, mount.origin, self.tell)
        diff_ids = image.diff_ids if image else ()
        bound = await away(lambda: self._bind_layers(mount, target, diff_ids))
        return bound, " ".join(diff_ids)

    def _bind_context(self, mount: Mount, target: str) -> tuple[StepMount, str]:
        context = self.workshop.context
        (source, *_) = find_sources(context.root_fd, _literal(mount.source or "."))
        digest = context.digests.of(source.path)
        path = os.path.join(context.path, os.fsdecode(source.path))
        if mount.read_only:
            subpath = os.fsdecode(source.path)
            return StepMount(target, context.path, subpath, is_file=not source.is_directory), digest
        return self._writable(target, (path,), is_directory=source.is_directory), digest

    def _bind_layers(self, mount: Mount, target: str, diff_ids: Sequence[str]) -> StepMount:
        with self.workshop.snapshots.readable(diff_ids) as root:
            (source, *_) = find_sources(root, _literal(mount.source or "."), in_context=False)
        trees = self.workshop.snapshots.lowers(diff_ids)
        path = os.fsdecode(source.path)
        if not source.is_directory:
            found = file_of(trees, path)
            if mount.read_only:
                return StepMount(target, found, is_file=True)
            return self._writable(target, (found,), is_directory=False)
        lowers = directories_of(trees, path)
        if not mount.read_only:
            return self._writable(target, lowers, is_directory=True)
        if len(lowers) == 1:
            return StepMount(target, lowers[0])
        return StepMount(target, lowers=self._short(lowers))

    def _writable(self, target: str, lowers: Sequence[str], *, is_directory: bool) -> StepMount:
        """What is written is kept apart, and gone with the build."""
        place = os.path.join(self.workshop.scratch, f"mount-{secrets.token_hex(4)}")
        os.mkdir(place, 0o711)
        if not is_directory:
            copy = os.path.join(place, "file")
            shutil.copy2(lowers[0], copy)
            return StepMount(target, copy, writable=True, is_file=True)
        upper, work = os.path.join(place, "upper"), os.path.join(place, "work")
        os.mkdir(upper, stat.S_IMODE(os.stat(lowers[0]).st_mode))
        os.mkdir(work, 0o700)
        return StepMount(target, writable=True, lowers=self._short(lowers), upper=upper, work=work)

    def _short(self, lowers: Sequence[str]) -> tuple[str, ...]:
        """Names that fsconfig(2) takes: long ones by a link."""
        found = []
        for lower in lowers:
            path = lower
            if len(lower) > _LONGEST:
                path = os.path.join(self.workshop.scratch, f"lower-{secrets.token_hex(4)}")
                os.symlink(lower, path)
            found.append(path)
        return tuple(found)

    # what is kept from the image

    def _secret(self, mount: Mount, content: bytes | None, target: str, prepared: Prepared) -> list[StepMount]:
        name = _secret_name(mount)
        if content is None:
            if mount.required:
                raise InvalidArgument(f"secret {name}: not found", remedy=f"give it with --secret id={name},src=FILE")
            return []
        if mount.environment is not None:
            prepared.environment[mount.environment or name] = content.decode("utf-8", "surrogateescape")
            if not mount.target:
                return []
        path = os.path.join(self.workshop.private(), secrets.token_hex(8))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
            file.write(content)
        owner = Owner(0o400 if mount.mode is None else mount.mode, mount.uid or 0, mount.gid or 0)
        return [StepMount(target, path, is_file=True, secret=owner)]

    async def _agent(self, mount: Mount, target: str, prepared: Prepared) -> None:
        name = mount.id or "default"
        socket = await self.workshop.request.asker.agent(name)
        if socket is None:
            if mount.required:
                raise InvalidArgument(f"unset ssh forward key {name}", remedy=f"give it with --ssh {name}")
            return
        try:
            if not stat.S_ISSOCK(os.stat(socket).st_mode):
                raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), socket)
        except OSError as error:
            raise InvalidArgument(
                f"the agent's socket {socket} cannot be used: {error.strerror}", remedy="start ssh-agent"
            ) from error
        prepared.environment.setdefault("SSH_AUTH_SOCK", target)
        prepared.agents.append((mount, target, socket))


def _secret_name(mount: Mount) -> str:
    return mount.id or posixpath.basename(mount.source or mount.target)


def _target(mount: Mount, state: StageState, where: Position) -> str:
    target = mount.target
    if not target and mount.type is MountType.SECRET:
        target = f"{_SECRETS}/{posixpath.basename(mount.id or mount.source)}"
    if not target and mount.type is MountType.SSH:
        target = _AGENT.format(0)
    if not target:
        raise where.refusal(f"--mount of type {mount.type} has no target", remedy="write target=/PATH")
    path = work_directory(state.defaults.working_dir, target)
    if path == "/":
        raise where.refusal("nothing can be mounted over /", remedy="choose a target below it")
    return path


def _cache_name(mount: Mount, target: str, space: str) -> str:
    name = mount.id or target
    return f"{space}/{name}" if space else name


def _inner(path: str) -> str:
    """A path below a tree. Raises InvalidArgument for one that leads up."""
    if ".." in path.split("/"):
        raise InvalidArgument(f"source={path} leads out of where it is looked up", remedy="name a path below it")
    return posixpath.normpath(posixpath.join("/", path)).strip("/")


def _literal(path: str) -> str:
    return "".join(f"\\{character}" if character in "*?[\\" else character for character in path)
