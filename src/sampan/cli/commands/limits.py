"""`sampan limits`: each limit of a running container, its file, and what it has refused."""

from __future__ import annotations

import sys

from sampan.cli.formats.table import columns
from sampan.cli.formats.written import binary_size
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show the limits of a running container, and what they have refused"
USAGE = ("[OPTIONS] CONTAINER",)
WORDS = (1, 1)
OPTIONS = (("json", "", "bool", "", "Print JSON, with the kernel's own numbers"),)
DETAILS = """
The file is the kernel's own: what stands there is what holds. Its directory is
one of those below. Limits of a group that several containers share come last.
"""
_WIDEST = 40
HEADINGS = ["LIMIT", "VALUE", "USED", "REFUSED", "FILE"]


def run(arguments: Arguments, session: Session) -> int:
    """Print a line for each."""
    limits = session.call("GET", f"/containers/{quote(arguments.words[0])}/limits") or []
    if arguments.flag("json"):
        from sampan.client import json_text

        sys.stdout.write(json_text.dumps(limits).decode() + "\n")
        return 0
    own = limits[0]["File"].split("/")[-2] if limits else ""
    sys.stdout.write(columns([HEADINGS, *(_row(limit, own) for limit in limits)]))
    directories = dict.fromkeys(limit["File"].rpartition("/")[0] for limit in limits)
    sys.stdout.write("\n" + "".join(f"{path}/\n" for path in directories if path.endswith(f"/{own}")))
    return 0


def _row(limit: dict[str, Any], own: str) -> list[str]:
    unit = limit["Unit"]
    refused = limit["Refused"]
    directory, _, file = limit["File"].rpartition("/")
    return [
        limit["Name"],
        _short(_amount(limit["Value"], unit)) if limit["Value"] is not None else "-",
        _amount(limit["Use"], unit) if limit["Use"] is not None else "-",
        f"{refused} {limit['Refusal']}" if refused else "-",
        file if directory.endswith(f"/{own}") else limit["File"],
    ]


def _short(text: str) -> str:
    """What fits a column; --json has all of it."""
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _amount(value: str | int, unit: str) -> str:
    """A number with its unit; what has several lines goes on one."""
    text = str(value)
    if unit == "bytes" and text.isdigit():
        return binary_size(int(text))
    if unit == "us" and text.isdigit():
        return f"{text} us"
    return ", ".join(text.splitlines())
