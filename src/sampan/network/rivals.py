"""Ports that other engines publish in the same network namespace; their tables are as ours, under names of their own.

No socket is bound for a published port (one-table-and-no-process-per-port), so nothing but the rules themselves says
that it is taken: the engine whose rules came first would get what is sent there. Docker and podman bind theirs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from sampan.errors import SampanError
from sampan.linux.nft_generation import Generation
from sampan.linux.nftables import Nftables
from sampan.network.definitions import ANY4, ANY6, is_same_place
from sampan.network.rules import PUBLISHING, is_name

_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}


class Rivals:
    """What the tables of others say; read again when any rule of the network namespace has changed (some 50 µs).

    For one thread. Where nftables cannot be asked nobody is there: whoever writes rules then tells why.
    """

    def __init__(self, table: str) -> None:
        """`table` is our own, as of rules.table_of()."""
        self._table = table
        self._nftables: Nftables | None = None
        self._generation: Generation | None = None
        self._seen = -1
        self._places: dict[tuple[str, int], list[tuple[str, str]]] = {}  # (protocol, port): address, table

    def look(self) -> Callable[[str, int, str], str]:
        """What tells the table of the engine that publishes a port of the host on an address; "" when none does."""
        with contextlib.suppress(OSError, SampanError):
            self._look()
        return self._holder

    def _holder(self, address: str, port: int, protocol: str) -> str:
        found = self._places.get((protocol, port), ())
        return next((table for there, table in found if is_same_place(there, address)), "")

    def close(self) -> None:
        """Let go of the kernel; again is no error."""
        for each in (self._nftables, self._generation):
            if each is not None:
                each.close()

    def _look(self) -> None:
        if self._generation is None or self._nftables is None:
            self._generation, self._nftables = self._generation or Generation(), Nftables()
        now = self._generation.read()
        if now == self._seen:
            return
        self._places = {}
        for table in self._listed("list tables inet", "table"):
            if is_name(table["name"]) and table["name"] != self._table:
                self._read(table["name"])
        self._seen = now

    def _read(self, table: str) -> None:
        for name in PUBLISHING:
            with contextlib.suppress(OSError):  # it has just gone, or is no engine's
                for found in self._listed(f"list map inet {table} {name}", "map"):
                    for key, _ in found.get("elem", ()):
                        *address, protocol, port = key["concat"]
                        where = address[0] if address else ANY6 if name.endswith("6") else ANY4
                        place = _PROTOCOLS.get(protocol, str(protocol)), port
                        self._places.setdefault(place, []).append((where, table))

    def _listed(self, command: str, kind: str) -> list[dict[str, Any]]:
        assert self._nftables is not None  # noqa: S101 -- opened by _look
        answer = json.loads(self._nftables.run(command, json=True))
        return [entry[kind] for entry in answer["nftables"] if kind in entry]
