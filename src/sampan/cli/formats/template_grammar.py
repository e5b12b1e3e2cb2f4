"""The grammar of Go templates: each construct becomes a function that writes to a list or gives a value.

Parsing is by recursive descent over the pieces that `template_words` cuts; no tree is kept.
"""

from __future__ import annotations

from sampan.cli.formats.template_functions import FUNCTIONS, call
from sampan.cli.formats.template_values import TemplateError, field, plain, printed, shown, truth
from sampan.cli.formats.template_words import Word, pieces, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Value = Callable[["Scope"], Any]
    Applied = Callable[["Scope", tuple[Any, ...]], Any]  # a command that a pipe gives a last argument to
    Writer = Callable[["Scope", list[str]], None]


class Stop(Exception):
    """{{break}} or {{continue}}."""

    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        self.whole = whole


class Scope:
    """What "." and the variables are at one place."""

    __slots__ = ("dot", "variables")

    def __init__(self, dot: Any, variables: dict[str, list[Any] | Any]) -> None:
        self.dot = dot
        self.variables = variables

    def inner(self, dot: Any) -> Scope:
        """A scope inside this one: what it declares ends with it, what it assigns stays."""
        return Scope(dot, dict(self.variables))


class Grammar:
    """One template's text, read from the front."""

    def __init__(self, source: str) -> None:
        self._pieces = list(pieces(source))
        self._at = 0
        self._defined: dict[str, Writer] = {}
        self._ranges = 0  # how many are around what is read

    def template(self) -> Writer:
        """The whole text."""
        body, ended = self._body()
        if ended:
            raise TemplateError(f"{{{{{ended[0].text}}}}} ends what was not begun")
        return body

    def _body(self) -> tuple[Writer, list[Word]]:
        """Everything up to the {{end}} or {{else}} that is not the body's own, and that action's words."""
        parts: list[Writer] = []
        while self._at < len(self._pieces):
            kind, text = self._pieces[self._at]
            self._at += 1
            if kind == "text":
                if text:
                    parts.append(_text(text))
                continue
            action = words(text)
            if action and action[0].kind == "keyword" and action[0].text in {"end", "else"}:
                return _sequence(parts), action
            parts.append(self._action(action))
        return _sequence(parts), []

    def _action(self, action: list[Word]) -> Writer:
        if not action:
            raise TemplateError("there is an action with nothing in it")
        first = action[0]
        if first.kind != "keyword":
            return _pipeline_writer(Line(action))
        if first.text in {"break", "continue"}:
            if not self._ranges:
                raise TemplateError(f"{{{{{first.text}}}}} stands outside of range")
            return _stopper(whole=first.text == "break")
        if first.text in {"define", "block", "template"}:
            return self._named(action)
        return self._branch(first.text, Line(action[1:]))

    def _named(self, action: list[Word]) -> Writer:
        line = Line(action[1:])
        name = line.take().text
        value = line.pipeline() if line.more() else None
        if action[0].text != "template":
            body, ended = self._body()
            if not ended or ended[0].text != "end":
                raise TemplateError(f"the end of {name!r} is missing")
            self._defined[name] = body
            if action[0].text == "define":
                return _sequence([])

        def write(scope: Scope, out: list[str]) -> None:
            if name not in self._defined:
                raise TemplateError(f"no template is named {name!r}")
            dot = value(scope) if value else None
            self._defined[name](Scope(dot, {"$": dot}), out)

        return write

    def _branch(self, keyword: str, line: Line) -> Writer:
        names, value = line.declaration()
        line.finish()
        self._ranges += keyword == "range"
        then, ended = self._body()
        self._ranges -= keyword == "range"
        otherwise: Writer | None = None
        if ended and ended[0].text == "else":
            if len(ended) > 1:
                otherwise = self._branch(ended[1].text, Line(ended[2:]))
                ended = [Word("keyword", "end", glued=False)]
            else:
                otherwise, ended = self._body()
        if not ended or ended[0].text != "end":
            raise TemplateError(f"the {{{{end}}}} of {keyword} is missing")
        if keyword == "range":
            return _range(names, value, then, otherwise)
        if keyword not in {"if", "with"}:
            raise TemplateError(f"{keyword} has no place after else")
        return _condition(names, value, then, otherwise, moves=keyword == "with")


