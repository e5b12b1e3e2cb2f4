"""`sampan doctor`: what is wrong with the networks on this host, and what to do about it."""

from __future__ import annotations

import sys

from sampan.cli.each import complain
from sampan.cli.grammar import UsageError
from sampan.client.failure import ApiError, NamelessError
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Say what is wrong with the networks on this host, and what to do about it"
USAGE = ("[--repair]", "--reach [CONTAINER...]")
DETAILS = """
It looks for what is missing of sampan's own bridges and rules, and for rules and settings of
others that stop the traffic of containers. Rules of others are never changed. The exit code is 1
when anything was found.

With --reach it says instead what is reachable from where, of all running containers or of those
that are named."""
WORDS = (0, -1)
OPTIONS = (
    ("reach", "", "bool", "", "Say what is reachable from where"),
    ("repair", "", "bool", "", "Make again what is missing of sampan's own, then look"),
)
_MODES = {
    "host": "shares the network of this host: its addresses, its ports, its ways out",
    "none": "reaches nobody and is reached by nobody",
}


def run(arguments: Arguments, session: Session) -> int:
    """Print a sentence and its remedy for each finding, or a paragraph for each container."""
    if arguments.flag("reach") and arguments.flag("repair"):
        raise UsageError("--reach and --repair exclude each other", remedy="leave one of them out")
    if arguments.flag("reach"):
        return _reach(arguments, session)
    if arguments.words:
        raise UsageError("containers are named with --reach alone", remedy="sampan doctor --reach CONTAINER")
    found = session.call("POST" if arguments.flag("repair") else "GET", "/system/doctor")
    for one in found:
        sys.stdout.write(f"{one['Sentence']}\n  try: {one['Remedy']}\n")
    if not found:
        sys.stdout.write("nothing is wrong\n")
    return 1 if found else 0


def _reach(arguments: Arguments, session: Session) -> int:
    found: list[dict[str, Any]] = []
    code = 0
    for word in arguments.words:
        try:
            if not word:
                raise NamelessError("container")
            found += session.call("GET", f"/system/reach?container={quote(word)}")
        except (ApiError, NamelessError) as error:
            complain(error)
            code = 1
    if not arguments.words:
        found = session.call("GET", "/system/reach")
    for one in found:
        sys.stdout.write(f"{one['Name']}\n")
        if not one["Places"]:
            mode = one["Mode"]
            sys.stdout.write(f"  {_MODES.get(mode) or f'is reached as {_name(session, mode)} is'}\n")
        for place in one["Places"]:
            sys.stdout.write(f"  in {place['Network']}, as {', '.join(place['Addresses'])}\n")
            for way in place["Inward"]:
                sys.stdout.write(f"    from {way['From']}: {way['What']}\n")
            sys.stdout.write(f"    to {place['Outward']}\n")
    return code


def _name(session: Session, mode: str) -> str:
    """The name of the container whose network `mode` ("container:ID") is; the short id of one that is gone."""
    found = mode.removeprefix("container:")
    try:
        name: str = session.call("GET", f"/containers/{quote(found)}/json")["Name"]
    except ApiError:
        return found[:12]
    return name.removeprefix("/")
