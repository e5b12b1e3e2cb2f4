"""The bench's results as a table and a chart, out of rows that were met, missed, and not measured on one side."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import chart, report, results, whole
from bench.measure import Row, compare, figure, row_of, verdict

MET = Row("`exec true`, each its own CLI", {"Docker": (100.0, 102.0, 98.0), "sampan": (20.0, 21.0, 19.0)}, budget=0.3)
MISSED = Row("inspect <all>", {"Docker": (10.0,), "sampan": (18.0,), "Podman": (40.0,)}, budget=1.0)
ONE_SIDE = Row("start beside 500", {"sampan": (1.26,)}, limit=1.3, unit="×")
NOT_OURS = Row("cp in", {"Docker": (10.0, 11.0)}, budget=0.8)
NOTHING_LEFT = Row("mounts left", {"sampan": (0.0,)}, limit=0, unit="")


@pytest.fixture
def found() -> results.Results:
    machine = {"processors": "2", "kernel": "Linux 6.18"}
    rows = {"Containers": [MET, MISSED, NOT_OURS], "Many containers": [ONE_SIDE, NOTHING_LEFT]}
    return results.Results("2026-11-24", machine, {"Docker": "26.1.5"}, rows, failures={"Builds": "no docker & no <b>"})


def bars(drawn: str) -> dict[str, int]:
    """How many bars there are of each kind, but the legend's; the chart has to be XML."""
    tree = ET.fromstring(drawn)
    kinds = [element.get("class", "") for element in tree.iter("{http://www.w3.org/2000/svg}rect")]
    return {kind: kinds.count(kind) - 1 for kind in ("met", "missed", "free")}


def texts(drawn: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("row", "ratio", "is_met", "word"),
    [
        (MET, 0.2, True, "yes"),
        (MISSED, 1.8, False, "**no**"),
        (ONE_SIDE, None, True, "yes"),
        (NOT_OURS, None, None, "not measured"),
        (NOTHING_LEFT, None, True, "yes"),
        (Row("left", {"sampan": (1.0,)}, limit=0, unit=""), None, False, "**no**"),
        (Row("free", {"Docker": (2.0,), "sampan": (1.0,)}), 0.5, None, ""),
    ],
)
def test_a_row_knows_its_ratio_and_whether_its_bounds_are_kept(
    row: Row, ratio: float | None, *, is_met: bool | None, word: str
) -> None:
    assert (row.ratio, row.is_met, verdict(row)) == (ratio, is_met, word)


@pytest.mark.parametrize(("ours", "word"), [(10.2, "yes"), (9.7, "within the noise"), (9.0, "**no**")])
def test_traffic_is_met_by_more_and_noise_is_named(ours: float, word: str) -> None:
    row = Row("traffic", {"Docker": (10.0,), "sampan": (ours,)}, 1.0, more_is_better=True, noise=0.05)
    assert verdict(row) == word


def test_the_median_and_the_quarters_are_those_of_the_samples() -> None:
    row = Row("x", {"sampan": (1.0, 2.0, 3.0, 4.0, 100.0)})
    assert (row.median("sampan"), row.spread("sampan")) == (3.0, (2.0, 4.0))
    assert (row.median("Docker"), row.spread("Docker")) == (None, None)


def test_works_are_done_in_turn_after_one_that_does_not_count() -> None:
    done: list[str] = []
    acts: list[Callable[[], None]] = [lambda side=side: done.append(side) for side in "abc"]  # type: ignore[misc]
    row = compare("x", acts[0], acts[1], runs=2, beside={"Podman": acts[2]})
    assert "".join(done) == "abcabcabc"
    assert {side: len(samples) for side, samples in row.samples.items()} == {"Docker": 2, "sampan": 2, "Podman": 2}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2352.4, "kB", "2 352 kB"),
        (47.53, "ms", "47.5 ms"),
        (0.137, "ms", "0.14 ms"),
        (60.0, "MB", "60 MB"),
        (None, "ms", ""),
    ],
)
def test_a_figure_has_the_digits_that_say_something(value: float | None, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def test_results_are_read_as_they_were_written(found: results.Results, tmp_path: Path) -> None:
    found.save(tmp_path / "deep" / "x.json")
    assert results.load(tmp_path / "deep" / "x.json") == found
    assert row_of(MISSED.plain()) == MISSED


def test_the_table_names_what_is_missed_and_what_was_not_measured(found: results.Results) -> None:
    lines = report.markdown(found).splitlines()
    assert "| inspect <all> | 10 ms | 18 ms | 40 ms | 1.80 | 1.00 | **no** |" in lines
    assert "| cp in | 10.5 ms (10–11) |  |  |  | 0.80 | not measured |" in lines
    assert "| start beside 500 | 1.26 × |  | 1.30 × | yes |" in lines  # no column for who was not there
    assert "Not measured: no docker & no <b>" in lines
    assert any("3 of 4 budgets are met." in line for line in lines)


def test_the_chart_has_a_bar_for_each_row_that_ours_was_measured_in(found: results.Results) -> None:
    drawn = chart.draw(found)
    assert bars(drawn) == {"met": 2, "missed": 1, "free": 0}
    said = texts(drawn)
    assert {"exec true", "own CLI", "0.20", "inspect <all>", "1.80", "1.26 × of 1.30 ×"} <= set(said)
    assert "Builds: not measured (no docker & no <b>)" in said
    assert "cp in" not in said


def test_the_chart_keeps_what_is_long_inside_its_columns() -> None:
    long = Row("word " * 30, {"Docker": (1.0,), "sampan": (9.0,)})
    found = results.Results("2026-11-24", {}, {}, {"Group": [long]})
    label = next(text for text in texts(chart.draw(found)) if text.startswith("word"))
    assert label.endswith("…")
    assert len(label) < 60


def test_the_files_are_made_again_from_the_data_alone(found: results.Results, tmp_path: Path) -> None:
    found.save(tmp_path / "day.json")
    table, picture = report.render(tmp_path / "day.json")
    assert (table.name, picture.name) == ("day.md", "day.svg")
    assert table.read_text() == report.markdown(found)
    assert picture.read_text() == chart.draw(found)


def test_a_group_that_fails_costs_no_other_and_is_named_without_paths(
    monkeypatch: pytest.MonkeyPatch, found: results.Results
) -> None:
    class Broken:
        @staticmethod
        def rows(_: float) -> list[Row]:
            raise RuntimeError("cannot open /tmp/secret/place: no\nmore")

    monkeypatch.setattr("importlib.import_module", lambda _: Broken)
    whole.measure(found, "docker")
    assert found.failures["Containers"] == "cannot open …: no"
    assert list(found.groups) == ["Many containers"]


def test_what_is_kept_of_the_machine_has_no_name_and_no_path() -> None:
    kept = results.begin()
    said = " ".join([*kept.machine.values(), *kept.versions.values()])
    assert "/" not in said.replace("GNU/Linux", "")
    assert set(kept.machine) >= {"processors", "memory", "kernel", "distribution", "cgroups"}
    assert "Python" in kept.versions
