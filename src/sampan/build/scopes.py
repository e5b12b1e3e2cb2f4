"""Which variables a word sees: build arguments before the first FROM, those of a stage, ENV, and the predefined ones.

The rules are those of the Dockerfile reference ("Scope", "Using ARG variables", "Predefined ARGs", "Automatic platform
ARGs in the global scope"): what stands before the first FROM is seen by FROM lines alone, until a stage declares it;
a stage that is built FROM another inherits its arguments; ENV always hides an ARG of the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sampan.build.instructions import Arg, Dockerfile, Env, Position
from sampan.build.words import Expansion, expand_document, expansion
from sampan.errors import InvalidArgument

PROXIES = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
PLATFORM_ARGUMENTS = frozenset(
    side + part for side in ("TARGET", "BUILD") for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
) | {"TARGETSTAGE"}
_FOR_THE_BUILDER = frozenset({"SOURCE_DATE_EPOCH"})


def platform_arguments(
    target: tuple[str, str, str], build: tuple[str, str, str], *, target_stage: str
) -> dict[str, str]:
    """The automatic platform arguments; a platform is operating system, architecture and variant ("" for none)."""
    values = {"TARGETSTAGE": target_stage or "default"}
    for side, (system, architecture, variant) in (("TARGET", target), ("BUILD", build)):
        values |= {
            f"{side}PLATFORM": "/".join(part for part in (system, architecture, variant) if part),
            f"{side}OS": system,
            f"{side}OSVERSION": "",
            f"{side}ARCH": architecture,
            f"{side}VARIANT": variant,
        }
    return values


@dataclass(frozen=True, slots=True)
class GlobalScope:
    """What FROM lines see. `declared` are the ARGs before the first FROM, with or without a value."""

    values: Mapping[str, str]
    build_args: Mapping[str, str]
    declared: frozenset[str]
    escape: str

    def expand(self, word: str, where: Position) -> Expansion:
        """A word of a FROM line. Raises InvalidArgument with the position."""
        return _expanded(word, self.values, self.escape, where)

    def stage(self, environment: Mapping[str, str]) -> StageScope:
        """The scope of a stage that begins from an image with this environment."""
        return StageScope(self, dict(environment))


@dataclass(slots=True)
class StageScope:
    """What a stage's instructions see, at the point up to which it was told of ARG and ENV."""

    outer: GlobalScope
    environment: dict[str, str]
    arguments: dict[str, str] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)

    @property
    def variables(self) -> dict[str, str]:
        """All that a word sees, and what a RUN gets as its environment (beside the proxies)."""
        return {**self.arguments, **self.environment}

    @property
    def proxies(self) -> dict[str, str]:
        """Proxy settings given with --build-arg: a RUN gets them undeclared, and they are no part of the cache key."""
        given = {name: value for name, value in self.outer.build_args.items() if name in PROXIES}
        return {name: value for name, value in given.items() if name not in self.declared}

    def child(self) -> StageScope:
        """The scope of a stage that is built FROM this one."""
        return StageScope(self.outer, dict(self.environment), dict(self.arguments), set(self.declared))

    def declare(self, arg: Arg) -> tuple[tuple[str, str | None], ...]:
        """ARG: --build-arg, else the default, else the value from before the first FROM, else no value.

        Its names and defaults expanded, all by what was known before the line.
        """
        declared = self._expanded_arguments(arg)
        for name, default in declared:
            self.declared.add(name)
            if name in self.outer.build_args:
                self.arguments[name] = self.outer.build_args[name]
            elif default is not None:
                self.arguments[name] = default
            elif name in self.outer.values:
                self.arguments[name] = self.outer.values[name]
        return declared

    def _expanded_arguments(self, arg: Arg) -> tuple[tuple[str, str | None], ...]:
        return tuple(
            (
                self.expand(argument.name, arg.position),
                None if argument.value is None else self.expand(argument.value, arg.position),
            )
            for argument in arg.arguments
        )

    def set_environment(self, env: Env) -> tuple[tuple[str, str], ...]:
        """ENV: its pairs expanded, all by what was known before the line; they are known from here on."""
        variables = self.variables
        escape = self.outer.escape
        pairs = tuple(
            (
                _expanded(pair.key, variables, escape, env.position).text,
                _expanded(pair.value, variables, escape, env.position).text,
            )
            for pair in env.pairs
        )
        self.environment.update(pairs)
        return pairs

    def expand(self, word: str, where: Position) -> str:
        """One word with variables replaced and quotes removed. Raises InvalidArgument with the position."""
        return _expanded(word, self.variables, self.outer.escape, where).text

    def split(self, text: str, where: Position) -> tuple[str, ...]:
        """The words of a text after variables are replaced. Raises InvalidArgument with the position."""
        return _expanded(text, self.variables, self.outer.escape, where).words

    def expand_heredoc(self, text: str, where: Position) -> str:
        """A heredoc's content with variables replaced, quotes kept. Raises InvalidArgument with the position."""
        try:
            return expand_document(text, self.variables, escape=self.outer.escape)
        except InvalidArgument as error:
            raise where.refusal(error.sentence, remedy=error.remedy) from None


def global_scope(dockerfile: Dockerfile, build_args: Mapping[str, str], platforms: Mapping[str, str]) -> GlobalScope:
    """What FROM lines see: the ARGs before them, each by --build-arg or its default, and the platform arguments."""
    values = {name: build_args.get(name, value) for name, value in platforms.items()}
    declared: set[str] = set()
    for arg in dockerfile.arguments:
        for argument in arg.arguments:
            name = _expanded(argument.name, values, dockerfile.escape, arg.position).text
            declared.add(name)
            if name in build_args:
                values[name] = build_args[name]
            elif argument.value is not None:
                values[name] = _expanded(argument.value, values, dockerfile.escape, arg.position).text
    return GlobalScope(values, build_args, frozenset(declared), dockerfile.escape)


def unused(build_args: Iterable[str], scopes: Iterable[StageScope], outer: GlobalScope) -> tuple[str, ...]:
    """The names given with --build-arg that no ARG of the stages built declared, for a warning."""
    known = set(PROXIES | PLATFORM_ARGUMENTS | _FOR_THE_BUILDER | outer.declared)
    for scope in scopes:
        known |= scope.declared
    return tuple(sorted(name for name in build_args if name not in known and not name.startswith("BUILDKIT_")))


def _expanded(word: str, variables: Mapping[str, str], escape: str, where: Position) -> Expansion:
    try:
        return expansion(word, variables, escape=escape)
    except InvalidArgument as error:
        raise where.refusal(error.sentence, remedy=error.remedy) from None
