"""One build as a BuildKit client asks for it: files come through its session, the engine builds, the client is told."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import posixpath
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from grpclib.exceptions import GRPCError

from sampan.build.ignore import read_ignore_file
from sampan.build.repositories import read_repository
from sampan.build.request import BuildRequest
from sampan.buildkit import frontend, subrequests
from sampan.buildkit.callbacks import SessionAsker
from sampan.buildkit.contexts import IGNORE, LocalContexts
from sampan.buildkit.errors import as_status, in_buildkits_words, unforeseen
from sampan.buildkit.filesync import END_OF_ARCHIVE, Listing, Wanted, file_of, listing_of
from sampan.buildkit.frontend import Places
from sampan.buildkit.proto.control_pb2 import SolveRequest
from sampan.buildkit.proto.gateway_pb2 import ReturnRequest
from sampan.buildkit.sessions import Session, Sessions
from sampan.buildkit.statuses import Statuses
from sampan.buildkit.uploads import UPLOADS, uploaded
from sampan.engine.build_contexts import Source
from sampan.engine.builds import Builds, Built
from sampan.engine.image_imports import Imports
from sampan.engine.images import EngineImages
from sampan.errors import InvalidArgument, NotFound, NotImplementedHere, SampanError
from sampan.image.tar_write import encode_file

IMAGE_KINDS = frozenset({"moby", "image"})  # exporters that leave the image with the engine
_FILE_KINDS = frozenset({"local", "tar"})  # those that send its files to the client


@dataclass(frozen=True, slots=True)
class Engine:
    """What builds are made with."""

    builds: Builds
    images: EngineImages
    imports: Imports
    run_directory: str
    host_gateway: Callable[[], Awaitable[str]]  # the address of this machine for steps, "" for none
    sessions: Sessions = field(default_factory=Sessions)


@dataclass(slots=True)
class Solve:
    """What a client's call of Control.Solve is about, until it returns."""

    engine: Engine
    asked: SolveRequest
    statuses: Statuses
    returned: asyncio.Future[ReturnRequest] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    image_id: str = ""
    failure: GRPCError | None = None

    @property
    def exporters(self) -> tuple[str, ...]:
        """The kinds of exporters that are asked for."""
        return tuple(one.Type for one in self.asked.Exporters) or tuple(filter(None, (self.asked.ExporterDeprecated,)))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the image gets: those of the exporters that leave it with the engine."""
        names = [one.Attrs.get("name", "") for one in self.asked.Exporters if one.Type in IMAGE_KINDS]
        if self.asked.ExporterDeprecated in IMAGE_KINDS and not self.asked.Exporters:
            names.append(self.asked.ExporterAttrsDeprecated.get("name", ""))
        return tuple(dict.fromkeys(name for one in names for name in one.split(",") if name))

    async def build(self, options: Mapping[str, str]) -> None:
        """Build what the options of `dockerfile.v0` ask for: `image_id`. Raises GRPCError, which is `failure` too."""
        files = _Files(self.engine, self.asked.Session, frontend.places_of(options), self.statuses)
        with self._failing(files):
            self.image_id = await self._build(files, options)

    async def answer(self, options: Mapping[str, str]) -> dict[str, bytes]:
        """The answer to a subrequest about a Dockerfile of the client's. Raises GRPCError, which is `failure` too."""
        files = _Files(self.engine, self.asked.Session, frontend.places_of(options), self.statuses)
        name = options[frontend.SUBREQUEST]
        others = {key: value for key, value in options.items() if key != frontend.SUBREQUEST}
        with self._failing(files):
            request = await files.placed(frontend.request_of(others, []))
            if not files.dockerfile:
                raise NotImplementedHere(
                    "no question is answered about a Dockerfile that is not in a directory of the client's",
                    remedy="clone or unpack it, and give the directory",
                )
            return subrequests.answer(name, files.dockerfile, files.places.filename, request, files.ignore)

    @contextlib.contextmanager
    def _failing(self, files: _Files) -> Iterator[None]:
        """What goes wrong becomes a status, and is remembered for the call of Control.Solve."""
        try:
            yield
        except SampanError as error:
            in_buildkits_words(error)
            error.sentence, error.place = files.called(error.sentence), files.called(error.place)
            self.failure = as_status(error, files.dockerfile)
            self.statuses.close(error.sentence)
            raise self.failure from error
        except Exception as error:
            self.failure = unforeseen(error)
            raise self.failure from error

    async def _build(self, files: _Files, options: Mapping[str, str]) -> str:
        refuse_unknown(self.exporters)
        imports = [dict(one.Attrs) for one in self.asked.Cache.Imports]
        request = replace(frontend.request_of(options, imports, self.asked.Entitlements), tags=self.names)
        async with contextlib.AsyncExitStack() as stack:
            session = await self.engine.sessions.get(self.asked.Session)
            contexts = LocalContexts(files.session_of, self.engine.imports, self.engine.images, self.statuses)
            stack.push_async_callback(contexts.give_back)
            images = await contexts.images(frontend.named_contexts(options))
            asker = SessionAsker(session, self.engine.run_directory)
            stack.callback(asker.close)
            request = replace(await files.placed(request), contexts=images, unpacks_contexts=False, asker=asker)
            for name in request.cache_from:
                await self._have_cache(name, request)
            if files.dockerfile:
                files.taken = self.engine.builds.taken(request, files.dockerfile)
            await stack.enter_async_context(files.listed())
            return await self._carry_out(request, files)

    async def _have_cache(self, name: str, request: BuildRequest) -> None:
        """Fetch an image whose steps are to count, when it is not here; without it the build goes on."""
        if self.engine.images.images.find(name) is not None:
            return
        digest = self.statuses.begin(f"importing cache manifest from {name}")
        try:
            pulling = self.engine.builds.transfers.pull_for(request.asker, name, request.platform)
            async with contextlib.aclosing(pulling) as steps:
                async for step in steps:
                    self.statuses.pull(digest, step)
        except SampanError as error:
            self.statuses.end(digest, error=error.sentence)
        else:
            self.statuses.end(digest)

    async def _carry_out(self, request: BuildRequest, files: _Files) -> str:
        image_id = ""
        fetching = self.statuses.begin(_fetching(request.remote)) if request.remote else ""
        source = Source(files.archive(), files.known, files.complete, files.keep)
        steps = self.engine.builds.build(request, source)
        async with contextlib.aclosing(steps) as closing:
            async for told in closing:
                if isinstance(told, Built):
                    image_id = told.image_id
                if events := told.told if isinstance(told, Built) else told:
                    await files.end()
                    self.statuses.end(fetching)
                    self.statuses.hear(events)
                    await self.statuses.room()
        return image_id


