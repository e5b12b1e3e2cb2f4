"""What a client offers with a session, before gRPC is loaded for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client says of its session: an id, the methods that it serves, in lower case.

    By `shared_key` its directories are known again, as long as they have the same names; "" is for who is not known.
    """

    id: str
    methods: frozenset[str]
    shared_key: str = ""
