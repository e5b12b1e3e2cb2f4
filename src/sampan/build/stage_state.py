"""How far a stage has come: its image, configuration and scope; and how a step becomes the next image.

Every step's result is an image with the one before as its parent, found again by the cache. All of it is called from
the event loop's thread; what is slow is done elsewhere and comes in as a layer.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from sampan.build.cache import BuildCache, key_of
from sampan.build.configuring import environment_of, shell_of
from sampan.build.progress import StepEnds, Tell, UsesCache
from sampan.build.scopes import GlobalScope, StageScope
from sampan.errors import InvalidArgument
from sampan.image.commit import EMPTY_LAYER
from sampan.image.images import Images
from sampan.image.import_rootfs import now
from sampan.image.layers import Hold
from sampan.image.listing import seconds_of
from sampan.image.records import Image
from sampan.oci.image_spec import (
    DEFAULT_PATH,
    LARGEST_CONFIG,
    ContainerDefaults,
    History,
    ImageConfig,
    RootFs,
    decode_config,
    encode,
)

NOWHERE = ""
EPOCH = "SOURCE_DATE_EPOCH"
NOW = "now"  # its value for images that say when they were built
_PATH = f"PATH={DEFAULT_PATH}"
EARLIEST_S = 315_532_800  # 1980, before which neither zip archives nor FAT know a time


@dataclass(slots=True)
class Uses:
    """The images that one build goes on from; `counts` are those of all builds, which keep them from being removed."""

    counts: Counter[str]
    _mine: list[str] = field(default_factory=list)

    def take(self, image_id: str) -> None:
        """One more."""
        self.counts[image_id] += 1
        self._mine.append(image_id)

    def all(self) -> tuple[str, ...]:
        """All of them, each once, in the order in which they came."""
        return tuple(dict.fromkeys(self._mine))

    def release(self) -> None:
        """All of them, when the build has ended."""
        for image_id in self._mine:
            self.counts[image_id] -= 1
            if not self.counts[image_id]:
                del self.counts[image_id]
        self._mine.clear()


@dataclass(slots=True)
class StageState:
    """What a stage is at one moment; `image` is None as long as it is nothing at all (scratch)."""

    image: Image | None
    config: ImageConfig
    scope: StageScope
    command_set: bool = False
    pending: tuple[str, ...] = ()  # ONBUILD triggers of the base, to be carried out

    @property
    def defaults(self) -> ContainerDefaults:
        """What a container of it does."""
        return self.config.config or ContainerDefaults()

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Its layers, lowest first."""
        return self.config.rootfs.diff_ids or ()

    @property
    def image_id(self) -> str:
        """The image's id; "" for scratch."""
        return self.image.id if self.image else NOWHERE


def begin(image: Image | None, scope: GlobalScope, platform: tuple[str, str, str]) -> StageState:
    """The state at the beginning of a stage: its triggers are taken out of the configuration, a PATH is in it."""
    if image is None:
        os_name, architecture, variant = platform
        defaults = ContainerDefaults(env=(_PATH,))
        config = ImageConfig(os=os_name, architecture=architecture, variant=variant, config=defaults, rootfs=RootFs())
        return StageState(None, config, scope.stage(environment_of(defaults)))
    defaults = image.defaults
    triggers = defaults.on_build or ()
    if triggers:
        defaults = msgspec.structs.replace(defaults, on_build=None)
    if "PATH" not in environment_of(defaults):
        defaults = msgspec.structs.replace(defaults, env=(*(defaults.env or ()), _PATH))
    # whoever wrote the base is in its history
    config = msgspec.structs.replace(image.config, config=defaults, author="")
    return StageState(image, config, scope.stage(environment_of(defaults)), pending=triggers)


