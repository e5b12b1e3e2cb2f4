"""Command lines run against Docker and against sampan, and what they print laid side by side.

    .venv/bin/python -m tests.compat.side_by_side [--own COMMAND] [--all] [SCRIPT...]

Both engines are private, each in a network of its own; it needs root and Debian's docker.io. Each line of
commands/*.txt is a line for a shell; one that begins with `json` prints documents, which are compared member by member.
Ids, times, sizes and paths of the engines' own are masked. With --own it is that command, sampan's, which speaks to
sampan. Differences that are wanted are in wanted.py, each with its reason; --all shows them too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compat.wanted import LINES, MEMBERS, Wanted
from tests.engine_process import EngineProcess
from tests.private_network import PrivateNetwork, make_private_network
from tests.waiting import until

HERE = Path(__file__).resolve().parent
COMMANDS = HERE / "commands"
LINE_TIMEOUT_S = 120

_AGO = r"(Less than a second|About an? (minute|hour)|\d+ (second|minute|hour)s?)( ago)?"
_MASKS = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"[^\s\"]*/sampan-side-by-side-\w+/(docker|sampan)/", "ROOT/"),
        (r"\b[0-9a-f]{64}\b", "ID"),
        (r"\b[0-9a-f]{12}\b", "ID"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [+-]\d{4} \w+|[+-]\d\d:\d\d)?", "TIME"),
        (rf"(Up |Exited \(\d+\) )?{_AGO}", r"\1AGO"),
        (r"\b\d+(\.\d+)?(e[+-]\d+)? ?([kMGT]i?)?B\b", "SIZE"),
        (r"\b02:42(:[0-9a-f]{2}){4}\b", "MAC"),
        (r"\b[a-z]+_[a-z]+\b", "NAME"),
        (r" {2,}", "  "),
        (r" +$", ""),
    )
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a line printed, masked, and how it ended."""

    code: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Side:
    """An engine, and the command that speaks to it under the name `docker`."""

    socket: str
    programs: str  # a directory that comes first in PATH
    home: str

    def run(self, line: str) -> Answer:
        """Run a line in a shell."""
        environment = {
            "PATH": f"{self.programs}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self.home,
            "DOCKER_HOST": f"unix://{self.socket}",
            "SAMPAN_HOST": f"unix://{self.socket}",
            "DOCKER_BUILDKIT": "0",  # or else the buildx plugin, where it is installed, asked for another builder
            "DOCKER_CLI_HINTS": "false",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            ["bash", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            cwd=self.home,
            timeout=LINE_TIMEOUT_S,
            check=False,
        )
        return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def mask(text: str) -> str:
    """A text without what differs from run to run."""
    return "\n".join(_mask_line(line) for line in text.splitlines())


def _mask_line(line: str) -> str:
    for pattern, replacement in _MASKS:
        line = pattern.sub(replacement, line)
    return line


def plain(errors: str) -> str:
    """What both commands say of a failure, without who says it, hints and remedies."""
    lines = (re.sub(r"^(docker|sampan): ", "", line).rstrip(".") for line in errors.splitlines())
    return "\n".join(line for line in lines if not line.startswith(("  try: ", "See 'docker ")))


def compare(line: str, docker: Side, sampan: Side, *, everything: bool = False) -> list[str]:
    """Run a line on both sides; what differs, a line each, without what is wanted unless `everything`."""
    is_json = line.startswith("json ")
    words = line.removeprefix("json ")
    theirs, ours = docker.run(words), sampan.run(words)
    found = [f"exit code: {theirs.code} | {ours.code}"] if theirs.code != ours.code else []
    if is_json:
        members = differences(_documents(theirs.output), _documents(ours.output))
        found += [text for text in members if everything or not _is_wanted(MEMBERS, text.partition(": ")[0])]
    elif _is_wanted(LINES, words) and not everything:
        return []
    else:
        found += _texts("", theirs.output, ours.output)
    return [*found, *_texts("error: ", plain(theirs.errors), plain(ours.errors))]


def _is_wanted(wanted: Iterable[Wanted], text: str) -> bool:
    return any(one.fits(text) for one in wanted)


def _texts(label: str, theirs: str, ours: str) -> Iterator[str]:
    left, right = mask(theirs).splitlines(), mask(ours).splitlines()
    if left == right:
        return
    for number in range(max(len(left), len(right))):
        pair = [lines[number] if number < len(lines) else "(nothing)" for lines in (left, right)]
        if pair[0] != pair[1]:
            yield f"{label}{pair[0]}"
            yield f"{' ' * len(label)}{pair[1]}"


def _documents(text: str) -> list[Any]:
    decoder, rest = json.JSONDecoder(), text.strip()
    found: list[Any] = []
    while rest:
        try:
            document, end = decoder.raw_decode(rest)
        except ValueError:
            return [*found, rest]
        found.append(document)
        rest = rest[end:].strip()
    return found


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Where two documents differ: a path, and both values."""
    match theirs, ours:
        case dict(), dict():
            theirs, ours = ({mask(key): value for key, value in side.items()} for side in (theirs, ours))
            for key in sorted({*theirs, *ours}):
                yield from differences(theirs.get(key, "(absent)"), ours.get(key, "(absent)"), f"{path}.{key}")
        case [{"Destination": _}, *_], [{"Destination": _}, *_] if not path.endswith(")"):
            left, right = (sorted(side, key=lambda one: str(one["Destination"])) for side in (theirs, ours))
            yield from ((f"{path}{rest}") for rest in differences(left, right, "()"))
        case list(), list() if path.endswith(".Binds") and sorted(theirs) == sorted(ours):
            pass  # Docker's command sends them in an order that changes from call to call
        case list(), list() if len(theirs) == len(ours):
            for number, (left, right) in enumerate(zip(theirs, ours, strict=True)):
                yield from differences(left, right, f"{path}[{number}]")
        case str(), str() if mask(theirs) == mask(ours):
            pass
        case _ if theirs != ours:
            yield f"{path}: {json.dumps(theirs)} | {json.dumps(ours)}"


def lines_of(script: str) -> Iterator[str]:
    """The lines of a script."""
    for line in (COMMANDS / f"{script}.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            yield line


@contextlib.contextmanager
def private_docker(directory: Path, network: PrivateNetwork) -> Iterator[str]:
    """Docker's daemon with roots of its own; its socket."""
    address = directory / "docker.sock"
    words = ["nsenter", f"--net=/proc/self/fd/{network.netns_fd}", "dockerd", "-H", f"unix://{address}"]
    words += ["--data-root", str(directory / "data"), "--exec-root", str(directory / "exec")]
    words += ["--pidfile", str(directory / "pid")]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, pass_fds=(network.netns_fd,))
    try:
        until(lambda: process.poll() is not None or _answers(address), 60)
        if process.poll() is not None:
            sys.exit((directory / "log").read_text()[-3000:])
        yield str(address)
    finally:
        process.terminate()
        process.wait(60)
        left = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
        for mounted in sorted((path for path in left if path.startswith(f"{directory}/")), reverse=True):
            subprocess.run(["umount", mounted], check=False)  # dockerd leaves its data root bound on itself


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(address)) == 0


