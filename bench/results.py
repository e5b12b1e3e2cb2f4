"""What a run of the whole bench found, as a file: rows by group, machine, versions. No host names, no paths."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Row, row_of

VERSIONS: Mapping[str, Sequence[str]] = {
    "Docker": ("dockerd", "--version"),
    "Podman": ("podman", "--version"),
    "runc": ("runc", "--version"),
    "crun": ("crun", "--version"),
}


@dataclass
class Results:
    """Groups of rows by their title, and what went wrong with those that are not there."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    groups: dict[str, list[Row]] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)  # a group's title -> what repeats it
    failures: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        plain = {
            "date": self.date,
            "machine": self.machine,
            "versions": self.versions,
            "commands": self.commands,
            "failures": self.failures,
            "groups": {title: [row.plain() for row in rows] for title, rows in self.groups.items()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(plain, indent=1) + "\n")
        new.replace(path)


def load(path: Path) -> Results:
    """Read what `save` wrote."""
    plain = json.loads(path.read_text())
    groups = {title: [row_of(row) for row in rows] for title, rows in plain.pop("groups").items()}
    return Results(**plain, groups=groups)


def begin() -> Results:
    """Results of today on this machine, with nothing measured yet."""
    return Results(dt.datetime.now(dt.UTC).date().isoformat(), machine(), versions())


def machine() -> dict[str, str]:
    """What the figures depend on."""
    memory = int(re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[0]) / 1024**2
    release = re.findall(r'^PRETTY_NAME="?([^"\n]+)', Path("/etc/os-release").read_text(), re.MULTILINE)
    return {
        "processors": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GB",
        "kernel": "Linux " + ".".join(re.findall(r"\d+", platform.release())[:2]),
        "distribution": release[0] if release else "unknown",
        "cgroups": _cgroups(),
        "file system": _file_system("/var/tmp"),
        "virtual machine": "yes" if "hypervisor" in Path("/proc/cpuinfo").read_text() else "no",
    }


def versions() -> dict[str, str]:
    """The version of everyone who takes part."""
    found = {"Python": platform.python_version()}
    for name, words in VERSIONS.items():
        if match := re.search(r"\d+\.\d+(\.\d+)?", _said(words)):
            found[name] = match[0]
    commit = _said(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]).strip()
    return {"sampan": f"commit {commit}" if commit else "unknown", **found}


def _said(words: Sequence[str]) -> str:
    """What a program prints; nothing when it is not here."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def _cgroups() -> str:
    types = {line.split(" - ")[1].split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return {(True, True): "v1 beside v2", (True, False): "v1", (False, True): "v2"}.get(
        ("cgroup" in types, "cgroup2" in types), "none"
    )


def _file_system(path: str) -> str:
    """The type of the file system that a path is on."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[2] == number:
            return line.split(" - ")[1].split()[0]
    return "unknown"


if __name__ == "__main__":
    json.dump({"machine": machine(), "versions": versions()}, sys.stdout, indent=1)
