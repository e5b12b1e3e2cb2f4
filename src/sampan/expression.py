"""Regular expressions of users, matched in a time that grows with the text and not with what is written in them.

Python's `re` goes back and tries again, which lets a pattern like `(a+)+$` stop the daemon. Here all ways through an
expression are followed at once (Thompson, 1968), as Go's regexp does, whose syntax this is: what has no back
references can be had so. No names of groups, no Unicode classes, no word boundaries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sampan.errors import InvalidArgument

MOST_CHARACTERS = 1000
MOST_STEPS = 10_000  # of the program that an expression becomes: `{1000}` repeats what stands before it
_MOST_DEPTH = 100
_MOST_REPEATS = 1000

type _Test = Callable[[str], bool]


@dataclass(slots=True)
class _Step:
    """One step: a character that fits `test`, or an assertion, or nothing; then on to each of `after`."""

    test: _Test | None = None
    assertion: str = ""  # "^" or "$"
    after: tuple[int, ...] = ()


def _is_digit(character: str) -> bool:
    return "0" <= character <= "9"


def _is_word(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalnum())


def _is_space(character: str) -> bool:
    return character in "\t\n\f\r "


_CLASSES: dict[str, _Test] = {"d": _is_digit, "w": _is_word, "s": _is_space}
_POSIX: dict[str, _Test] = {
    "alnum": lambda c: c.isascii() and c.isalnum(),
    "alpha": lambda c: c.isascii() and c.isalpha(),
    "digit": _is_digit,
    "lower": lambda c: "a" <= c <= "z",
    "punct": lambda c: c.isascii() and c.isprintable() and not c.isalnum() and c != " ",
    "space": lambda c: _is_space(c) or c == "\v",
    "upper": lambda c: "A" <= c <= "Z",
    "word": _is_word,
    "xdigit": lambda c: c in "0123456789abcdefABCDEF",
}
_ESCAPES = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Expression:
    """A compiled expression. Raises InvalidArgument for what is none, or is too large."""

    def __init__(self, text: str) -> None:
        if len(text) > MOST_CHARACTERS:
            raise InvalidArgument(
                f"error parsing regexp: expression too large: `{text[:20]}…`",
                remedy=f"at most {MOST_CHARACTERS} characters",
            )
        self._steps = [_Step()]  # the first is the end: the program is built from its end to its beginning
        self._start = _Parser(text, self._steps).parse()

    def search(self, text: str) -> bool:
        """Whether it fits anywhere in the text."""
        return self._run(text, anywhere=True)

    def fullmatch(self, text: str) -> bool:
        """Whether it fits the whole text."""
        return self._run(text, anywhere=False)

    def _run(self, text: str, *, anywhere: bool) -> bool:
        now: set[int] = set()
        self._enter(self._start, now, 0, len(text))
        for position, character in enumerate(text, 1):
            if anywhere and 0 in now:
                return True
            following: set[int] = set()
            for number in now:
                step = self._steps[number]
                if step.test is not None and step.test(character):
                    for target in step.after:
                        self._enter(target, following, position, len(text))
            if anywhere:
                self._enter(self._start, following, position, len(text))
            now = following
        return 0 in now

    def _enter(self, number: int, reached: set[int], position: int, end: int) -> None:
        """Add a step and all that can be reached from it without a character."""
        waiting = [number]
        while waiting:
            number = waiting.pop()
            if number in reached:
                continue
            step = self._steps[number]
            if (step.assertion == "^" and position) or (step.assertion == "$" and position != end):
                continue
            reached.add(number)
            if step.test is None:
                waiting.extend(step.after)


expression = lru_cache(maxsize=64)(Expression)  # a list asks with the same one for each of its lines

type _Part = Callable[[int], int]  # given the step that follows, makes the part and gives its first step


class _Parser:
    """From a text to steps: parts are functions of what follows them, so that a repeat can make a part many times."""

    def __init__(self, text: str, steps: list[_Step]) -> None:
        self._text = text
        self._at = 0
        self._steps = steps
        self._depth = 0
        self._ignores_case = False

    def parse(self) -> int:
        part = self._choice()
        if self._at < len(self._text):
            raise self._refusal("unexpected )")
        return part(0)

    def _refusal(self, why: str) -> InvalidArgument:
        return InvalidArgument(
            f"error parsing regexp: {why}: `{self._text}`", remedy="the syntax is that of Go's regexp, or of grep -E"
        )

    def _add(self, step: _Step) -> int:
        if len(self._steps) >= MOST_STEPS:
            raise self._refusal("expression too large")
        self._steps.append(step)
        return len(self._steps) - 1

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _choice(self) -> _Part:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise self._refusal("expression nests too deeply")
        ways = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            ways.append(self._sequence())
        self._depth -= 1
        if len(ways) == 1:
            return ways[0]
        return lambda after: self._add(_Step(after=tuple(way(after) for way in ways)))

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while self._peek() not in {"", "|", ")"}:
            parts.append(self._repeated(self._atom()))

        def make(after: int) -> int:
            for part in reversed(parts):
                after = part(after)
            return after

        return make

    def _atom(self) -> _Part:
        match character := self._next():
            case "(":
                return self._group()
            case "[":
                return self._one(self._class())
            case ".":
                return self._one(lambda c: c != "\n")
            case "^" | "$":
                return lambda after: self._add(_Step(assertion=character, after=(after,)))
            case "*" | "+" | "?":
                raise self._refusal(f"missing argument to repetition operator: `{character}`")
            case "\\":
                return self._escape()
            case _:
                return self._one(self._literal(character))

    def _one(self, test: _Test) -> _Part:
        return lambda after: self._add(_Step(test=test, after=(after,)))

    def _literal(self, character: str) -> _Test:
        if self._ignores_case:
            return lambda c: c.casefold() == character.casefold()
        return lambda c: c == character

    def _group(self) -> _Part:
        if self._peek() == "?":
            end = self._text.find(":", self._at)
            flags = self._text[self._at + 1 : end if end > 0 else len(self._text)]
            if flags.startswith("i)"):
                self._at += 3
                self._ignores_case = True
                return lambda after: after
            if flags not in {"", "i"}:
                raise self._refusal("invalid or unsupported Perl syntax")
            before, self._ignores_case = self._ignores_case, self._ignores_case or flags == "i"
            self._at = end + 1
            part = self._choice()
            self._ignores_case = before
        else:
            part = self._choice()
        if self._next() != ")":
            raise self._refusal("missing closing )")
        return part

    def _escape(self) -> _Part:
        character = self._next()
        if character in {"A", "z"}:
            return lambda after: self._add(_Step(assertion="^" if character == "A" else "$", after=(after,)))
        return self._one(self._escaped(character))

    def _escaped(self, character: str) -> _Test:
        if character in _CLASSES:
            return _CLASSES[character]
        if character.lower() in _CLASSES:
            test = _CLASSES[character.lower()]
            return lambda c: not test(c)
        if character in _ESCAPES:
            return self._literal(_ESCAPES[character])
        if not character:
            raise self._refusal("trailing backslash at end of expression")
        if character.isalnum():
            raise self._refusal(f"invalid escape sequence: `\\{character}`")
        return self._literal(character)

    def _class(self) -> _Test:
        negated = self._peek() == "^"
        self._at += negated
        tests: list[_Test] = []
        while self._peek() != "]" or not tests:
            if not self._peek():
                raise self._refusal("missing closing ]")
            tests.append(self._class_item())
        self._at += 1
        return lambda c: any(test(c) for test in tests) is not negated

    def _class_item(self) -> _Test:
        if self._text.startswith("[:", self._at):
            end = self._text.find(":]", self._at)
            name = self._text[self._at + 2 : end] if end > 0 else ""
            if name not in _POSIX:
                raise self._refusal("invalid character class range")
            self._at = end + 2
            return _POSIX[name]
        first = self._next()
        if first == "\\":
            escape = self._next()
            if escape.lower() in _CLASSES:
                return self._escaped(escape)
            first = _ESCAPES.get(escape, escape)
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in {"", "]"}:
            return self._literal(first)
        self._at += 1
        last = self._next()
        if last == "\\":
            last = self._next()
        if last < first:
            raise self._refusal(f"invalid character class range: `{first}-{last}`")
        if self._ignores_case:
            return lambda c: first <= c.lower() <= last or first <= c.upper() <= last
        return lambda c: first <= c <= last

    def _repeated(self, part: _Part) -> _Part:
        while True:
            match self._peek():
                case "*":
                    low, high = 0, -1
                case "+":
                    low, high = 1, -1
                case "?":
                    low, high = 0, 1
                case "{" if (bounds := self._bounds()) is not None:
                    low, high = bounds
                case _:
                    return part
            self._at += 1
            if self._peek() == "?":  # not greedy: which of the ways comes first makes no difference here
                self._at += 1
            part = self._times(part, low, high)

    def _bounds(self) -> tuple[int, int] | None:
        """The numbers of `{2,5}`, up to its closing brace; None when it is a brace like any other."""
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at + 1 : end].partition(",") if end > 0 else ("", "", "")
        if not (low.isdecimal() and low.isascii() and (not high or (high.isdecimal() and high.isascii()))):
            return None
        least, most = int(low[:5]), -1 if comma and not high else int((high or low)[:5])
        if max(least, most) > _MOST_REPEATS or -1 < most < least:
            raise self._refusal("invalid repeat count")
        self._at = end
        return least, most

    def _times(self, part: _Part, low: int, high: int) -> _Part:
        def make(after: int) -> int:
            if high < 0:
                loop = self._add(_Step())
                self._steps[loop].after = (part(loop), after)
                after = loop
            for _ in range(high - low):
                after = self._add(_Step(after=(part(after), after)))
            for _ in range(low):
                after = part(after)
            return after

        return make