@contextlib.contextmanager
def both(own: str) -> Iterator[tuple[Side, Side]]:
    """Docker and sampan, both with sampan's image `busybox`."""
    with contextlib.ExitStack() as held:
        directory = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="sampan-side-by-side-")))
        sockets = []
        for name in ("docker", "sampan"):
            (directory / name / "bin").mkdir(parents=True)
            (directory / name / "home").mkdir()
            network = held.enter_context(contextlib.closing(make_private_network()))
            if name == "docker":
                sockets.append(held.enter_context(private_docker(directory / name, network)))
            else:
                engine = held.enter_context(EngineProcess(directory / name, netns_fd=network.netns_fd))
                sockets.append(engine.socket)
        if own:
            (directory / "sampan" / "bin" / "docker").symlink_to(Path(own).resolve())
        docker, sampan = (
            Side(address, str(directory / name / "bin"), str(directory / name / "home"))
            for name, address in zip(("docker", "sampan"), sockets, strict=True)
        )
        archive = directory / "busybox.tar"
        made = sampan.run(f"docker run --rm --network none busybox true && docker save busybox -o {archive}")
        assert made.code == 0, made.errors
        assert docker.run(f"docker load -i {archive}").code == 0
        yield docker, sampan


def main() -> int:
    """Compare, print what differs."""
    parser = argparse.ArgumentParser(prog="side_by_side")
    parser.add_argument("--own", default="", help="the sampan command, to speak to sampan with")
    parser.add_argument("--all", action="store_true", help="show what is wanted too")
    parser.add_argument("scripts", nargs="*", default=sorted(path.stem for path in COMMANDS.glob("*.txt")))
    given = parser.parse_args()
    if shutil.which("dockerd", path="/usr/sbin:/usr/bin") is None:
        sys.exit("side_by_side: needs Docker's daemon: apt-get install docker.io")
    count = 0
    with both(given.own) as (docker, sampan):
        for script, line in ((name, line) for name in given.scripts for line in lines_of(name)):
            found = compare(line, docker, sampan, everything=given.all)
            if found:
                count += 1
                sys.stdout.write(
                    "".join(f"{text}\n" for text in (f"--- {script}: {line}", *(f"    {t}" for t in found)))
                )
                sys.stdout.flush()
    sys.stdout.write(f"{count} lines differ\n")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
