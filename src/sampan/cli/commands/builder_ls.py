"""`sampan builder ls`: the caches that RUN --mount=type=cache made."""

from __future__ import annotations

from sampan.cli.formats.listing import show
from sampan.cli.formats.written import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "List the caches of RUN --mount=type=cache"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("quiet", "q", "bool", "", "Print only the ids"),
)
COLUMNS: dict[str, Column] = {
    "CreatedAt": ("CREATED", lambda cache: cache["CreatedAt"]),
    "ID": ("CACHE ID", lambda cache: cache["ID"]),
    "InUse": ("IN USE", lambda cache: str(cache["InUse"]).lower()),
    "LastUsedAt": ("LAST USED", lambda cache: cache["LastUsedAt"]),
    "Name": ("NAME", lambda cache: cache["Description"].removeprefix("mount ")),
    "Size": ("SIZE", lambda cache: size(cache["Size"])),
    "UsageCount": ("USES", lambda cache: str(cache["UsageCount"])),
}


def run(arguments: Arguments, session: Session) -> int:
    """Print the list, by name."""
    caches = sorted(session.call("GET", "/build/caches"), key=lambda cache: str(cache["Description"]))
    shown = ("Name", "ID", "Size", "UsageCount", "InUse")
    show(caches, COLUMNS, shown, arguments.text("format"), quiet="ID" if arguments.flag("quiet") else "")
    return 0