@dataclass(frozen=True, slots=True)
class Committer:
    """Makes the images of steps; `epoch` is SOURCE_DATE_EPOCH as it was given: seconds, or `NOW`."""

    images: Images
    cache: BuildCache
    hold: Hold
    uses: Uses
    epoch: int | str | None = None

    def use(self, image: Image) -> None:
        """Keep an image and its layers while the build goes on."""
        self.uses.take(image.id)
        for diff_id in image.diff_ids:
            self.hold.take(diff_id)

    def key(self, state: StageState, comment: str, after: ContainerDefaults, *inputs: str) -> str:
        """The key of a step that goes on from exactly this image."""
        configs = (encode(state.config), msgspec.json.encode(after))
        return key_of("image", state.image_id, *configs, comment, str(self.epoch), *inputs)

    def layer_key(self, state: StageState, comment: str, *inputs: str) -> str:
        """The key of a step by what it can see: layers and configuration."""
        platform = f"{state.config.os}/{state.config.architecture}/{state.config.variant}"
        configuration = msgspec.json.encode(state.defaults)
        return key_of("layer", platform, configuration, *state.diff_ids, comment, str(self.epoch), *inputs)

    def latest_s(self, state: StageState, newest_s: int = 0) -> int | None:
        """The latest time that a step's files may have; None is no bound.

        That of the image it goes on from, or of what it copies (`newest_s`) when that is newer: so the same inputs
        give the same image, and nothing is older than what it was made of.
        """
        if isinstance(self.epoch, str):
            return None
        if self.epoch is not None:
            return self.epoch
        return max(EARLIEST_S, math.ceil(seconds_of(state.config.created or "")), newest_s)

    def created(self, state: StageState, newest_s: int = 0) -> str:
        """The time that an image and its history get."""
        latest_s = self.latest_s(state, newest_s)
        return now() if latest_s is None else datetime.fromtimestamp(latest_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def step_of(self, source: Image, state: StageState, command: str, after: ContainerDefaults) -> Image | None:
        """The step as an image made elsewhere has it: the same beginning, then the same command."""
        past, steps = state.config.history or (), source.config.history or ()
        if len(steps) <= len(past) or source.diff_ids[: len(state.diff_ids)] != state.diff_ids:
            return None
        same = all(
            (a.created_by, a.empty_layer) == (b.created_by, b.empty_layer) for a, b in zip(past, steps, strict=False)
        )
        step = steps[len(past)]
        if not same or step.created_by != command or not past:
            return None
        diff_id = EMPTY_LAYER if step.empty_layer else source.diff_ids[len(state.diff_ids)]
        created = step.created or self.created(state)
        config = child(state.config, command, after, diff_id, created, author=step.author)
        return self.record(config, state.image_id)

    def adopt(self, state: StageState, key: str, document: bytes) -> Image | None:
        """The image of a step whose configuration came with a cache; None when it does not go on from here."""
        try:
            config = decode_config(document)
        except InvalidArgument:
            return None
        diff_ids, past = config.rootfs.diff_ids or (), len(state.config.history or ())
        goes_on = diff_ids[: len(state.diff_ids)] == state.diff_ids and len(config.history or ()) == past + 1
        if not goes_on or not all(self.images.layers.has(diff_id) for diff_id in diff_ids):
            return None
        image = self.record(config, state.image_id)
        self.cache.remember_image(key, image.id)
        return image

    def record(self, config: ImageConfig, parent: str) -> Image:
        """The image of a config; when it was made is kept beside it, unless the config says it or is to say another."""
        made_s = time.time() if self.epoch is None else None
        document = encode(config)
        if len(document) > LARGEST_CONFIG:
            raise InvalidArgument(
                f"the image's configuration has {len(document)} bytes, no image may have more than {LARGEST_CONFIG}",
                remedy="shorten its variables, labels and instructions: it could not be pulled or loaded anywhere",
            )
        return self.images.record(document, parent=parent, made_s=made_s)

    def take_cached(self, state: StageState, image: Image, tell: Tell) -> None:
        """Go on from an image that was made before."""
        self.use(image)
        tell(UsesCache())
        state.image, state.config = image, image.config
        tell(StepEnds(image.id))

    def commit(
        self,
        state: StageState,
        key: str,
        command: str,
        after: ContainerDefaults,
        *,
        diff_id: str = EMPTY_LAYER,
        author: str | None = None,
        newest_s: int = 0,
    ) -> None:
        """Go on from a new image: one layer more (unless it is empty), another configuration, a line of history."""
        config = child(state.config, command, after, diff_id, self.created(state, newest_s), author=author)
        image = self.record(config, state.image_id)
        self.cache.remember_image(key, image.id)
        self.uses.take(image.id)
        state.image, state.config = image, config


def child(
    parent: ImageConfig,
    command: str,
    after: ContainerDefaults,
    diff_id: str,
    created: str,
    *,
    author: str | None = None,
) -> ImageConfig:
    """The configuration document of the image after a step."""
    is_empty = diff_id == EMPTY_LAYER
    writer = parent.author if author is None else author
    step = History(created=created, created_by=command, author=writer, empty_layer=is_empty)
    diff_ids = parent.rootfs.diff_ids or ()
    return msgspec.structs.replace(
        parent,
        created=created,
        author=writer,
        config=after,
        rootfs=RootFs(diff_ids=diff_ids if is_empty else (*diff_ids, diff_id)),
        history=(*(parent.history or ()), step),
    )


def nop(defaults: ContainerDefaults, comment: str, *, apart: bool) -> str:
    """What history says of a step that ran no command, in the words of Docker's builder.

    With `apart` the remark is a word of its own there, which shows as a second space.
    """
    return " ".join((*shell_of(defaults), "#(nop) " + (" " if apart else "") + comment))
