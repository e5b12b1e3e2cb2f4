"""Filters as Python writes them: {"status": "exited", "label": ["a", "b=c"], "dangling": True}."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sampan.client.json_text import text_of


def filters_text(filters: Mapping[str, object] | None) -> str | None:
    """The query value for these filters; None for none."""
    if not filters:
        return None
    return text_of({key: _values(value) for key, value in filters.items()})


def _values(value: object) -> list[str]:
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, (str, int)):
        return [str(value)]
    if isinstance(value, Mapping):
        return [f"{key}={item}" for key, item in value.items()]
    if isinstance(value, Iterable):
        return [str(item) for item in value]
    raise TypeError(f"{value!r} is no value of a filter")
