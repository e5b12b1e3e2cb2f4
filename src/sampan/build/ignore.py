"""What .dockerignore keeps out of a build context: Go's filepath.Match, `**`, and exceptions with `!`.

Docker's rules (Dockerfile reference, ".dockerignore file"): the last pattern that matches a path or one of the
directories above it decides. Which files there are is `context`'s and the command line's matter; COPY --exclude uses
the same patterns. What a pattern matches is `ignore_patterns`'.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from sampan.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_MOST_KNOWN = 100_000


@dataclass(frozen=True, slots=True)
class _Rule:
    text: str
    keeps: bool
    expression: re.Pattern[str]


class IgnoreRules:
    """The patterns of one ignore file, in order."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile the patterns; empty ones and spaces around them don't count. Raises InvalidArgument."""
        self._rules = [_rule(text) for text in patterns if text.strip()]
        self._known: dict[str, int] = {"": 0}
        self.keeps_some = any(rule.keeps for rule in self._rules)

    def __bool__(self) -> bool:
        """Whether there are any rules."""
        return bool(self._rules)

    @property
    def patterns(self) -> frozenset[str]:
        """The patterns that keep something out, cleaned."""
        return frozenset(rule.text for rule in self._rules if not rule.keeps)

    @property
    def lines(self) -> tuple[str, ...]:
        """All patterns in order, cleaned, as another matcher of such rules is told them."""
        return tuple(f"!{rule.text}" if rule.keeps else rule.text for rule in self._rules)

    def excludes(self, path: str) -> bool:
        """Whether the path, relative to the context and with slashes, stays out."""
        return self._decide(self._matches(path.strip("/")))

    def skips(self, directory: str) -> bool:
        """Whether all below this directory stays out, so that nobody needs to look into it."""
        path = directory.strip("/")
        if not self.excludes(path):
            return False
        from sampan.build.ignore_patterns import may_match_below

        names = path.split("/")
        return not any(rule.keeps and may_match_below(rule.text, names) for rule in self._rules)

    def with_kept(self, paths: Iterable[str]) -> IgnoreRules:
        """These rules, with the given paths kept whatever the rules say."""
        rules = IgnoreRules(())
        rules._rules = [*self._rules, *(_rule("!" + _literal(path)) for path in paths)]
        rules.keeps_some = True
        return rules

    def _matches(self, path: str) -> int:
        """One bit a rule: whether it matches the path or a directory above it."""
        known = self._known.get(path)
        if known is not None:
            return known
        if len(self._known) > _MOST_KNOWN:
            self._known = {"": 0}
        above = ""
        for name in path.split("/"):
            below = f"{above}/{name}" if above else name
            if below not in self._known:
                self._known[below] = self._with_own(below, self._known[above])
            above = below
        return self._known[above]

    def _with_own(self, path: str, bits: int) -> int:
        """The bits of the directory above with those of the rules that match the path itself.

        A rule that could not change anything is not asked, as in Docker: an exception for a directory that was never
        kept out does not keep what another rule takes out below it.
        """
        excluded = False
        for index, rule in enumerate(self._rules):
            matches = bool(bits >> index & 1)
            if not matches and rule.keeps == excluded:
                matches = rule.expression.fullmatch(path) is not None
                bits |= matches << index
            if matches:
                excluded = not rule.keeps
        return bits

    def _decide(self, bits: int) -> bool:
        excluded = False
        for index, rule in enumerate(self._rules):
            if bits >> index & 1:
                excluded = not rule.keeps
        return excluded


def read_ignore_file(data: bytes) -> IgnoreRules:
    """The rules of an ignore file: a pattern a line, comments with `#`, a slash in front means nothing.

    Raises InvalidArgument for a pattern that is none.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
    return IgnoreRules(line for line in text.split("\n") if not line.startswith("#"))


def _literal(path: str) -> str:
    return path.translate({ord(character): f"\\{character}" for character in "*?[]\\"})


def _rule(text: str) -> _Rule:
    from sampan.build.ignore_patterns import BadPattern, compiled  # late: it costs 5 ms

    pattern = text.strip()
    keeps = pattern.startswith("!")
    if keeps:
        pattern = pattern[1:].strip()
        if not pattern:
            raise InvalidArgument("an ignore pattern of '!' alone", remedy="write !PATH to keep a path")
    cleaned = posixpath.normpath(pattern).lstrip("/")
    try:
        return _Rule(cleaned, keeps, compiled(cleaned))
    except BadPattern as error:
        raise InvalidArgument(f"{text.strip()!r} is no ignore pattern: {error}", remedy=error.remedy) from None