@dataclass(slots=True)
class _Files:
    """The files of one build: its Dockerfile, which ignore file counts, and its context as an archive."""

    engine: Engine
    session_id: str
    places: Places
    statuses: Statuses
    dockerfile: bytes = b""
    ignore: bytes = b""
    taken: tuple[str, ...] | None = None  # the paths of the context that steps take; None: any
    _name: str = ""  # of the Dockerfile in the archive
    _kept_as: str = ""
    _kept: str = ""  # the directory of the last build that was kept so
    _size: int = 0  # of the context, in bytes
    _listing: Listing | None = None  # of the context
    _vertex: str = ""

    async def placed(self, request: BuildRequest) -> BuildRequest:
        """The request with where its files come from; the Dockerfile is read. Raises InvalidArgument."""
        places = self.places
        is_remote = bool(places.remote) and not places.remote.startswith(UPLOADS)
        if is_remote and not places.is_dockerfile_local:
            return replace(request, remote=_remote(places), dockerfile=places.filename)
        if places.remote.startswith(UPLOADS):
            return replace(request, dockerfile=places.filename)
        await self._read()
        self._name = f".dockerfile.{hashlib.sha256(self.dockerfile).hexdigest()[:20]}"
        left_out = (self._name, self._name + IGNORE)
        if is_remote:
            remote = _remote(places)
            return replace(request, remote=remote, given=self.dockerfile, dockerfile=self._name, left_out=left_out)
        session = await self.session_of(self.places.context)
        if session.shared_key:
            self._kept_as = f"{session.shared_key}\0{self.places.context}"
        return replace(request, dockerfile=self._name, left_out=left_out, keeps_context=bool(self._kept_as))

    def called(self, text: str) -> str:
        """The text with the Dockerfile called as the client calls it."""
        return text.replace(self._name, self.places.filename) if self._name else text

    async def archive(self) -> AsyncGenerator[bytes]:
        """The context as an archive, with the Dockerfile and its ignore file in it."""
        if self.places.remote.startswith(UPLOADS):
            session = await self.session_of(self.places.context)
            async for piece in uploaded(session, self.places.remote):
                yield piece
            return
        if not self._name:
            return
        yield encode_file(self._name, self.dockerfile) + encode_file(self._name + IGNORE, self.ignore)
        if self._listing is not None:
            if self._kept:
                self._size += await self._listing.leave_out(self._kept)
            async for piece in self._listing.archive():
                self._size += len(piece)
                yield piece
            self.statuses.end(self._vertex)
        yield END_OF_ARCHIVE

    @contextlib.asynccontextmanager
    async def listed(self) -> AsyncGenerator[None]:
        """Have the client list the files of the context that steps may take, if there are any."""
        if not self._name or self.taken == () or self.places.remote:
            yield
            return
        self._vertex = self.statuses.begin("[internal] load build context")

        def heard(count: int) -> None:
            self.statuses.advance(self._vertex, "transferring context:", count)

        wanted = Wanted(self.places.context, self.taken or (), read_ignore_file(self.ignore).lines)
        with self.engine.builds.kept.reading(self._kept_as) as self._kept:
            async with listing_of(await self.session_of(self.places.context), wanted, heard) as self._listing:
                yield

    @property
    def known(self) -> tuple[bytes, ...]:
        """All that the files of this client's build are known by before they come; () when they are not."""
        if self._listing is None or not self._kept_as:
            return ()
        return (self._kept_as.encode(), b"\0", self.ignore, b"\0", self.dockerfile, self._listing.digest)

    async def end(self) -> None:
        """Nothing more is asked of the client's files, if anything was."""
        if self._listing is not None:
            await self._listing.end()
            self.statuses.end(self._vertex)

    def complete(self, context: str) -> None:
        """Give the context, unpacked there, what is in none of the archive."""
        if self._listing is not None:
            self._listing.link(context)

    def keep(self, context: str) -> None:
        """Keep the directory of the context for the next build of the same client."""
        if self._kept_as:
            self.engine.builds.kept.keep(self._kept_as, context, self._size)

    async def session_of(self, directory: str) -> Session:
        """The session that has a directory."""
        return await self.engine.sessions.get(self.places.sessions.get(directory, self.session_id))

    async def _read(self) -> None:
        """The Dockerfile, and the ignore file that counts: its own, or the context's."""
        name, own = self.places.filename, self.places.filename + IGNORE
        digest = self.statuses.begin(f"[internal] load build definition from {name}")
        lower = posixpath.join(posixpath.dirname(name), posixpath.basename(name).lower())
        session = await self.session_of(self.places.dockerfile)
        found = await file_of(session, self.places.dockerfile, [name, own, lower])
        content = found.get(name, found.get(lower))
        if content is None:
            raise NotFound(
                f"failed to read dockerfile: open {name}: no such file or directory", remedy="name the file with -f"
            )
        self.dockerfile = self.statuses.source = content
        self.statuses.filename = name
        self.statuses.advance(digest, "transferring dockerfile:", len(content), done=True)
        self.statuses.end(digest)
        if own not in found and not self.places.remote:
            digest = self.statuses.begin("[internal] load .dockerignore")
            context = await self.session_of(self.places.context)
            found[own] = (await file_of(context, self.places.context, [IGNORE])).get(IGNORE, b"")
            self.statuses.advance(digest, "transferring context:", len(found[own]), done=True)
            self.statuses.end(digest)
        self.ignore = found.get(own, b"")


def refuse_unknown(kinds: Iterable[str]) -> None:
    """Raises NotImplementedHere for an exporter that is none, before anything is built for it."""
    for kind in kinds:
        if kind not in IMAGE_KINDS | _FILE_KINDS:
            raise NotImplementedHere(f"the exporter {kind} is not served", remedy="leave the image here, and `save` it")


def _fetching(address: str) -> str:
    """What is done while a context is fetched; whoever reads that sees no password."""
    if read_repository(address) is None:
        return "[internal] load remote build context"
    return f"[internal] load git source {re.sub('//[^/@]*@', '//xxxxx@', address)}"


def _remote(places: Places) -> str:
    """An address with the directory below it that is the context."""
    if not places.subdirectory:
        return places.remote
    if "#" in places.remote or not places.remote.partition("?")[0].endswith(".git"):
        raise InvalidArgument("a part of this context cannot be named", remedy="say it in the address: #REF:DIRECTORY")
    return f"{places.remote}#:{places.subdirectory}"
