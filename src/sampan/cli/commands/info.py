"""`sampan info`: what the engine and its host are."""

from __future__ import annotations

import sys

from sampan.cli.formats.written import binary_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show what the engine and its host are"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (("format", "f", "string", "", "How to print: json, or a Go template"),)
_LINES = (
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
    ("Cgroup Version", "CgroupVersion"),
    ("Default Runtime", "DefaultRuntime"),
    ("Init Binary", "InitBinary"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("ID", "ID"),
    ("Root Dir", "DockerRootDir"),
    ("Debug Mode", "Debug"),
    ("Experimental", "ExperimentalBuild"),
    ("Live Restore Enabled", "LiveRestoreEnabled"),
)
_LISTS = (("Insecure Registries", "InsecureRegistryCIDRs"), ("Labels", "Labels"))


def run(arguments: Arguments, session: Session) -> int:
    """Print it, and what the engine warns of."""
    info = session.call("GET", "/info")
    source = arguments.text("format")
    if source:
        from sampan.cli.formats.template import Template, unescaped

        template = Template("{{json .}}" if source == "json" else unescaped(source))
        sys.stdout.write(template.render(info) + "\n")
        return 0
    sys.stdout.write(f"Server: {session.endpoint}\n" + "".join(f" {line}\n" for line in info_lines(info)))
    sys.stdout.flush()
    sys.stderr.write("".join(f"{warning}\n" for warning in info.get("Warnings") or []))
    return 0


def info_lines(info: dict[str, Any]) -> list[str]:
    """The document as lines for people."""
    lines = [f"Containers: {info['Containers']}"]
    lines += [f" {state}: {info[f'Containers{state}']}" for state in ("Running", "Paused", "Stopped")]
    lines.append(f"Images: {info['Images']}")
    for heading, key in _LINES:
        value = info.get(key)
        if value in {None, ""}:
            continue
        text = (
            binary_size(value) if key == "MemTotal" else str(value).lower() if isinstance(value, bool) else str(value)
        )
        lines.append(f"{heading}: {text}")
        if key == "Driver":
            lines += [f" {name}: {status}" for name, status in info.get("DriverStatus") or []]
    plugins = {kind: names for kind, names in (info.get("Plugins") or {}).items() if names}
    if plugins:
        lines += ["Plugins:", *(f" {kind}: {' '.join(names)}" for kind, names in plugins.items())]
    if info.get("Runtimes"):
        lines.append(f"Runtimes: {' '.join(info['Runtimes'])}")
    if info.get("SecurityOptions"):
        lines += ["Security Options:", *(f" {_option(text)}" for text in info["SecurityOptions"])]
    lines.append(f"Swarm: {(info.get('Swarm') or {}).get('LocalNodeState') or 'inactive'}")
    for heading, key in _LISTS:
        if info.get(key):
            lines += [f"{heading}:", *(f" {value}" for value in info[key])]
    return lines


def _option(text: str) -> str:
    """A security option for people: "seccomp (profile builtin)"."""
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    name = parts.pop("name", text)
    details = ", ".join(f"{key.lower()} {value}" for key, value in parts.items())
    return f"{name} ({details})" if details else name
