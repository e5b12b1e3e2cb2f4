"""Names for containers that were given none: an adjective and a word of the water, as in `calm_heron`."""

from __future__ import annotations

import secrets
from collections.abc import Callable

_ADJECTIVES = (
    "able agile amber ample bold brave bright brisk calm candid clear clever cool crisp dapper deft eager early easy "
    "even fair fast fine firm fleet fresh gentle glad golden grand green happy hardy honest humble jolly keen kind "
    "lively loyal lucky merry mild neat nimble noble patient placid plucky polite proud quick quiet rapid ready "
    "serene sharp silent silver sleek smart smooth snug steady still sturdy sunny swift tidy trim true upbeat vivid "
    "warm wise witty zesty"
).split()
_NOUNS = (
    "anchor barge bay beacon bream breeze buoy canal carp cove crab creek current delta dinghy dock dolphin egret eel "
    "estuary ferry fjord gull harbor heron hull inlet island jetty kayak keel kelp lagoon lantern loach lotus marina "
    "mast mooring mullet oar otter oyster paddle pearl pelican pier plover port prawn quay raft reed reef rudder sail "
    "salmon sampan sandbar schooner seal shoal shore sloop sound spray squid strait stream swan tern tide tiller trout "
    "tug turtle wake wharf wherry willow"
).split()


def invent(is_taken: Callable[[str], bool]) -> str:
    """A free name."""
    while True:
        name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_NOUNS)}"
        if not is_taken(name):
            return name
        name = f"{name}{secrets.randbelow(1000)}"
        if not is_taken(name):
            return name
