"""COPY and ADD of one stage: words expanded, sources found where they are, the cache asked, the files put."""

from __future__ import annotations

import os
import posixpath
import secrets
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from sampan.build import instructions as said
from sampan.build.content import Digests
from sampan.build.files import Item, Wanted, look_up, put, summary, text_item
from sampan.build.graph import StagePlan, find_stage, refuse_origin
from sampan.build.moving import Moves, reads_context
from sampan.build.progress import StepEnds, Tell
from sampan.build.repositories import Repository, clone, read_repository
from sampan.build.request import NOTHING
from sampan.build.scopes import StageScope
from sampan.build.sources import URLS, is_remote
from sampan.build.stage_state import StageState, nop
from sampan.build.suggestions import nearest
from sampan.build.threads import away
from sampan.build.workshop import Workshop
from sampan.errors import InvalidArgument, SampanError
from sampan.image.adopt import newest_file_s
from sampan.image.records import Image


@dataclass(frozen=True, slots=True)
class FileSteps:
    """Carries out COPY and ADD."""

    workshop: Workshop
    plan: StagePlan
    tell: Tell

    async def copy(self, state: StageState, instruction: said.Copy | said.Add) -> None:
        """Go on from an image with the files in it. Raises the SampanError that says what failed."""
        wanted = self._wanted(state, instruction)
        async with AsyncExitStack() as opened:
            try:
                items = await self._items(state, instruction, wanted, opened)
            except SampanError as error:
                error.say(f"{wanted.keyword} failed: {error.sentence}")
                raise
            await self._commit(state, instruction, wanted, items)

    async def _commit(
        self, state: StageState, instruction: said.Copy | said.Add, wanted: Wanted, items: Sequence[Item]
    ) -> None:
        committer = self.workshop.committer
        shown = state.scope.expand(instruction.destination, instruction.position)
        comment = f"{wanted.keyword} {_flags(wanted)}{summary(items)} in {shown} "
        command = nop(state.defaults, comment, apart=False)
        names = [f"{item.name} {item.is_download}" for item in items]
        options = (repr(wanted), *names)
        key = committer.key(state, command, state.defaults, *options)
        cached = self.workshop.find_cached(self.plan, state, key, command, state.defaults)
        if cached is not None:
            committer.take_cached(state, cached, self.tell)
            return
        layer_key = committer.layer_key(state, command, *options)
        diff_id = self.workshop.find_layer(self.plan, layer_key)
        if diff_id is None:
            moves = Moves() if self._may_move(instruction, items) else None
            diff_id, newest_s = await self._make(state, wanted, items, moves)
            committer.cache.remember_layer(layer_key, diff_id)
        else:
            committer.hold.take(diff_id)
            path = committer.images.layers.diff(diff_id)
            newest_s = await away(lambda: _newest(items, wanted, path))
        committer.commit(state, key, command, state.defaults, diff_id=diff_id, newest_s=newest_s)
        self.tell(StepEnds(state.image_id))

    async def _make(
        self, state: StageState, wanted: Wanted, items: Sequence[Item], moves: Moves | None
    ) -> tuple[str, int]:
        """The layer with the files in it, and the latest time of what was copied."""
        committer, snapshots = self.workshop.committer, self.workshop.snapshots
        stop = threading.Event()

        def make() -> tuple[str, int]:
            with snapshots.writable(state.diff_ids) as snapshot:
                put(snapshot.root_fd, wanted, items, stop.is_set, moves)
                snapshot.close()
                if moves is not None:
                    moves.carry_out(self.workshop.context.root_fd, snapshot.upper)
                newest_s = _newest(items, wanted, snapshot.upper)
                latest_s = committer.latest_s(state, newest_s)
                return snapshots.finish(snapshot, committer.hold, latest_s).diff_id, newest_s

        return await away(make, stop.set)

    def _may_move(self, instruction: said.Copy | said.Add, items: Sequence[Item]) -> bool:
        """Whether there is one source alone, and it is the context's, which nothing reads later.

        Several may hold each other, or bring the same name, which the later one then has.
        """
        return (
            reads_context(instruction)
            and self.workshop.uses.is_last
            and len(items) == 1
            and items[0].root == self.workshop.context.root_fd
        )

    def _wanted(self, state: StageState, instruction: said.Copy | said.Add) -> Wanted:
        where, scope = instruction.position, state.scope
        destination = scope.expand(instruction.destination, where) or "."
        absolute = posixpath.normpath(posixpath.join("/", state.defaults.working_dir, destination))
        absolute = "/" + absolute.lstrip("/")
        keeps_parents = isinstance(instruction, said.Copy) and instruction.parents
        if destination.endswith(("/", "/.")) or destination == "." or keeps_parents:
            absolute = absolute.rstrip("/") + "/"
        is_add = isinstance(instruction, said.Add)
        return Wanted(
            keyword="ADD" if is_add else "COPY",
            destination=absolute,
            chown=scope.expand(instruction.chown, where),
            chmod=scope.expand(instruction.chmod, where),
            exclude=tuple(scope.expand(pattern, where) for pattern in instruction.exclude),
            parents=keeps_parents,
            keeps_owner=isinstance(instruction, said.Copy) and bool(instruction.origin) and not instruction.chown,
            unpack=isinstance(instruction, said.Add) and instruction.unpack is not False,
        )

    async def _items(
        self, state: StageState, instruction: said.Copy | said.Add, wanted: Wanted, opened: AsyncExitStack
    ) -> list[Item]:
        where, scope = instruction.position, state.scope
        sources = [scope.expand(source, where) for source in instruction.sources]
        remote = [source for source in sources if is_remote(source)] if isinstance(instruction, said.Add) else []
        local = [source for source in sources if source not in remote]
        if any(source.startswith(URLS) for source in local):
            raise InvalidArgument("source can't be a URL for COPY", remedy="ADD takes what a URL has")
        checksum = _checksum(instruction, scope, remote) if isinstance(instruction, said.Add) else ""
        items: list[Item] = []
        if local:
            origin = instruction.origin if isinstance(instruction, said.Copy) else ""
            root, digests = await opened.enter_async_context(self._tree(origin))
            items += await away(lambda: look_up(root, digests, local, wanted, in_context=not origin))
        for url in remote:
            assert isinstance(instruction, said.Add)  # noqa: S101 -- only ADD has remote sources
            items += await self._fetch(url, replace(instruction, checksum=checksum), wanted, opened)
        for heredoc in instruction.heredocs:
            text = scope.expand_heredoc(heredoc.lines, where) if heredoc.expand else heredoc.lines
            latest_s = self.workshop.committer.latest_s(state)
            items.append(text_item(heredoc.name, text.encode(), int(time.time()) if latest_s is None else latest_s))
        if not items and not wanted.parents:
            raise InvalidArgument(
                "no source files were specified", remedy=f"nothing there matches {' or '.join(sources)}"
            )
        return items

    @asynccontextmanager
    async def _tree(self, origin: str) -> AsyncIterator[tuple[int, Digests]]:
        """The tree that --from means: the context, an earlier stage, or an image."""
        if not origin:
            yield self.workshop.context.root_fd, self.workshop.context.digests
            return
        image = await find_origin(self.workshop, self.plan, origin, self.tell)
        root = self.workshop.snapshots.open_readable(image.diff_ids if image else ())
        try:
            yield root, Digests(root)
        finally:
            os.close(root)

    async def _fetch(self, url: str, instruction: said.Add, wanted: Wanted, opened: AsyncExitStack) -> list[Item]:
        directory = os.path.join(self.workshop.scratch, f"add-{secrets.token_hex(4)}")
        os.mkdir(directory, 0o700)
        repository = read_repository(url)
        if repository is not None:
            return await self._clone(repository, directory, instruction, wanted, opened)
        name = await self.workshop.downloads.fetch(url, instruction.checksum, directory, self.tell)
        if not name and not wanted.destination.endswith("/"):
            name = posixpath.basename(wanted.destination)
        if not name:
            raise InvalidArgument(f"cannot determine filename for {url}", remedy="name the file in the destination")
        os.rename(os.path.join(directory, "content"), os.path.join(directory, name))
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, root)
        keeps = instruction.unpack is not True
        fetched = await away(lambda: look_up(root, Digests(root), ["./" + _literal(name)], wanted))
        return [_kept_whole(item) for item in fetched] if keeps else fetched

    async def _clone(
        self, repository: Repository, directory: str, instruction: said.Add, wanted: Wanted, opened: AsyncExitStack
    ) -> list[Item]:
        """The files of a repository; --checksum is its commit."""
        commit, keep_git = instruction.checksum, instruction.keep_git_dir
        inside = await clone(repository, directory, self.workshop.scratch, keep_git=keep_git, commit=commit)
        root = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, root)
        return await away(lambda: look_up(root, Digests(root), ["."], wanted))


