"""Moments as Python has them, as the API takes them: seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime


def moment_text(value: str | float | datetime | None) -> str | None:
    """Seconds with nine digits at most behind the point; a datetime without a zone is UTC, as in docker-py."""
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return f"{value:.9f}".rstrip("0").rstrip(".") if isinstance(value, float) else None if value is None else str(value)
