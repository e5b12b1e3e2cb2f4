"""A Go template taken apart: text, actions, and the words in an action (text/template, "Lexical" in its lex.go).

Only the shape of the text is known here; `template_grammar` gives it a meaning.
"""

from __future__ import annotations

from sampan.cli.formats.template_values import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SPACE = " \t\r\n"
KEYWORDS = frozenset({"if", "else", "end", "range", "with", "break", "continue", "define", "template", "block"})
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CODE_LENGTHS = {"x": 2, "u": 4, "U": 8}


class Word:
    """A word of an action.

    `kind` is "field", "variable", "name", "keyword", "string", "number", "char" or "sign"; `glued` says that no blank
    stands before it.
    """

    __slots__ = ("glued", "kind", "text")

    def __init__(self, kind: str, text: str, *, glued: bool) -> None:
        self.kind = kind
        self.text = text
        self.glued = glued

    def is_sign(self, text: str) -> bool:
        """Whether it is this sign."""
        return self.kind == "sign" and self.text == text


def pieces(source: str) -> Iterator[tuple[str, str]]:
    """("text", …) and ("action", …) in turn, blanks trimmed where "{{-" and "-}}" say so, comments left out."""
    at = 0
    trim_next = False
    while True:
        start = source.find("{{", at)
        text = source[at:] if start < 0 else source[at:start]
        if trim_next:
            text = text.lstrip(SPACE)
        if start < 0:
            yield "text", text
            return
        end = _action_end(source, start + 2)
        action = source[start + 2 : end]
        if action[:1] == "-" and action[1:2] and action[1] in SPACE:
            text = text.rstrip(SPACE)
            action = action[2:]
        trim_next = action[-1:] == "-" and action[-2:-1] != "" and action[-2] in SPACE
        yield "text", text
        action = (action[:-1] if trim_next else action).strip(SPACE)
        if not (action.startswith("/*") and action.endswith("*/")):
            yield "action", action
        at = end + 2


def _action_end(source: str, at: int) -> int:
    """Where "}}" ends the action, quotes passed over."""
    quote = ""
    while at < len(source):
        letter = source[at]
        if quote:
            if letter == "\\" and quote != "`":
                at += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"'`":
            quote = letter
        elif source.startswith("}}", at):
            return at
        at += 1
    raise TemplateError("an action is not closed by }}")


def words(action: str) -> list[Word]:
    """The words of an action."""
    found: list[Word] = []
    at = 0
    while at < len(action):
        letter = action[at]
        glued = at > 0 and action[at - 1] not in SPACE
        if letter in SPACE:
            at += 1
            continue
        if letter in "\"'`":
            kind, text, at = _quoted(action, at)
        elif letter.isalpha() or letter == "_":
            text = _run(action, at)
            kind = "keyword" if text in KEYWORDS else "name"
            at += len(text)
        elif letter == "$":
            kind, text = "variable", "$" + _run(action, at + 1)
            at += len(text)
        elif letter == "." and (action[at + 1 : at + 2].isalpha() or action[at + 1 : at + 2] == "_"):
            kind, text = "field", _run(action, at + 1)
            at += len(text) + 1
        elif letter.isdigit() or (letter in "+-." and action[at + 1 : at + 2].isdigit()):
            kind, text = "number", letter + _run(action, at + 1, "+-.")
            at += len(text)
        else:
            text = ":=" if action.startswith(":=", at) else letter
            if text not in {":=", "=", "(", ")", "|", ",", "."}:
                raise TemplateError(f"{letter!r} has no place in {{{{{action}}}}}")
            kind = "sign"
            at += len(text)
        found.append(Word(kind, text, glued=glued))
    return found


def _run(action: str, at: int, more: str = "") -> str:
    end = at
    while end < len(action) and (action[end].isalnum() or action[end] == "_" or action[end] in more):
        end += 1
    return action[at:end]


def _quoted(action: str, at: int) -> tuple[str, str, int]:
    quote = action[at]
    if quote == "`":
        end = action.index("`", at + 1)
        return "string", action[at + 1 : end], end + 1
    at += 1
    out: list[str] = []
    while action[at] != quote:
        if action[at] != "\\":
            out.append(action[at])
            at += 1
            continue
        letter = action[at + 1]
        if letter in _ESCAPES:
            out.append(_ESCAPES[letter])
            at += 2
        elif letter in _CODE_LENGTHS:
            length = _CODE_LENGTHS[letter]
            out.append(chr(int(action[at + 2 : at + 2 + length], 16)))
            at += 2 + length
        else:
            raise TemplateError(f"\\{letter} is no escape")
    return ("string" if quote == '"' else "char"), "".join(out), at + 1
