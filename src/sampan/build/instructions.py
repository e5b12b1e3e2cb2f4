"""What a Dockerfile says, as types: stages and instructions whose words are still unexpanded text.

The format is Docker's "Dockerfile reference" as of frontend 1.20. Here are values only: `parser` makes them, `words`
expands what is in them, `graph` and `builder` act on them, `lint` judges them. A word that may hold variables is kept
as written, quotes included, for `words.expand`; what Docker does not expand (commands, stage names, ports' ranges)
stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sampan.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands: lines and column count from 1; `text` is the instruction as one logical line.

    `comments` are those directly above, without their number signs.
    """

    file: str
    line: int
    end_line: int
    column: int
    text: str
    comments: tuple[str, ...] = ()

    def refusal(self, sentence: str, *, remedy: str) -> InvalidArgument:
        """The refusal of what stands here: file, line and text, and what would be right as the remedy."""
        text = self.text if len(self.text) <= 200 else self.text[:200] + "…"
        shown = f": {text!r}" if text and repr(text) not in sentence else ""
        return InvalidArgument(f"{self.file}:{self.line}: {sentence}{shown}", remedy=remedy)


@dataclass(frozen=True, slots=True)
class Directive:
    """A parser directive of the file's head: syntax, escape or check."""

    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Heredoc:
    """Text given in place (`<<NAME`): `content` as written; `expand` is false when a part of the name was quoted.

    With `strip_tabs` (`<<-NAME`) leading tabs are no part of it: `lines` is without them, `content` with.
    """

    name: str
    content: str
    expand: bool
    strip_tabs: bool
    descriptor: int

    @property
    def lines(self) -> str:
        """The content as it counts: without leading tabs where `<<-` was written."""
        if not self.strip_tabs:
            return self.content
        return "".join(line.lstrip("\t") for line in self.content.splitlines(keepends=True))


@dataclass(frozen=True, slots=True)
class ShellForm:
    """A command for the stage's shell, never expanded by the builder. Empty text means no command."""

    text: str


@dataclass(frozen=True, slots=True)
class ExecForm:
    """A command as a list (JSON form), executed as it is."""

    words: tuple[str, ...]


type Command = ShellForm | ExecForm


class MountType(StrEnum):
    """The kinds of RUN --mount."""

    BIND = "bind"
    CACHE = "cache"
    TMPFS = "tmpfs"
    SECRET = "secret"  # noqa: S105 (a kind of mount)
    SSH = "ssh"


class Sharing(StrEnum):
    """How builds that run at once share a cache mount."""

    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Mount:
    """One RUN --mount with every value expanded: made by `mounts.read_mount`. None and "" mean not given.

    `origin` is the stage, image or named context after from=; `size_bytes` 0 is no limit; `environment` is the variable
    that a secret is given in ("" means named like the secret).
    """

    type: MountType
    origin: str
    source: str
    target: str
    read_only: bool
    size_bytes: int
    id: str
    sharing: Sharing
    required: bool
    environment: str | None
    mode: int | None
    uid: int | None
    gid: int | None


@dataclass(frozen=True, slots=True)
class MountWord:
    """One RUN --mount as written; `origin` (from=) takes no variables and is known before anything is expanded."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Run:
    """RUN: a command executed in the stage, its result a layer. `network` is default, none, host or ""."""

    position: Position
    command: Command
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[MountWord, ...] = ()
    network: str = ""
    security: str = ""
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cmd:
    """CMD: the image's default command."""

    position: Position
    command: Command


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """ENTRYPOINT: what the command is given to."""

    position: Position
    command: Command


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY: files of the context, a stage, an image or a named context (`origin`); heredocs are files in place."""

    position: Position
    sources: tuple[str, ...]
    destination: str
    heredocs: tuple[Heredoc, ...] = ()
    origin: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Add:
    """ADD: COPY that also fetches URLs and git repositories and extracts archives. None: Docker's default applies."""

    position: Position
    sources: tuple[str, ...]
    destination: str
    heredocs: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and its value, both unexpanded; `legacy` when written as KEY VALUE without an equals sign."""

    key: str
    value: str
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Env:
    """ENV: variables of every later step and of the image. All values see the variables from before the line."""

    position: Position
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """LABEL: metadata of the image."""

    position: Position
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Argument:
    """One name that ARG declares; `value` is None without a default."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Arg:
    """ARG: build arguments, each seen by the ones behind it."""

    position: Position
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Expose:
    """EXPOSE: ports as written; after expansion each is PORT[-PORT][/PROTOCOL]."""

    position: Position
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume:
    """VOLUME: paths that become volumes."""

    position: Position
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User:
    """USER: name or number, with an optional group."""

    position: Position
    user: str


@dataclass(frozen=True, slots=True)
class Workdir:
    """WORKDIR: the working directory, relative to the former one; made when missing."""

    position: Position
    path: str


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """HEALTHCHECK: `command` None says NONE (switches an inherited one off). 0 means not given."""

    position: Position
    command: Command | None
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Onbuild:
    """ONBUILD: an instruction for the builds that start FROM this image; `text` is what the image's config keeps."""

    position: Position
    instruction: Instruction
    text: str


@dataclass(frozen=True, slots=True)
class Stopsignal:
    """STOPSIGNAL: the signal that asks the container to stop."""

    position: Position
    signal: str


@dataclass(frozen=True, slots=True)
class Shell:
    """SHELL: what runs the shell form of RUN, CMD and ENTRYPOINT."""

    position: Position
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Maintainer:
    """MAINTAINER, deprecated: the image's author."""

    position: Position
    name: str


type Instruction = (
    Run
    | Cmd
    | Entrypoint
    | Copy
    | Add
    | Env
    | Label
    | Arg
    | Expose
    | Volume
    | User
    | Workdir
    | Healthcheck
    | Onbuild
    | Stopsignal
    | Shell
    | Maintainer
)


@dataclass(frozen=True, slots=True)
class Stage:
    """FROM and what follows: `name` is lower case and "" without AS; `base` and `platform` are unexpanded words."""

    name: str
    base: str
    platform: str
    instructions: tuple[Instruction, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A whole file: `arguments` are the ARGs before the first FROM, seen by the FROM lines alone.

    `escape` is the escape character in force; `empty_continuations` are the lines of instructions with blank lines in
    their continuation, which Docker warns of.
    """

    name: str
    directives: tuple[Directive, ...]
    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    escape: str = "\\"
    empty_continuations: tuple[Position, ...] = ()

    def directive(self, name: str) -> str:
        """The value of a parser directive, "" when it is not there."""
        return next((directive.value for directive in self.directives if directive.name == name), "")
