"""`sampan version`: which versions the two ends have."""

from __future__ import annotations

import sys

from sampan.client.failure import ClientError
from sampan.client.session import API_VERSION
from sampan.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show the versions of this program and of the daemon"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (("format", "f", "string", "", "How to print: json, or a Go template"),)
_HEADINGS = {
    "ApiVersion": "API version",
    "MinAPIVersion": "Oldest API version",
    "GitCommit": "Git commit",
    "GoVersion": "Go version",
    "PythonVersion": "Python",
    "BuildTime": "Built",
    "KernelVersion": "Kernel",
}


def client_document() -> dict[str, Any]:
    """What there is to say of this end."""
    python = f"{sys.implementation.name} {'.'.join(str(number) for number in sys.version_info[:3])}"
    return {
        "Version": VERSION,
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": python,
        "Os": sys.platform,
        "Arch": _architecture(),
    }


def _architecture() -> str:
    import posix

    machine = posix.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def run(arguments: Arguments, session: Session) -> int:
    """Print both; without a daemon, this end, and fail."""
    client = client_document()
    server: dict[str, Any] | None = None
    failure: ClientError | None = None
    try:
        server = session.call("GET", "/version")
    except ClientError as error:
        failure = error
    template = arguments.text("format")
    if template:
        from sampan.cli.formats.template import Template, unescaped

        source = "{{json .}}" if template == "json" else unescaped(template)
        sys.stdout.write(Template(source).render({"Client": client, "Server": server}) + "\n")
    else:
        sys.stdout.write(_block("Client: sampan", client))
        if server is not None:
            name = (server.get("Platform") or {}).get("Name") or "engine"
            sys.stdout.write("\n" + _block(f"Server: {name}", server))
    if failure is not None:
        raise failure
    return 0


def _block(heading: str, document: dict[str, Any]) -> str:
    lines = [heading]
    for key, value in document.items():
        if isinstance(value, (str, bool)) and value != "" and key != "DefaultAPIVersion":
            lines.append(f" {_HEADINGS.get(key, key) + ':':<21}{str(value).lower() if value is True else value}")
    for component in document.get("Components") or []:
        lines.append(f" {component['Name']}:")
        details = {"Version": component.get("Version", ""), **(component.get("Details") or {})}
        lines += [f"  {_HEADINGS.get(key, key) + ':':<20}{value}" for key, value in details.items() if value]
    return "\n".join(lines) + "\n"
