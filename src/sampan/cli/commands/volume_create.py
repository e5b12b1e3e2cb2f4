"""`sampan volume create`: a volume."""

from __future__ import annotations

import sys

from sampan.cli.request.environment import key_values, read_labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Make a volume"
USAGE = ("[OPTIONS] [VOLUME]",)
WORDS = (0, 1)
OPTIONS = (
    ("driver", "d", "string", "local", "Who keeps it"),
    ("label", "", "list", "", "Set a label (key=value)"),
    ("opt", "o", "map", "", "Option of the driver (key=value)"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Make it and print its name."""
    document: dict[str, Any] = {"Driver": arguments.text("driver")}
    if arguments.items("opt"):
        document["DriverOpts"] = key_values(arguments.items("opt"))
    if arguments.items("label"):
        document["Labels"] = read_labels(arguments.items("label"))
    if arguments.words:
        document["Name"] = arguments.words[0]
    sys.stdout.write(session.call("POST", "/volumes/create", None, document)["Name"] + "\n")
    return 0
