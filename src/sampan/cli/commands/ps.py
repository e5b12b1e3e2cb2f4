"""`sampan ps`: the containers there are."""

from __future__ import annotations

from sampan.cli.formats.containers import DEFAULT, container_columns
from sampan.cli.formats.listing import show
from sampan.cli.settings import setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "List containers"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("all", "a", "bool", "", "Show stopped containers too"),
    ("filter", "f", "filter", "", "Show only containers that match, as in status=exited or label=a=b"),
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("last", "n", "int", "-1", "Show the last n containers that were created, in any state"),
    ("latest", "l", "bool", "", "Show the container that was created last, in any state"),
    ("no-trunc", "", "bool", "", "Shorten nothing"),
    ("quiet", "q", "bool", "", "Print only the ids"),
    ("size", "s", "bool", "", "Show how much each container has written"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Print the list."""
    template = arguments.text("format")
    size = arguments.flag("size") or ".Size" in template
    last = 1 if arguments.flag("latest") and arguments.number("last") == -1 else arguments.number("last")
    query: dict[str, str | int | bool | None] = {
        "all": arguments.flag("all"),
        "limit": last if last > 0 else None,
        "size": size,
    }
    if arguments.items("filter"):
        from sampan.cli.filters import filters_text

        query["filters"] = filters_text(arguments.items("filter"))
    if not template and not arguments.flag("quiet"):
        template = setting("psFormat")
    shown = (*DEFAULT, "Size") if arguments.flag("size") else DEFAULT
    columns = container_columns(full=arguments.flag("no-trunc"))
    containers = session.call("GET", "/containers/json", query)
    show(containers, columns, shown, template, quiet="ID" if arguments.flag("quiet") else "")
    return 0
