"""`sampan logs`: what a container has printed."""

from __future__ import annotations

import sys

from sampan.cli.relay import write_all
from sampan.client.failure import ProtocolError
from sampan.client.frames import DAEMON_ERROR, STDERR, split_streams
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show what a container has printed"
USAGE = ("[OPTIONS] CONTAINER",)
WORDS = (1, 1)
OPTIONS = (
    ("details", "", "bool", "", "Show the attributes that the log driver kept"),
    ("follow", "f", "bool", "", "Go on with what it prints from now on"),
    ("since", "", "string", "", "Show what was printed since then (10m, or a date)"),
    ("tail", "n", "string", "all", "Show so many lines from the end"),
    ("timestamps", "t", "bool", "", "Show when each line was printed"),
    ("until", "", "string", "", "Show what was printed before then (10m, or a date)"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Copy the log to standard output and error."""
    query: dict[str, str | int | bool | None] = {
        name: arguments.flag(name) for name in ("details", "follow", "timestamps")
    }
    query.update(stderr=True, stdout=True, tail=arguments.text("tail"))
    for option in ("since", "until"):
        if arguments.text(option):
            from sampan.cli.moments import read_moment

            query[option] = read_moment(arguments.text(option), option)
    response = session.request("GET", f"/containers/{quote(arguments.words[0])}/logs", query)
    multiplexed = "multiplexed" in response.headers.get("content-type", "")
    sys.stdout.flush()
    for stream, data in split_streams(response.chunks(), multiplexed=multiplexed):
        if stream == DAEMON_ERROR:
            raise ProtocolError(f"the log cannot be read further: {data.decode(errors='replace').strip()}")
        write_all(2 if stream == STDERR else 1, data)
    return 0
