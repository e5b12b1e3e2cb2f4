"""Every group of the bench in one run, and its results as files: data, table, chart.

A group that fails is named in the results with its reason and costs no other group its rows.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import report, results
from bench.measure import table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Group:
    """A module with `rows(number)`; the number is of runs where it is not of containers or seconds."""

    title: str
    number: int | float
    counts_runs: bool = True


GROUPS = {
    "docker": Group("Containers", 11),
    "network": Group("Networks", 7),
    "images": Group("Images", 5),
    "builds": Group("Builds", 5),
    "files": Group("Files", 5),
    "start": Group("The start itself, against runc", 15),
    "scale": Group("Many containers", 500, counts_runs=False),
    "churn": Group("Coming and going", 1000, counts_runs=False),
    "neighbours": Group("Beside three hogs", 8.0, counts_runs=False),
}


def main(words: Sequence[str]) -> int:
    """Measure, write, say where; 1 when a group could not be measured."""
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help=", ".join(GROUPS))
    parser.add_argument("--runs", type=int, default=0, help="how often each work is done; 0: as each group has it")
    parser.add_argument("--into", type=Path, default=RESULTS, metavar="DIRECTORY", help="where results are written")
    options = parser.parse_args(words)
    wanted = options.only.split(",") if options.only else list(GROUPS)
    if unknown := set(wanted) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    found = results.begin()
    path = options.into / f"{found.date}.json"
    if options.only and path.exists():
        found = _with_older(found, results.load(path))
    try:
        for name in wanted:
            measure(found, name, options.runs)
    finally:  # a run that is ended in the middle has what it measured
        found.save(path)
        for made in (path, *report.render(path)):
            shutil.copyfile(made, made.with_stem("latest"))
            print(made)
    return 1 if found.failures else 0


def _with_older(found: results.Results, older: results.Results) -> results.Results:
    """Today's results go on: the groups that are there stay until they are measured anew."""
    found.groups, found.commands, found.failures = older.groups, older.commands, older.failures
    return found


def _reason(error: BaseException) -> str:
    """Why a group has no rows: the first line, without the paths of this machine."""
    first = (str(error) or type(error).__name__).splitlines()[0]
    return re.sub(r"/[\w./+-]+", "…", first)[:120]


def measure(found: results.Results, name: str, runs: int = 0) -> None:
    """Measure one group into the results."""
    group = GROUPS[name]
    number = runs if runs and group.counts_runs else group.number
    print(f"== {group.title}", flush=True)
    found.failures.pop(group.title, None)
    try:
        rows = importlib.import_module(f"bench.{name}").rows(number)
    except (Exception, SystemExit) as error:  # the next group is measured all the same
        if isinstance(error, SystemExit) and isinstance(error.code, int):  # somebody ends all of it
            raise
        found.groups.pop(group.title, None)
        found.failures[group.title] = _reason(error)
        print(f"{type(error).__name__}: {error}", flush=True)
        return
    found.groups[group.title] = rows
    titles = [one.title for one in GROUPS.values()]
    found.groups = {title: found.groups[title] for title in titles if title in found.groups}
    found.commands[group.title] = (
        f"./dev bench {name} {number}" if name not in {"images", "start"} else f"./dev bench {name}"
    )
    print(table(rows), flush=True)