class Line:
    """The words of one action, read from the front."""

    def __init__(self, action: list[Word]) -> None:
        self._words = action
        self._at = 0

    def more(self) -> bool:
        """Whether words are left."""
        return self._at < len(self._words)

    def take(self) -> Word:
        """The next word."""
        if not self.more():
            raise TemplateError("an action ends too early")
        self._at += 1
        return self._words[self._at - 1]

    def finish(self) -> None:
        """Refuse what is left."""
        if self.more():
            raise TemplateError(f"{self._words[self._at].text!r} has no place in an action")

    def _next_is(self, sign: str) -> bool:
        return self.more() and self._words[self._at].is_sign(sign)

    def declaration(self) -> tuple[list[str], Value]:
        """A pipeline that may set variables: their names (with ":=" or "=" in front), and the value."""
        start = self._at
        names = []
        while self.more() and self._words[self._at].kind == "variable":
            names.append(self.take().text)
            if not self._next_is(","):
                break
            self.take()
        if names and (self._next_is(":=") or self._next_is("=")):
            return [self.take().text, *names], self.pipeline()
        self._at = start
        return [], self.pipeline()

    def pipeline(self) -> Value:
        """Commands with pipes between them."""
        commands = [self._command()]
        while self._next_is("|"):
            self.take()
            commands.append(self._command())

        def value(scope: Scope) -> Any:
            last: tuple[Any, ...] = ()
            for command in commands:
                last = (command(scope, last),)
            return last[0]

        return value

    def _command(self) -> Applied:
        """One operand, or a function or method with its operands."""
        first = self.take()
        if first.kind == "name" and first.text not in {"true", "false", "nil"}:
            operands = self._operands()
            return _call(first.text, operands)
        if first.kind == "name" and first.text == "nil":
            raise TemplateError("nil is no command")
        self._at -= 1
        path, value = self._operand()
        operands = self._operands()
        return _method(path, value, operands)

    def _operands(self) -> list[Value]:
        found = []
        while self.more() and not self._next_is("|") and not self._next_is(")"):
            found.append(self._operand()[1])
        return found

    def _operand(self) -> tuple[tuple[Value, str] | None, Value]:
        """A value, and when its last step is a field: what that field is of, and the field."""
        word = self.take()
        value = self._term(word)
        last: tuple[Value, str] | None = (_dot, word.text) if word.kind == "field" else None
        while self.more() and self._words[self._at].kind == "field" and self._words[self._at].glued:
            name = self.take().text
            last = (value, name)
            value = _field(value, name)
        return last, value

    def _term(self, word: Word) -> Value:
        if word.kind == "field":
            return _field(_dot, word.text)
        if word.is_sign("."):
            return _dot
        if word.is_sign("("):
            value = self.pipeline()
            if not self.take().is_sign(")"):
                raise TemplateError("a parenthesis is not closed")
            return value
        if word.kind == "variable":
            return _variable(word.text)
        if word.kind == "name" and word.text not in {"true", "false", "nil"}:
            return lambda scope: _call(word.text, [])(scope, ())
        return _constant(word)


def _constant(word: Word) -> Value:
    constant: Any
    if word.kind == "string":
        constant = word.text
    elif word.kind == "char":
        constant = ord(word.text)
    elif word.kind == "number":
        constant = _number(word.text)
    elif word.kind == "name":
        constant = {"true": True, "false": False, "nil": None}[word.text]
    else:
        raise TemplateError(f"{word.text!r} has no place in an action")
    return lambda _: constant


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        return float(text)


