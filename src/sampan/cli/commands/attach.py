"""`sampan attach`: join a running container's own process."""

from __future__ import annotations

from sampan.cli.attaching import attach, stay
from sampan.cli.commands.run import check_terminal, detach_keys
from sampan.cli.grammar import Failure
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Join the input and output of a running container"
USAGE = ("[OPTIONS] CONTAINER",)
WORDS = (1, 1)
OPTIONS = (
    ("detach-keys", "", "string", "", "Keys that leave the container running, by default ctrl-p,ctrl-q"),
    ("no-stdin", "", "bool", "", "Pass no input on"),
    ("sig-proxy", "", "bool", "true", "Pass signals on to the process"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Stay with the container until it ends or is left."""
    name = arguments.words[0]
    container = session.call("GET", f"/containers/{quote(name)}/json")
    check_running(container, name)
    config = container["Config"]
    tty = bool(config["Tty"])
    stdin = bool(config["OpenStdin"]) and not arguments.flag("no-stdin")
    check_terminal(stdin=stdin, tty=tty, remedy="attach from a terminal, or with --no-stdin")
    keys = detach_keys(arguments)
    streams = {"stdin": stdin, "stdout": True, "stderr": True}
    waiting = session.request("POST", f"/containers/{container['Id']}/wait")
    stream = attach(session, container["Id"], streams, keys)
    proxy = arguments.flag("sig-proxy") and not tty
    return stay(session, container["Id"], stream, waiting, streams, tty=tty, proxy=proxy, keys=keys)


def check_running(container: dict[str, Any], name: str) -> None:
    """Refuse a container whose process cannot be talked to."""
    state = container["State"]
    if not state["Running"]:
        raise Failure(f"container {name} does not run", remedy=f"start it with `sampan start -ai {name}`")
    if state["Paused"]:
        raise Failure(f"container {name} is paused", remedy=f"let it go on with `sampan unpause {name}`")
    if state["Restarting"]:
        raise Failure(f"container {name} is restarting", remedy="wait until it runs")
