"""`sampan stop`: ask containers to end, and make them end when they do not."""

from __future__ import annotations

from sampan.cli.each import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "End running containers"
USAGE = ("[OPTIONS] CONTAINER [CONTAINER...]",)
WORDS = (1, -1)
OPTIONS = (
    ("signal", "s", "string", "", "Ask with this signal instead of the container's own"),
    ("time", "t", "int", "", "Seconds to wait before SIGKILL; -1 waits for ever"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Stop all of them at once."""
    return each(session, "POST", arguments.words, "/containers/{}/stop", stop_query(arguments))


def stop_query(arguments: Arguments) -> dict[str, str | int | bool | None]:
    """The query of a stop or restart."""
    return {
        "signal": arguments.text("signal") or None,
        "t": arguments.number("time") if arguments.given("time") else None,
    }
