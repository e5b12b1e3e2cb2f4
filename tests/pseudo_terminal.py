"""What a process writes to a terminal, to the last byte.

Reading until nobody has the terminal any more does not do: what is written right before the last one goes may be lost
(seen once in thousands on a busy machine, Linux 6.18). So it stays open here, and a mark of ours ends what is read.
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Callable

_END = b"\0that was all\0"


def read_to_the_end(
    master: int, slave: int, process: subprocess.Popen[bytes], look: Callable[[bytes], None] = lambda _: None
) -> bytes:
    """All that is written until `process` has ended; `look` is shown what there is so far, whenever more has come."""
    written = b""
    while process.poll() is None:
        if piece := _read_some(master):
            written += piece
            look(written)
    os.write(slave, _END)
    while _END not in written:
        written += _read_some(master)
    return written.replace(_END, b"")


def _read_some(master: int) -> bytes:
    return os.read(master, 65536) if select.select([master], [], [], 0.05)[0] else b""
