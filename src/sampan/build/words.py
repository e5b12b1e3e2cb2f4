"""Words of a Dockerfile: quotes, escapes and variables, expanded as its reference says (environment replacement).

Pure text work: what the variables are (ARG scopes, ENV, platforms) is `scopes`' matter, what a word means is the
instruction's. Expansion is linear in its input and its result is bounded, so that no Dockerfile can make the builder
slow or big; `words` never reads a variable's value again for variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sampan.build import patterns
from sampan.errors import InvalidArgument

LONGEST_WORD = 1 << 20
LONGEST_DOCUMENT = 16 << 20
DEEPEST_SUBSTITUTION = 64
_SPECIAL = "@*#?-$!0"
_MODIFIERS = "'${name:-word}', ':+', ':?', '-', '+', '?', '#', '##', '%', '%%', '/' and '//' are what there is"


@dataclass(frozen=True, slots=True)
class Expansion:
    """A word expanded: its text, its parts when split at unquoted spaces, and the names looked up and found or not."""

    text: str
    words: tuple[str, ...]
    found: frozenset[str]
    missing: frozenset[str]


def expand(word: str, variables: Mapping[str, str], *, escape: str = "\\") -> str:
    """The word with variables replaced, quotes and escapes removed; spaces stay. Raises InvalidArgument."""
    return expansion(word, variables, escape=escape).text


def split_words(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> tuple[str, ...]:
    """The words of the text, split at unquoted white space after variables are replaced. Raises InvalidArgument."""
    return expansion(text, variables, escape=escape).words


def expand_document(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> str:
    """The text of a heredoc with variables and escapes replaced; quotes are part of it. Raises InvalidArgument."""
    reader = _Reader(text, variables, escape, quotes=False, limit=LONGEST_DOCUMENT)
    return reader.all().text


def names_in_document(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> frozenset[str]:
    """The names that a heredoc asks for and that are not set; none when it cannot be expanded."""
    try:
        return _Reader(text, variables, escape, quotes=False, limit=LONGEST_DOCUMENT).all().missing
    except InvalidArgument:
        return frozenset()


def expansion(word: str, variables: Mapping[str, str], *, escape: str = "\\") -> Expansion:
    """`expand` and `split_words` at once, with the names that were asked for. Raises InvalidArgument."""
    return _Reader(word, variables, escape, quotes=True, limit=LONGEST_WORD).all()


def cut_words(text: str, *, escape: str = "\\") -> tuple[str, ...]:
    """The text cut at unquoted white space, quotes and escapes left in place for `expand`.

    What a quote opens ends at the end of the text at the latest; an escape at the very end falls away.
    """
    words: list[str] = []
    word: list[str] = []
    index, quote, inside = 0, "", False
    while index < len(text):
        character = text[index]
        index += 1
        if character == escape and quote != "'":
            if index < len(text):
                word += (character, text[index])
                inside = True
                index += 1
            continue
        if not quote and character.isspace():
            if inside:
                words.append("".join(word))
            word, inside = [], False
            continue
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        word.append(character)
        inside = True
    if inside:
        words.append("".join(word))
    return tuple(words)


def leaves_quote_open(word: str, *, escape: str = "\\") -> bool:
    """Whether a quote of the word is not closed in it."""
    quote, index = "", 0
    while index < len(word):
        character = word[index]
        index += 1 + (character == escape and quote != "'")
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
    return bool(quote)


@dataclass(slots=True)
class _Text:
    """What was read: the whole text, and the same split into words."""

    limit: int
    text: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    word: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, text: str) -> None:
        """Text that never separates words."""
        self.text.append(text)
        self.word.append(text)
        self.size += len(text)
        if self.size > self.limit:
            raise InvalidArgument(
                f"a word with its variables replaced is longer than {self.limit} characters",
                remedy="look for variables that are made of each other; put long text into a file and COPY it",
            )

    def add_loose(self, text: str) -> None:
        """Unquoted text, whose white space separates words."""
        if not any(character.isspace() for character in text):
            self.add(text)
            return
        word = self.word
        self.word = []
        self.add(text)
        self.word = word
        for character in text:
            if character.isspace():
                self.end_word()
            else:
                self.word.append(character)

    def end_word(self) -> None:
        word = "".join(self.word)
        if word:
            self.words.append(word)
        self.word = []


class _Reader:
    """One pass over a word."""

    def __init__(self, source: str, variables: Mapping[str, str], escape: str, *, quotes: bool, limit: int) -> None:
        self.source = source
        self.variables = variables
        self.escape = escape
        self.quotes = quotes
        self.limit = limit
        self.index = 0
        self.depth = 0
        self.found: set[str] = set()
        self.missing: set[str] = set()

    def all(self) -> Expansion:
        read = self._until("", raw=False)
        read.end_word()
        return Expansion("".join(read.text), tuple(read.words), frozenset(self.found), frozenset(self.missing))

    def _peek(self) -> str:
        return self.source[self.index : self.index + 1]

    def _next(self) -> str:
        character = self._peek()
        self.index += 1
        return character

    def _bad(self, sentence: str, remedy: str) -> InvalidArgument:
        shown = self.source if len(self.source) <= 200 else self.source[:200] + "…"
        return InvalidArgument(f"{sentence} in {shown!r}", remedy=remedy)

    def _until(self, stop: str, *, raw: bool) -> _Text:
        """What stands before `stop` ("" is the end); with `raw` escapes stay, for patterns."""
        read = _Text(self.limit)
        while True:
            character = self._next()
            if not character:
                break
            if character == stop:
                return read
            if character == "$":
                read.add_loose(self._variable())
            elif self.quotes and character == "'":
                read.add(self._single_quoted())
            elif self.quotes and character == '"':
                read.add(self._double_quoted(raw=raw))
            elif character == self.escape:
                escaped = self._next()
                read.add((character if raw else "") + escaped)
            else:
                read.add_loose(character)
        if stop:
            raise self._bad(f"a substitution without its {stop!r}", "write it as ${name} or ${name:-word}")
        return read

    def _single_quoted(self) -> str:
        end = self.source.find("'", self.index)
        if end < 0:
            raise self._bad("a single quote that is not closed", "close it, or write an escape before it")
        text = self.source[self.index : end]
        self.index = end + 1
        return text

    def _double_quoted(self, *, raw: bool) -> str:
        text = _Text(self.limit)
        while True:
            character = self._next()
            if not character:
                raise self._bad("a double quote that is not closed", "close it, or write an escape before it")
            if character == '"':
                return "".join(text.text)
            if character == "$":
                text.add(self._variable())
            elif character == self.escape:
                if raw:
                    text.add(character)
                if not self._peek():
                    continue
                if self._peek() in ('"', "$", self.escape):
                    character = self._next()
                elif raw:
                    continue
                text.add(character)
            else:
                text.add(character)

    def _name(self) -> str:
        """A variable's name: letters, digits and _; or digits alone; or one of the shell's special parameters."""
        start = self.index
        first = self._peek()
        if first.isdigit():
            while self._peek().isdigit():
                self.index += 1
        elif first and first in _SPECIAL:
            self.index += 1
        else:
            while self._peek().isalnum() or self._peek() == "_":
                self.index += 1
        return self.source[start : self.index]

    def _value(self, name: str) -> str | None:
        value = self.variables.get(name)
        (self.missing if value is None else self.found).add(name)
        return value

    def _variable(self) -> str:
        """What stands behind a dollar sign. A name that is not set is empty."""
        if self._peek() != "{":
            name = self._name()
            return (self._value(name) or "") if name else "$"
        self.index += 1
        self.depth += 1
        if self.depth > DEEPEST_SUBSTITUTION:
            raise self._bad(
                f"substitutions more than {DEEPEST_SUBSTITUTION} deep", "give the inner ones names of their own by ARG"
            )
        text = self._braced()
        self.depth -= 1
        return text

    def _braced(self) -> str:
        if self._peek() in ("{", "}", ":"):
            raise self._bad("a substitution without a name", "write it as ${name}, or escape the dollar sign")
        name = self._name()
        modifier = self._next()
        if modifier == "}":
            return self._value(name) or ""
        if not modifier:
            raise self._bad("a substitution without its '}'", "write it as ${name}")
        if modifier == "/":
            return self._replaced(name)
        if modifier in "#%":
            return self._trimmed(name, modifier)
        colon = modifier == ":"
        if colon:
            modifier = self._next()
        if not modifier or modifier not in "-+?":
            raise self._bad(f"a substitution with the unknown modifier {':' * colon + modifier!r}", _MODIFIERS)
        return self._conditional(name, modifier, empty_counts=not colon)

    def _conditional(self, name: str, modifier: str, *, empty_counts: bool) -> str:
        word = "".join(self._until("}", raw=False).text)
        value = self._value(name)
        present = value if value or empty_counts else None
        if modifier == "-":
            return word if present is None else present
        if modifier == "+":
            return "" if present is None else word
        if present is None:
            reason = word or ("is not allowed to be unset" if value is None else "is not allowed to be empty")
            raise InvalidArgument(f"{name}: {reason}", remedy=f"give it a value: --build-arg {name}=…, ARG or ENV")
        return present

    def _trimmed(self, name: str, modifier: str) -> str:
        word = "".join(self._until("}", raw=True).text)
        longest = word.startswith(modifier)
        pattern = word[1:] if longest else word
        value = self._value(name) or ""
        remove = patterns.without_prefix if modifier == "#" else patterns.without_suffix
        try:
            return remove(value, pattern, longest=longest)
        except ValueError as error:
            raise self._bad(f"the pattern {pattern!r} is not valid", str(error)) from None

    def _replaced(self, name: str) -> str:
        every = self._peek() == "/"
        self.index += every
        pattern = "".join(self._until("/", raw=True).text)
        replacement = "".join(self._until("}", raw=True).text)
        value = self._value(name) or ""
        try:
            text = patterns.replaced(value, pattern, replacement, every=every)
        except ValueError as error:
            raise self._bad(f"the pattern {pattern!r} is not valid", str(error)) from None
        if len(text) > self.limit:
            raise self._bad(f"a replacement that grows beyond {self.limit} characters", "shorten what is put in")
        return text