def _checksum(instruction: said.Add, scope: StageScope, remote: Sequence[str]) -> str:
    """What --checksum says, refused when it is not about one download."""
    if not instruction.checksum:
        return ""
    if len(instruction.sources) + len(instruction.heredocs) > 1:
        raise InvalidArgument("checksum can't be specified for multiple sources", remedy="write an ADD for each")
    if not remote:
        raise InvalidArgument(
            "checksum can't be specified for non-HTTP sources", remedy="leave --checksum out: the context is yours"
        )
    return scope.expand(instruction.checksum, instruction.position)


def _newest(items: Sequence[Item], wanted: Wanted, upper: str) -> int:
    """The latest time among the sources, or in what came of them when that may be an archive's content."""
    named = max((item.newest_s for item in items), default=0)
    return max(named, newest_file_s(upper)) if wanted.unpack else named


def _kept_whole(item: Item) -> Item:
    """A download, which is not unpacked unless it was asked for."""
    return Item(item.digest, item.name, item.source, item.root, is_download=True, newest_s=item.newest_s)


def _literal(name: str) -> str:
    return "".join(f"\\{character}" if character in "*?[\\" else character for character in name)


def _flags(wanted: Wanted) -> str:
    words = [f"--chown={wanted.chown}"] if wanted.chown else []
    if wanted.chmod:
        words.append(f"--chmod={wanted.chmod}")
    return "".join(f"{word} " for word in words)


async def find_origin(workshop: Workshop, plan: StagePlan, origin: str, tell: Tell) -> Image | None:
    """The image that `--from` or `from=` means: an earlier stage's (None when that is nothing at all), or another."""
    stage = find_stage(workshop.graph.names, origin, plan.index)
    if stage is not None:
        return workshop.result(stage)
    named = workshop.request.context_of(origin)
    if named == NOTHING:
        return None
    if not named:
        refuse_origin(workshop.graph.names, origin, plan.index)
    try:
        image = await workshop.bases.find(origin, pull=False, platform=workshop.request.platform, tell=tell)
    except SampanError as error:
        earlier = [name for name, index in workshop.graph.names.items() if index < plan.index]
        if near := nearest(origin.lower(), earlier):
            error.remedy = f"did you mean the stage {near}?"
        elif "$" in origin:
            error.remedy = f"variables are not replaced here: name it by a stage of its own, FROM {origin} AS NAME"
        raise
    workshop.committer.use(image)
    return image
