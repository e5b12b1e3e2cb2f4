"""A build from its Dockerfile to its image: which stages, in what order, side by side where they can be.

Everything that a build takes is given back when it ends, however it ends; what its steps made stays in the cache.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from sampan.build import instructions as said
from sampan.build.cache import BuildCache
from sampan.build.cache_images import cache_config, chain_of, is_cache, read_cache
from sampan.build.cache_mounts import CacheMounts
from sampan.build.configuring import environment_of
from sampan.build.content import Digests
from sampan.build.context import IGNORE, ignore_rules, read_dockerfile
from sampan.build.crew import Crew
from sampan.build.graph import Graph, StagePlan, plan_stages
from sampan.build.ignore import IgnoreRules
from sampan.build.instructions import Dockerfile, Instruction, Pair, Position
from sampan.build.lint import check
from sampan.build.lint_rules import options_of, refuse
from sampan.build.moving import ContextUses, reads_context
from sampan.build.parser import parse
from sampan.build.progress import OF_NONE, CacheMade, Note, OfStage, StepBegins, StepEnds, Tell, Voices, Warned
from sampan.build.request import BuildRequest
from sampan.build.scopes import GlobalScope, StageScope, global_scope, platform_arguments, unused
from sampan.build.snapshots import Snapshots
from sampan.build.sources import is_remote
from sampan.build.squashing import merge_layers, squashed_config
from sampan.build.stage_state import EPOCH, NOW, Committer, Uses
from sampan.build.steps import StepRunner
from sampan.build.threads import away
from sampan.build.workshop import Bases, Context, Downloads, Workshop
from sampan.errors import InvalidArgument
from sampan.image.images import Images
from sampan.image.platforms import parse_platform
from sampan.image.records import Image
from sampan.oci.image_spec import decode_config

_EXPANDED = frozenset("$'\"\\`")  # a word with one of these may become another


@dataclass(frozen=True, slots=True)
class Planned:
    """A build that was found possible: what its Dockerfile says, and which of it is needed."""

    request: BuildRequest
    dockerfile: Dockerfile
    scope: GlobalScope
    graph: Graph
    platform: tuple[str, str, str]
    epoch: int | str | None
    platforms: Mapping[str, str]
    ignore: IgnoreRules | None

    @property
    def left_out(self) -> tuple[str, ...]:
        """The files of the context that no step sees: those that the client names, or what .dockerignore says.

        A client sends that file and the Dockerfile whatever the rules say, since they are needed here; all others it
        has left out itself.
        """
        if self.request.left_out is not None:
            return self.request.left_out
        rules = self.ignore
        return tuple(name for name in (IGNORE, self.request.dockerfile) if rules is not None and rules.excludes(name))

    @property
    def fetches(self) -> bool:
        """Whether it may take something from elsewhere, each time anew: what is quoted may be an address, too."""
        return any(
            isinstance(one, said.Add)
            and any(is_remote(source) or not _EXPANDED.isdisjoint(source) for source in one.sources)
            for plan in self.graph.stages
            for one in plan.stage.instructions
        )


@dataclass(frozen=True, slots=True)
class Ear:
    """Who listens to a build: `tell` is told at once, `room` waits while too much of it is not heard yet."""

    tell: Tell
    room: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sources:
    """What `--cache-from` names: images made of steps, and caches, with the configurations of their steps by key."""

    images: tuple[Image, ...]
    caches: tuple[Image, ...]
    imported: Mapping[str, bytes]
    restricted: bool


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds images from contexts."""

    images: Images
    cache: BuildCache
    runner: StepRunner
    bases: Bases
    downloads: Downloads
    caches: CacheMounts
    using: Counter[str]
    finish: Callable[[Image], None]  # is given the image while nobody can remove it yet

    async def build(self, planned: Planned, context: str, scratch: str, memory: str, ear: Ear) -> Image:
        """The image of the planned target; `context` and `scratch` are directories, the caller's to remove.

        `memory` is the path of one that is made when there are secrets to be kept from the disk.
        Raises the SampanError of the step that failed first. Cancelled, it returns when nothing goes on any more.
        """
        total = _count(planned)
        _tell_arguments(planned, total, ear.tell)
        root = os.open(context, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        uses = Uses(self.using)
        try:
            with self.images.layers.hold() as hold:
                place = Context(context, root, Digests(root))
                committer = Committer(self.images, self.cache, hold, uses, planned.epoch)
                workshop = self._workshop(planned, place, committer, (scratch, memory), ear.room)
                voices = Voices(ear.tell, apart=planned.request.events)
                crew = Crew(workshop, voices, lambda plan: _instructions(planned, plan))
                await crew.build(len(planned.dockerfile.arguments) + 1, total)
                image = workshop.results[planned.graph.target.index]
                if image is not None:
                    if planned.request.cache_to:
                        ear.tell(CacheMade(self._make_cache(image, workshop, uses).id))
                    if planned.request.squash:
                        image = await self._squash(image, workshop, planned.graph.target.index)
                    self.finish(image)
        finally:
            uses.release()
            self.cache.remember_used()
            os.close(root)
            await self.runner.removed()
        for note in _unused(planned, workshop.scopes.values()):
            ear.tell(note)
        for warned in _findings(planned, workshop):
            ear.tell(OfStage(OF_NONE, "", warned) if planned.request.events else warned)
        if image is None:
            raise InvalidArgument("No image was generated. Is your Dockerfile empty?", remedy="add an instruction")
        return image

    def _workshop(
        self,
        planned: Planned,
        context: Context,
        committer: Committer,
        directories: tuple[str, str],
        room: Callable[[], Awaitable[None]],
    ) -> Workshop:
        """What the stages share; `directories` are scratch and memory."""
        sources = self._sources(planned.request)
        for cache in sources.caches:
            committer.use(cache)
        return Workshop(
            request=planned.request,
            context=context,
            graph=planned.graph,
            scope=planned.scope,
            snapshots=Snapshots(self.images.layers, self.caches.dispose),
            committer=committer,
            runner=self.runner,
            bases=self.bases,
            downloads=self.downloads,
            caches=self.caches,
            scratch=directories[0],
            memory=directories[1],
            room=room,
            platform=planned.platform,
            escape=planned.dockerfile.escape,
            uses=_uses(planned),
            sources=sources.images,
            restricted=sources.restricted,
            imported=sources.imported,
            trusted=self._trusted(sources.images),
        )

    def _sources(self, request: BuildRequest) -> Sources:
        """What --cache-from names, as far as it is here."""
        ids = [self.images.find(name) for name in request.cache_from]
        found = [self.images.records.get(image_id) for image_id in ids if image_id is not None]
        caches = tuple(image for image in found if is_cache(image))
        imported: dict[str, bytes] = {}
        for cache in caches:
            imported |= read_cache(cache)
        others = tuple(image for image in found if not is_cache(image))
        restricted = request.cache_alone and len(request.cache_from) > len(caches)
        return Sources(others, caches, imported, restricted=restricted)

    def _make_cache(self, image: Image, workshop: Workshop, uses: Uses) -> Image:
        """The image with the cache of this build."""
        records, committer = self.images.records, workshop.committer
        known = {one: records.get(one) for one in uses.all()}
        wanted = chain_of(image, known) if workshop.request.cache_to == "min" else known.values()
        steps = [(key, one) for one in wanted if (key := self.cache.key_of_image(one.id)) is not None]
        bases = [base for base in workshop.begun.values() if base is not None and not self.cache.key_of_image(base.id)]
        layers = {diff_id for base in bases for diff_id in base.diff_ids}
        return committer.record(decode_config(cache_config(steps, layers, image.config.created or "")), "")

    def _trusted(self, sources: tuple[Image, ...]) -> frozenset[str]:
        trusted: set[str] = set()
        for source in sources:
            image: Image | None = source
            while image is not None and image.id not in trusted:
                trusted.add(image.id)
                known = image.parent and self.images.records.has(image.parent)
                image = self.images.records.get(image.parent) if known else None
        return frozenset(trusted)

    async def _squash(self, image: Image, workshop: Workshop, stage: int) -> Image:
        """The image with the last stage's layers as one."""
        base, committer = workshop.begun[stage], workshop.committer
        above = image.diff_ids[len(base.diff_ids) if base else 0 :]
        if len(above) < 2:
            return image
        layer = await away(
            lambda: merge_layers(workshop.snapshots, committer.hold, base.diff_ids if base else (), above)
        )
        config = squashed_config(image, base, layer, image.config.created or "")
        return committer.record(config, "")  # made of no image alone, as Docker has it


def plan_build(request: BuildRequest, context: str) -> Planned:
    """Read the Dockerfile and find out what is needed. Raises InvalidArgument for all that is wrong with it."""
    ignore = ignore_rules(context, request.dockerfile, own=request.left_out is not None)
    return plan_dockerfile(request, read_dockerfile(context, request.dockerfile), ignore)


def plan_dockerfile(request: BuildRequest, content: bytes, ignore: IgnoreRules | None) -> Planned:
    """The same of a Dockerfile whose content is known, and the rules of its ignore file."""
    dockerfile = parse(content, name=request.dockerfile)
    build = parse_platform("")
    target = parse_platform(request.platform)
    platforms = platform_arguments(target, build, target_stage=request.target)
    options = options_of(dockerfile, request.build_args)
    if options.error:
        refuse(check(dockerfile, build_args=request.build_args, platforms=platforms, options=options), options)
    scope = global_scope(dockerfile, request.build_args, platforms)
    graph = plan_stages(dockerfile, scope, request.target, replaced=request.contexts)
    return Planned(request, dockerfile, scope, graph, target, _epoch(request.build_args), platforms, ignore)


def _epoch(build_args: Mapping[str, str]) -> int | str | None:
    text = build_args.get(EPOCH, "")
    if text in {"", NOW}:
        return text or None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InvalidArgument(f"invalid {EPOCH}: {text!r}", remedy=f"give seconds since 1970, or {NOW!r}")
    return int(text)


def _instructions(planned: Planned, plan: StagePlan) -> tuple[Instruction, ...]:
    """A stage's instructions; the target gets the labels of the command line, a LABEL for each behind all others."""
    labels = planned.request.labels if plan is planned.graph.target else {}
    return (*plan.stage.instructions, *(_label(planned.dockerfile.name, key, labels[key]) for key in sorted(labels)))


def _label(file: str, key: str, value: str) -> Instruction:
    where = Position(file, 0, 0, 0, f"LABEL {key}={value}")
    return said.Label(where, (Pair(_single_quoted(key), _single_quoted(value)),))


def _single_quoted(text: str) -> str:
    """The word that expands to this text."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _uses(planned: Planned) -> ContextUses:
    stages = planned.graph.stages
    reading = sum(reads_context(one) for plan in stages for one in plan.stage.instructions)
    return ContextUses(reading + planned.request.keeps_context, len(stages))


def _tell_arguments(planned: Planned, total: int, tell: Tell) -> None:
    """The ARGs before the first FROM are steps that are over as soon as they begin, of no stage."""
    for number, arg in enumerate(planned.dockerfile.arguments, 1):
        begins = StepBegins(number, total, arg.position.text)
        tell(OfStage(-number, "", begins) if planned.request.events else begins)
        if planned.request.events:
            tell(OfStage(-number, "", StepEnds("")))


def _count(planned: Planned) -> int:
    steps = sum(1 + len(_instructions(planned, plan)) for plan in planned.graph.stages)
    return len(planned.dockerfile.arguments) + steps


def _unused(planned: Planned, scopes: Iterable[StageScope]) -> list[Note]:
    names = unused(planned.request.build_args, scopes, planned.scope)
    stages = {stage.name for stage in planned.dockerfile.stages}
    lost = [name for name in planned.request.no_cache_stages if name not in stages]
    notes = [Note(f"[Warning] One or more build-args [{' '.join(names)}] were not consumed")] if names else []
    return [*notes, *(Note(f"[Warning] no stage is called {name}, which is to be built anew") for name in lost)]


def _findings(planned: Planned, workshop: Workshop) -> list[Warned]:
    """What the build checks find."""
    bases = {plan.base: workshop.begun.get(plan.index) for plan in planned.graph.stages if plan.base_stage is None}
    known = {name: environment_of(image.defaults) for name, image in bases.items() if image is not None}
    found = check(
        planned.dockerfile,
        build_args=planned.request.build_args,
        platforms=planned.platforms,
        ignore=planned.ignore,
        environment_of=known.get,
    )
    return [
        Warned(one.rule, one.description, one.message, one.position.file, one.position.line, one.position.end_line)
        for one in found
    ]
