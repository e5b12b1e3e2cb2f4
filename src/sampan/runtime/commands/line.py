"""The whole command line: global options, the verb, and what an error becomes.

Each verb is in a module beside this one that is imported when it is called for. The exit code of an error is runc's:
255 for exec, 1 for everything else.
"""

from __future__ import annotations

import os
import sys

from sampan.errors import NotImplementedHere, SampanError
from sampan.runtime import quick_modules
from sampan.runtime.commands.options import SWITCH, VALUE, Option, Words, describe, parse
from sampan.runtime.commands.report import Report, answer, program_name
from sampan.runtime.commands.verb import Command, Verb
from sampan.runtime.handshake import StepFailed
from sampan.runtime.handshake import describe as describe_failure
from sampan.runtime.state import Containers
from sampan.version import OCI_RUNTIME, VERSION

PURPOSE = "Open Container Initiative runtime"
DEFAULT_ROOT = "/run/sampan-runtime"

OPTIONS = (
    Option("--root", VALUE, "directory for the state of containers", DEFAULT_ROOT),
    Option("--log", VALUE, "file for messages", "/dev/stderr"),
    Option("--log-format", VALUE, "form of messages: text or json", "text"),
    Option("--log-level", VALUE, "error, warning or debug", "error"),
    Option("--debug", SWITCH, "say what is done"),
    Option("--systemd-cgroup", SWITCH, "let systemd manage cgroups (not supported)"),
    Option("--cgroup-manager", VALUE, "how cgroups are managed: only cgroupfs", "cgroupfs"),
    Option("--rootless", VALUE, "taken for compatibility: true, false or auto", "auto"),
    Option("--criu", VALUE, "taken for compatibility"),
    Option("--version -v -V", SWITCH, "show the version"),
)
# verb -> (module of `commands`, purpose)
VERBS: dict[str, tuple[str, str]] = {
    "checkpoint": ("refused", "save a running container (not supported)"),
    "create": ("create", "create a container"),
    "delete": ("delete", "delete a container and everything it holds"),
    "events": ("events", "show statistics and out-of-memory events of a container"),
    "exec": ("execute", "execute a further process in a container"),
    "features": ("features", "show what this runtime can do"),
    "kill": ("kill", "send a signal to a container's first process (default: SIGTERM)"),
    "list": ("show", "list the containers below --root"),
    "pause": ("pause", "suspend all processes of a container"),
    "ps": ("ps", "show the processes of a container"),
    "restore": ("refused", "restore a container from a checkpoint (not supported)"),
    "resume": ("pause", "resume the processes of a paused container"),
    "run": ("run", "create and start a container, and wait for its end"),
    "spec": ("spec", "write a config.json to start from"),
    "start": ("start", "execute the program of a created container"),
    "state": ("show", "show the state of a container"),
    "update": ("update", "change the limits of a container"),
}


def run_line(arguments: list[str]) -> int:
    """Run the command line in `arguments`; returns the exit code."""
    program = program_name()
    report = Report(program)
    failure = 1
    try:
        words = parse(arguments, OPTIONS, mixed=False)
        debug = words.has("debug") or words.text("log_level") == "debug"
        report.open(words.text("log"), words.text("log_format"), debug=debug)
        name, *rest = words.positional or ["help"]
        if words.has("version"):
            return _version(program)
        if words.has("help") or name in {"help", "h"}:
            return _help(program, rest)
        if name not in VERBS:
            report.error(f"No help topic for {name!r}", "--help lists the commands")
            return 3
        verb = _verb(name)
        failure = verb.failure
        own = parse(rest, verb.options, mixed=verb.mixed)
        if own.has("help"):
            return _help(program, [name])
        _refuse(words)
        return verb.run(Command(Containers(_root(words)), report), own)
    except SampanError as error:
        report.error(error.sentence, error.remedy)
    except StepFailed as error:
        report.error(f"{error.step}: {error.text}", error.remedy)
    except OSError as error:
        report.error(describe_failure(error))
    except KeyboardInterrupt:
        return 130
    return failure


def _verb(name: str) -> Verb:
    module = f"sampan.runtime.commands.{VERBS[name][0]}"
    __import__(module)
    quick_modules.withdraw()
    verbs: dict[str, Verb] = sys.modules[module].VERBS
    return verbs[name]


def _root(words: Words) -> str:
    root = words.text("root")
    if root:
        return os.path.abspath(root)
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    return DEFAULT_ROOT if os.geteuid() == 0 or not own else os.path.join(own, "sampan-runtime")


def _refuse(words: Words) -> None:
    if words.has("systemd_cgroup") or words.text("cgroup_manager") == "systemd":
        raise NotImplementedHere(
            "cgroups cannot be managed by systemd",
            remedy="use cgroupfs: leave --systemd-cgroup out, --cgroup-manager too",
        )
    manager = words.text("cgroup_manager", "cgroupfs")
    if manager != "cgroupfs":
        raise NotImplementedHere(f"cgroup manager {manager!r} is not supported", remedy="use --cgroup-manager cgroupfs")


def _version(program: str) -> int:
    answer(f"{program} version {VERSION}\ncommit: {VERSION}\nspec: {OCI_RUNTIME}\n")
    return 0


def _help(program: str, about: list[str]) -> int:
    if not about:
        verbs = "\n".join(f"   {name:<12}{purpose}" for name, (_, purpose) in VERBS.items())
        answer(
            f"NAME:\n   {program} - {PURPOSE}\n\nUSAGE:\n   {program} [global options] command [command options]"
            f" [arguments...]\n\nVERSION:\n   {VERSION}\n\nCOMMANDS:\n{verbs}\n\nGLOBAL OPTIONS:\n{describe(OPTIONS)}\n"
        )
        return 0
    name = about[0]
    if name not in VERBS:
        answer(f"No help topic for {name!r}\n")
        return 3
    verb = _verb(name)
    answer(
        f"NAME:\n   {program} {name} - {VERBS[name][1]}\n\nUSAGE:\n   {program} {name} {verb.usage}"
        f"\n\nOPTIONS:\n{describe(verb.options)}\n"
    )
    return 0
