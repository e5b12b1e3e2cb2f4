"""`sampan image cp`: images from one engine to another, without a registry and without a file between."""

from __future__ import annotations

import sys

from sampan.cli.grammar import UsageError
from sampan.cli.only_here import is_sampans
from sampan.cli.pulling import show_progress
from sampan.client.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments

SUMMARY = "Copy images to another engine"
USAGE = ("[OPTIONS] IMAGE [IMAGE...] HOST|CONTEXT",)
DETAILS = """HOST is where the other engine listens (unix:///path.sock or tcp://host:port),
CONTEXT a docker context. Layers of images that the other engine has are not
sent, unless it is Docker's, which cannot fill them in.
"""
WORDS = (2, -1)
OPTIONS = (
    ("from", "", "bool", "", "Copy from there to here"),
    ("quiet", "q", "bool", "", "Do not show how it goes"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Let the one engine's archive be the other one's upload."""
    *names, place = arguments.words
    if not place:
        raise UsageError("the other engine's address is empty", remedy="write it as in unix:///path.sock", code=1)
    other = open_other(place)
    source, target = (other, session) if arguments.flag("from") else (session, other)
    since = _in_both(source, target)
    archive = source.request("GET", "/images/get", {"names": names, "since": since})
    query = {"quiet": arguments.flag("quiet") or not sys.stdout.isatty()}
    headers = {"Content-Type": "application/x-tar"}
    response = target.request("POST", "/images/load", query, archive.chunks(), headers)
    show_progress(response, sys.stdout)
    return 0


def open_other(place: str) -> Session:
    """The session with the engine at an address or of a context."""
    from sampan.client.lookup import find_endpoint

    endpoint, _ = find_endpoint(place, "") if "://" in place else find_endpoint("", place)
    return Session(endpoint)


def _in_both(source: Session, target: Session) -> list[str]:
    """The ids of the images that both have, when the target can take layers from them."""
    if not is_sampans(target):
        return []
    there = {image["Id"] for image in target.call("GET", "/images/json", {"all": True})}
    return [image["Id"] for image in source.call("GET", "/images/json", {"all": True}) if image["Id"] in there]
