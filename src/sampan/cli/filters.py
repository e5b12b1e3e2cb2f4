"""--filter key=value, as the API takes it: JSON of the values by key."""

from __future__ import annotations

from sampan.cli.grammar import UsageError
from sampan.client.json_text import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Query


def filters_query(arguments: Arguments, *more: str) -> Query | None:
    """The query of the option --filter and these filters besides; None without any."""
    filters = [*arguments.items("filter"), *more]
    return {"filters": filters_text(filters)} if filters else None


def filters_text(items: list[str]) -> str:
    """The query value for these filters; UsageError for one that has no "="."""
    found: dict[str, dict[str, bool]] = {}
    for item in items:
        key, mark, value = item.partition("=")
        if not mark:
            raise UsageError(f"the filter {item!r} has no value", remedy="write --filter key=value")
        found.setdefault(key.strip().lower(), {})[value.strip()] = True
    return text_of(found, sort_keys=True)
