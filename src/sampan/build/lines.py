"""From bytes to logical lines: parser directives, comments, continuations and the bodies of heredocs.

What a line means is `statements`' matter. One pass, linear in the file's size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sampan.build import forms, heredocs
from sampan.build.instructions import Directive, Heredoc, Position
from sampan.errors import InvalidArgument

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(\S.*)")
_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_HEREDOC_KEYWORDS = frozenset({"ADD", "COPY", "RUN"})


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction as a logical line, with the heredocs that it opened."""

    position: Position
    heredocs: tuple[Heredoc, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """A file cut into logical lines."""

    directives: tuple[Directive, ...]
    escape: str
    lines: tuple[Line, ...]
    empty_continuations: tuple[Position, ...]


def cut(data: bytes, *, name: str) -> Lines:
    """The logical lines of a Dockerfile; bytes that are no UTF-8 become U+FFFD. Raises InvalidArgument."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
    cutter = _Cutter(name, text.split("\n"))
    cutter.read_directives()
    cutter.read_lines()
    return Lines(tuple(cutter.directives), cutter.escape, tuple(cutter.lines), tuple(cutter.empty_continuations))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


@dataclass(slots=True)
class _Cutter:
    name: str
    source: list[str]
    next: int = 0
    escape: str = "\\"
    directives: list[Directive] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    empty_continuations: list[Position] = field(default_factory=list)

    def read_directives(self) -> None:
        """The head of the file: lines such as `# syntax=…`, until the first that is none."""
        seen: set[str] = set()
        if self.source[0].startswith("#!"):
            self.next = 1
        for number in range(self.next, len(self.source)):
            match = _DIRECTIVE.fullmatch(self.source[number].strip())
            if match is None or match[1].lower() not in _DIRECTIVES:
                return
            directive = Directive(match[1].lower(), match[2], number + 1)
            here = Position(self.name, number + 1, number + 1, 1, self.source[number].strip())
            if directive.name in seen:
                raise here.refusal(
                    f"only one {directive.name} parser directive can be used", remedy="remove all but one"
                )
            seen.add(directive.name)
            if directive.name == "escape":
                if directive.value not in {"\\", "`"}:
                    raise here.refusal(
                        f"invalid escape token {directive.value!r}", remedy="write # escape=\\ or # escape=`"
                    )
                self.escape = directive.value
            self.directives.append(directive)
            self.next = number + 1

    def read_lines(self) -> None:
        """Everything behind the directives."""
        comments: list[str] = []
        while self.next < len(self.source):
            raw = self.source[self.next].rstrip("\r")
            stripped = raw.strip()
            if _is_comment(raw):
                comment = stripped[1:].strip()
                if comment:
                    comments.append(comment)
                else:
                    comments = []
                self.next += 1
            elif not stripped:
                comments = []
                self.next += 1
            else:
                self._read_line(len(raw) - len(raw.lstrip()) + 1, tuple(comments))
                comments = []

    def _read_line(self, column: int, comments: tuple[str, ...]) -> None:
        start = self.next
        text, has_empty = self._continued()
        position = Position(self.name, start + 1, self._last_line(), column, text.strip(), comments)
        if not position.text:
            return
        bodies = self._bodies(position)
        if bodies:
            position = Position(self.name, start + 1, self._last_line(), column, position.text, comments)
        if has_empty:
            self.empty_continuations.append(position)
        self.lines.append(Line(position, bodies))

    def _last_line(self) -> int:
        """The number of the last line that was read; what is behind the last line's end is none."""
        return self.next - (self.next == len(self.source) and not self.source[-1])

    def _continued(self) -> tuple[str, bool]:
        """The instruction that begins at the next line, continuations joined, and whether one of them was empty."""
        parts: list[str] = []
        has_empty = False
        going_on = True
        while going_on and self.next < len(self.source):
            line = self.source[self.next].rstrip("\r")
            self.next += 1
            if not parts:
                line = line.lstrip()
            elif _is_comment(line):
                continue
            elif not line.strip():
                has_empty = has_empty or self.next < len(self.source)
                continue
            line, going_on = self._without_continuation(line)
            parts.append(line)
        return "".join(parts), has_empty

    def _without_continuation(self, line: str) -> tuple[str, bool]:
        """The line without its escape at the end, and whether there was one; an escaped escape is none."""
        stripped = line.rstrip(" \t")
        if not stripped.endswith(self.escape) or stripped.endswith(self.escape * 2):
            return line, False
        return stripped[:-1], True

    def _bodies(self, position: Position) -> tuple[Heredoc, ...]:
        """The bodies of the heredocs that the instruction opens, read from the lines behind it."""
        found: list[Heredoc] = []
        for opening in opened_by(position.text, escape=self.escape):
            body: list[str] = []
            while self.next < len(self.source):
                line = self.source[self.next]
                self.next += 1
                last = line.rstrip("\r")
                if (last.lstrip("\t") if opening.strip_tabs else last) == opening.name:
                    break
                body.append(line + "\n")
            else:
                raise self._unterminated(position, opening)
            found.append(Heredoc(opening.name, "".join(body), opening.expand, opening.strip_tabs, opening.descriptor))
        return tuple(found)

    def _unterminated(self, position: Position, opening: heredocs.Opening) -> InvalidArgument:
        behind = (line.strip(" \t\r;") for line in self.source[position.end_line :])
        hint = ", without spaces or anything else in it" if opening.name in behind else ""
        return position.refusal(
            f"unterminated heredoc {opening.name!r}", remedy=f"end it with a line that says {opening.name}{hint}"
        )


def opened_by(text: str, *, escape: str) -> tuple[heredocs.Opening, ...]:
    """The heredocs that an instruction opens: only RUN, COPY and ADD (also behind ONBUILD), not in JSON form.

    Where they start and end is counted in the instruction's text behind its flags.
    """
    if "<<" not in text:
        return ()
    keyword, rest = forms.cut_keyword(text)
    if keyword.upper() == "ONBUILD":
        keyword, rest = forms.cut_keyword(rest)
    if keyword.upper() not in _HEREDOC_KEYWORDS:
        return ()
    _, rest = forms.cut_flags(rest, escape=escape)
    try:
        if forms.json_words(rest) is not None:
            return ()
    except forms.NotOnlyStrings:
        return ()
    return heredocs.openings(rest, escape=escape, in_shell=keyword.upper() == "RUN")