def _dot(scope: Scope) -> Any:
    return scope.dot


def _field(of: Value, name: str) -> Value:
    return lambda scope: field(of(scope), name)


def _variable(name: str) -> Value:
    def value(scope: Scope) -> Any:
        if name not in scope.variables:
            raise TemplateError(f"the variable {name} was not set")
        found = scope.variables[name]
        return found[0] if name != "$" else found

    return value


def _method(last: tuple[Value, str] | None, value: Value, operands: Sequence[Value]) -> Applied:
    def applied(scope: Scope, piped: tuple[Any, ...]) -> Any:
        arguments = (*(operand(scope) for operand in operands), *piped)
        if not arguments:
            return value(scope)
        if last is None:
            raise TemplateError("only a function or a field can be given arguments")
        return field(last[0](scope), last[1], arguments)

    return applied


def _call(name: str, operands: Sequence[Value]) -> Applied:
    if name in {"and", "or"}:
        return _logical(name, operands)
    if name not in FUNCTIONS:
        raise TemplateError(f"there is no function {name!r}", f"the functions are and, or, {', '.join(FUNCTIONS)}")
    return lambda scope, piped: call(name, [*(operand(scope) for operand in operands), *piped])


def _logical(name: str, operands: Sequence[Value]) -> Applied:
    wanted = name == "or"

    def applied(scope: Scope, piped: tuple[Any, ...]) -> Any:
        if not operands and not piped:
            raise TemplateError(f"{name} takes at least 1 value, not 0")
        value: Any = None
        for operand in operands:
            value = operand(scope)
            if truth(value) == wanted:
                return value
        return piped[0] if piped else value

    return applied


def _text(text: str) -> Writer:
    return lambda _, out: out.append(text)


def _sequence(parts: Sequence[Writer]) -> Writer:
    def write(scope: Scope, out: list[str]) -> None:
        for part in parts:
            part(scope, out)

    return write


def _stopper(*, whole: bool) -> Writer:
    def write(_: Scope, out: list[str]) -> None:  # noqa: ARG001 - a writer's shape
        raise Stop(whole=whole)

    return write


def _pipeline_writer(line: Line) -> Writer:
    names, value = line.declaration()
    line.finish()

    def write(scope: Scope, out: list[str]) -> None:
        result = value(scope)
        if names:
            _set(scope, names, [result])
        else:
            out.append(printed(result))

    return write


def _set(scope: Scope, names: Sequence[str], values: Sequence[Any]) -> None:
    """Declare with ":=", or change what an outer scope declared with "="."""
    for name, value in zip(names[1:], values, strict=False):
        if names[0] == ":=":
            scope.variables[name] = [value]
        elif name in scope.variables:
            scope.variables[name][0] = value
        else:
            raise TemplateError(f"the variable {name} was not set")


def _condition(names: Sequence[str], value: Value, then: Writer, otherwise: Writer | None, *, moves: bool) -> Writer:
    def write(scope: Scope, out: list[str]) -> None:
        result = value(scope)
        inner = scope.inner(scope.dot)
        _set(inner, names or [":="], [result])
        if truth(result):
            if moves:
                inner.dot = result
            then(inner, out)
        elif otherwise is not None:
            otherwise(inner, out)

    return write


def _range(names: Sequence[str], value: Value, then: Writer, otherwise: Writer | None) -> Writer:
    def write(scope: Scope, out: list[str]) -> None:
        items = _items(plain(value(scope)))
        if not items and otherwise is not None:
            otherwise(scope.inner(scope.dot), out)
        for key, item in items:
            inner = scope.inner(item)
            _set(inner, names or [":="], [item] if len(names) == 2 else [key, item])
            try:
                then(inner, out)
            except Stop as stop:
                if stop.whole:
                    return

    return write


def _items(value: Any) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    if isinstance(value, dict):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    raise TemplateError(f"range cannot go over {shown(value)}")
