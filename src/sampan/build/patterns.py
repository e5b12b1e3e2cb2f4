"""Shell patterns in variable substitutions (`${x#pattern}`, `${x%pattern}`, `${x/pattern/word}`), in linear time.

A pattern has `*` (any run of characters), `?` (any one) and backslash escapes, but no brackets (Dockerfile reference,
environment replacement). Neither wildcard crosses a line end. Every state of the match is one bit of an integer, so
that no pattern however odd takes more than one step a character; `re` would backtrack.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

LONGEST_PATTERN = 4096


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern: bit i of a state means that the first i items are matched; stars add loops."""

    final: int
    literals: dict[str, int]
    any_one: int
    loops: int
    _start: int = field(default=1)

    def _close(self, state: int) -> int:
        """The state with every star also passed over: a carry runs through neighbouring stars."""
        passed = state & self.loops
        while passed:
            passed = (passed << 1) & ~state
            state |= passed
            passed &= self.loops
        return state

    def _step(self, state: int, character: str) -> int:
        matched = self.literals.get(character, 0)
        if character == "\n":
            return self._close((state & matched) << 1)
        return self._close(((state & (matched | self.any_one)) << 1) | (state & self.loops))

    def ends(self, text: str, *, longest: bool, start: int = 0) -> int:
        """Where the shortest or longest match from `start` ends, -1 when there is none."""
        state = self._close(self._start)
        found = start if state & self.final else -1
        if found >= 0 and not longest:
            return found
        for index in range(start, len(text)):
            state = self._step(state, text[index])
            if not state:
                break
            if state & self.final:
                found = index + 1
                if not longest:
                    break
        return found

    def marks(self, text: Iterable[str]) -> list[int]:
        """After how many characters some match ends, wherever it began; 0 is among them for a match of nothing."""
        begin = self._close(self._start)
        state = begin
        found = [0] if state & self.final else []
        for count, character in enumerate(text, start=1):
            state = self._step(state, character) | begin
            if state & self.final:
                found.append(count)
        return found


def items_of(pattern: str) -> list[str]:
    r"""The pattern's items: "*" and "?" are the wildcards, "\x" any literal x. Raises ValueError for a bad escape."""
    items: list[str] = []
    index = 0
    while index < len(pattern):
        character = pattern[index]
        index += 1
        if character == "\\":
            escaped = pattern[index : index + 1]
            index += 1
            if escaped not in {"*", "?", "\\", "}", "/"} or not escaped:
                raise ValueError(f"a backslash in a pattern stands before *, ?, \\, }} or / only, not {escaped!r}")
            items.append("\\" + escaped)
        elif character in "*?":
            items.append(character)
        else:
            items.append("\\" + character)
    return items


def compile_items(items: list[str]) -> Pattern:
    """The automaton of these items. Raises ValueError when there are too many."""
    if len(items) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters")
    literals: dict[str, int] = {}
    any_one = loops = 0
    for index, item in enumerate(items):
        bit = 1 << index
        if item == "*":
            loops |= bit
        elif item == "?":
            any_one |= bit
        else:
            literals[item[1]] = literals.get(item[1], 0) | bit
    return Pattern(1 << len(items), literals, any_one, loops)


def without_prefix(value: str, pattern: str, *, longest: bool) -> str:
    """The value without the shortest or longest prefix that matches. Raises ValueError."""
    end = compile_items(items_of(pattern)).ends(value, longest=longest)
    return value if end < 0 else value[end:]


def without_suffix(value: str, pattern: str, *, longest: bool) -> str:
    """The value without the shortest or longest suffix that matches. Raises ValueError."""
    backwards = compile_items(items_of(pattern)[::-1])
    end = backwards.ends(value[::-1], longest=longest)
    return value if end <= 0 else value[: len(value) - end]


def replaced(value: str, pattern: str, replacement: str, *, every: bool) -> str:
    """The value with the first or every match replaced; matches are the leftmost and longest. Raises ValueError."""
    items = items_of(pattern)
    forwards = compile_items(items)
    starts = sorted(len(value) - count for count in compile_items(items[::-1]).marks(reversed(value)))
    parts: list[str] = []
    done = 0
    last_end = -1
    for start in starts:
        if start < done:
            continue
        end = forwards.ends(value, longest=True, start=start)
        if end == start == last_end:
            continue  # nothing right behind a match is no match of its own
        parts += (value[done:start], replacement)
        done = last_end = end
        if not every:
            break
    return "".join((*parts, value[done:]))
