"""Our nftables table in the kernel: elements added and removed, and all of it made anew when others were there.

Others are noticed by the generation number (linux.nft_generation): as long as it is the one that our own last
transaction left, the table is as we made it, and looking costs microseconds. Otherwise it is written again as a whole,
in one transaction, so that no packet sees a half.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from sampan.linux.nft_generation import Generation
from sampan.linux.nftables import Nftables
from sampan.network import rules
from sampan.network.bridge import read_sysctl
from sampan.network.rules import Elements

type Whole = Callable[[], Iterable[Elements]]


class Firewall:
    """The table of the caller's network namespace. `whole` tells all elements that shall be there."""

    def __init__(self, table: str, whole: Whole) -> None:
        """`table` is its name, as of rules.table_of()."""
        self.table = table
        self._whole = whole
        self._nftables: Nftables | None = None
        self._generation: Generation | None = None
        self._known = -1

    def is_untouched(self) -> bool:
        """Whether nobody has changed any rule of this host since we did."""
        return self._generation is not None and self._generation.read() == self._known

    def add(self, elements: Elements) -> None:
        """Have these elements in the table; they are in `whole` already."""
        if not self.is_untouched():
            self.write()
        elif elements:
            self._run(rules.additions(self.table, elements))

    def remove(self, elements: Elements) -> None:
        """Have these elements no more; they are out of `whole` already."""
        if not self.is_untouched():
            self.write()
        elif elements:
            self._run(rules.removals(self.table, elements))

    def write(self) -> None:
        """Make the whole table what it shall be."""
        loopback6 = read_sysctl("bridge/bridge-nf-call-ip6tables") != "1"
        skeleton = rules.skeleton(self.table, loopback6=loopback6)
        self._transact(f"{skeleton}\n{rules.additions(self.table, rules.merged(self._whole()))}")

    def retire(self) -> None:
        """Take the table away when nothing is to be in it, and nobody else has put anything there.

        Nothing happens to one that this daemon never wrote to.
        """
        if self._nftables is None or rules.merged(self._whole()):
            return
        listing = self.listing()
        if listing and rules.is_bare(listing):
            self._transact(f"add table inet {self.table}\ndelete table inet {self.table}")

    def listing(self) -> str:
        """The table as the kernel has it, in JSON; empty when there is none."""
        try:
            return self._open().run(f"list table inet {self.table}", json=True)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return ""
            raise

    def _run(self, commands: str) -> None:
        try:
            self._transact(commands)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.EEXIST}:
                raise
            self.write()

    def _transact(self, commands: str) -> None:
        nftables = self._open()
        assert self._generation is not None  # noqa: S101 -- opened together
        before = self._generation.read()
        nftables.run(commands)
        after = self._generation.read()
        # generations that others made in between are theirs: then the next look writes everything again
        self._known = after if after in {before, before + 1} else -1

    def _open(self) -> Nftables:
        if self._nftables is None:
            self._nftables = Nftables()
            self._generation = Generation()
        return self._nftables

    def close(self) -> None:
        """Let go of the kernel; the table stays."""
        if self._nftables is not None:
            self._nftables.close()
        if self._generation is not None:
            self._generation.close()
