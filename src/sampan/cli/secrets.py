"""What `sampan secret` and `sampan config` have in common; what mounts them is in `request.mounts`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.formats.listing import Column
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

LIST_OPTIONS = (
    ("filter", "f", "filter", "", "Show only those that match, as in label=a=b"),
    ("format", "", "string", "", "How to print: table, json, a Go template, or `table` and a template"),
    ("quiet", "q", "bool", "", "Print only the ids"),
)


def create(arguments: Arguments, session: Session, kind: str) -> int:
    """Send a file's or standard input's content, and print the id."""
    from base64 import b64encode

    from sampan.cli.request.environment import read_labels

    name, source = arguments.words
    with open(0 if source == "-" else source, "rb", closefd=source != "-") as file:
        content = file.read()
    body: dict[str, Any] = {"Name": name, "Data": b64encode(content).decode(), "Labels": {}}
    if arguments.items("label"):
        body["Labels"] = read_labels(arguments.items("label"))
    sys.stdout.write(session.call("POST", f"/{kind}s/create", None, body)["ID"] + "\n")
    return 0


def list_all(arguments: Arguments, session: Session, kind: str) -> int:
    """Print those that there are, by name."""
    from sampan.cli.filters import filters_query
    from sampan.cli.formats.containers import labels_text
    from sampan.cli.formats.listing import show

    columns: dict[str, Column] = {
        "CreatedAt": ("CREATED", lambda one: _ago(one["CreatedAt"])),
        "ID": ("ID", lambda one: one["ID"]),
        "Labels": ("LABELS", lambda one: labels_text(one["Spec"].get("Labels"))),
        "Name": ("NAME", lambda one: one["Spec"]["Name"]),
        "UpdatedAt": ("UPDATED", lambda one: _ago(one["UpdatedAt"])),
    }
    found = session.call("GET", f"/{kind}s", filters_query(arguments))
    quiet = "ID" if arguments.flag("quiet") else ""
    show(found, columns, ("ID", "Name", "CreatedAt", "UpdatedAt"), arguments.text("format"), quiet=quiet)
    return 0


def _ago(written: str) -> str:
    """How long ago a point in time of the daemon's is, which it writes as RFC 3339 in UTC."""
    from calendar import timegm
    from time import strptime

    from sampan.cli.formats.written import ago

    return ago(timegm(strptime(written[:19], "%Y-%m-%dT%H:%M:%S")))
