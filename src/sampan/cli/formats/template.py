"""Go templates, as docker's --format takes them: a template is read once and becomes a function of a document.

Fields, pipes, variables, if, range, with, break, continue, define and template, trimming and comments are here;
documents are what JSON gives, or rows of a listing. The contract is text/template's.
"""

from __future__ import annotations

from sampan.cli.formats.template_grammar import Grammar, Scope, Stop
from sampan.cli.formats.template_values import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Template", "TemplateError", "unescaped"]


class Template:
    """A template; TemplateError when `source` is none."""

    def __init__(self, source: str) -> None:
        try:
            self._grammar = Grammar(source)
            self._body = self._grammar.template()
        except (IndexError, ValueError) as error:
            raise TemplateError(f"{source!r} is no template: {error}") from None

    def render(self, document: Any) -> str:
        """The text that the template makes of `document`; TemplateError when it does not fit."""
        out: list[str] = []
        scope = Scope(document, {"$": document})
        try:
            self._body(scope, out)
        except Stop:
            pass
        except (TypeError, AttributeError, ValueError) as error:
            raise TemplateError(f"a function got what it cannot take: {error}") from None
        return "".join(out)


def unescaped(format: str) -> str:
    """A --format value with its two-letter tabs and newlines made real, as docker does."""
    return format.replace("\\t", "\t").replace("\\n", "\n")
