"""Lists of things: which columns there are, which are shown, and the forms that --format may ask for.

A command says what its columns are; this decides between the table, a template, JSON and the bare identifiers.
"""

from __future__ import annotations

import sys

from sampan.cli.formats.table import columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Column = tuple[str, Callable[[Any], object]]  # the heading, and what it shows of a document


class Row:
    """One document seen through a listing's columns; what templates see as "."."""

    __slots__ = ("_columns", "document")

    def __init__(self, columns: Mapping[str, Column], document: Any) -> None:
        self._columns = columns
        self.document = document

    def template_field(self, name: str, arguments: Sequence[Any] = ()) -> object:
        """The column `name`; KeyError when there is none, TemplateError when it takes more or fewer arguments."""
        shown = self._columns[name][1](self.document)
        if len(arguments) != callable(shown):
            from sampan.cli.formats.template_values import TemplateError

            how = f"takes one value, as in '{{{{.{name} \"…\"}}}}'" if callable(shown) else "takes no values"
            raise TemplateError(f".{name} {how}")
        return shown(*arguments) if callable(shown) else shown

    def template_names(self) -> list[str]:
        """The names of all columns."""
        return sorted(self._columns)

    def template_document(self) -> dict[str, object]:
        """All columns, as {{json .}} writes them."""
        fields = {name: column[1](self.document) for name, column in sorted(self._columns.items())}
        return {name: value for name, value in fields.items() if not callable(value)}


class _Headings:
    """The line of headings that a template prints before the rows."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns

    def template_field(self, name: str, arguments: Sequence[Any] = ()) -> object:
        from sampan.cli.formats.template_functions import Heading

        heading = self._columns[name][0]
        return Heading(heading or (str(arguments[0]).rpartition(".")[2] if arguments else name.upper()))

    def template_names(self) -> list[str]:
        return sorted(self._columns)

    def template_document(self) -> dict[str, object]:
        return {name: heading for name, (heading, _) in self._columns.items()}


def show(
    documents: Sequence[Any],
    columns_known: Mapping[str, Column],
    shown: Sequence[str],
    format: str = "",
    *,
    quiet: str = "",
    headings: bool = True,
) -> None:
    """Print the documents.

    `shown` are the columns of the table; `format` is what --format says ("", "table", "table TEMPLATE", "json", a
    template); `quiet`, when not empty, is the one column that is printed instead.
    """
    if quiet and format in {"", "table"}:
        select = columns_known[quiet][1]
        sys.stdout.write("".join(f"{select(document)}\n" for document in documents))
    elif format in {"", "table"}:
        lines = [[columns_known[name][0] for name in shown]] if headings else []
        lines += [[str(columns_known[name][1](document)) for name in shown] for document in documents]
        sys.stdout.write(columns(lines) if lines else "")
    else:
        _show_by_template(documents, columns_known, format)


def _show_by_template(documents: Sequence[Any], columns_known: Mapping[str, Column], format: str) -> None:
    from sampan.cli.formats.template import Template, unescaped

    table = format.startswith("table ")
    source = "{{json .}}" if format == "json" else format
    template = Template(unescaped(source.removeprefix("table ").strip() if table else source))
    lines = [template.render(Row(columns_known, document)) for document in documents]
    if table:
        from sampan.cli.formats.table import align

        sys.stdout.write(align("\n".join([template.render(_Headings(columns_known)), *lines]) + "\n"))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
