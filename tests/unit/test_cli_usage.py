"""What `sampan stats` draws."""

from __future__ import annotations

import pytest

from sampan.cli.usage import (
    HISTORY_LENGTH,
    Usage,
    bar,
    drawn_columns,
    fitted,
    sparkline,
    usage_columns,
    usage_document,
    usage_of,
)


def test_a_bar_is_as_long_as_the_share() -> None:
    assert bar(0) == "░" * 10
    assert bar(34) == "███░░░░░░░"
    assert bar(100) == bar(250) == "█" * 10


def test_a_line_shows_the_latest_values_and_the_largest_of_them_highest() -> None:
    assert sparkline((0.0, 50.0, 100.0)).strip() == "▁▅█"
    assert sparkline((0.0, 100.0, 200.0)).strip() == "▁▅█"
    assert len(sparkline(tuple(float(number) for number in range(50)))) == HISTORY_LENGTH
    assert len(sparkline(())) == HISTORY_LENGTH


def test_a_document_has_plain_numbers_and_what_was_waited_for() -> None:
    sample = {
        "read": "2026-01-01T00:00:00Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 30}, "system_cpu_usage": 100, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 10}, "system_cpu_usage": 60},
        "memory_stats": {"usage": 300, "limit": 1000, "stats": {"inactive_file": 100}},
        "pressure_stats": {"cpu": {"some": {"avg10": 12.5}, "full": {"avg10": 0}}},
    }
    found = usage_document(usage_of("id", "name", sample))
    assert (found["CPUPercent"], found["MemoryBytes"], found["MemoryLimitBytes"]) == (100.0, 200, 1000)
    assert found["PressurePercent"] == {"cpu": 12.5}


def _usages(count: int) -> list[Usage]:
    usages = [Usage(f"{number:064}", f"name-{number}") for number in range(count)]
    for usage in usages:
        usage.known = True
    return usages


@pytest.mark.parametrize("width", [200, 120, 80, 60, 50])
def test_a_table_on_a_terminal_is_no_wider_than_that_and_keeps_names_processors_and_memory(width: int) -> None:
    text = fitted(_usages(3), usage_columns() | drawn_columns(), 24, width)
    assert max(map(len, text.splitlines())) <= width
    assert text.split()[:1] == (["CONTAINER"] if width == 200 else ["NAME"])
    assert "CPU %" in text
    assert "MEM USAGE" in text


def test_a_column_that_is_kept_stays_on_a_narrow_terminal() -> None:
    known = usage_columns() | drawn_columns()
    assert "NET I/O" not in fitted(_usages(3), known, 24, 80)
    assert "NET I/O" in fitted(_usages(3), known, 24, 80, kept="NetIO")


def test_a_table_on_a_terminal_is_no_higher_than_that_and_says_what_is_left_out() -> None:
    known = usage_columns() | drawn_columns()
    assert len(fitted(_usages(8), known, 10, 0).splitlines()) == 9
    assert fitted(_usages(9), known, 10, 0).splitlines()[-1] == "and 2 more"
    assert len(fitted(_usages(9), known, 10, 0).splitlines()) == 9
    assert len(fitted(_usages(9), known, 0, 0).splitlines()) == 10
    assert fitted(_usages(2), known, 3, 0).splitlines()[-1] == "and 1 more"
