"""A compressed stream on its way in: digested, decompressed, digested again, and handed to a consumer in one pass.

The caller's thread reads, digests and decompresses; the consumer (which unpacks) has a thread of its own, so a stream
that fails, ends or blocks is the caller's own matter and no thread is left behind. Hashing and decompressing go on
without the interpreter's lock. What a digest is compared with is the caller's business.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sampan.errors import InvalidArgument
from sampan.image.compression import MAGIC_BYTES, PIECE, Compression, decompress, detect
from sampan.image.tar_read import DEFAULT_LIMITS, ArchiveLimits
from sampan.oci.digest import Digester

SHA256 = "sha256"
_DEPTH = 8  # pieces between the two threads: 2 MiB


@dataclass(frozen=True, slots=True)
class Arrived:
    """A stream that has been read to its end: digests as "sha256:…", sizes in bytes.

    `digest` is by the algorithm that was asked for, `diff_id` by sha256 always.
    """

    digest: str
    size: int
    diff_id: str
    plain_size: int
    compression: Compression


Reading = Callable[[int], bytes]  # a source's read method: at most so many bytes, b"" at the end


def flow_in[Result](
    read: Reading,
    consume: Callable[[Iterator[bytes]], Result],
    limits: ArchiveLimits = DEFAULT_LIMITS,
    algorithm: str = SHA256,
) -> tuple[Arrived, Result]:
    """Run `consume` over the plain bytes of the stream; what it leaves is read to the end and digested.

    Raises what `consume` or `read` raises, or InvalidArgument for a damaged stream or one past the limits; the consumer
    has ended by then.
    """
    handover = _Handover()
    taken = Digester(algorithm)
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            pieces = handover.pieces()
            outcome.append(consume(pieces))
            for _ in pieces:
                pass
        except _Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            failure.append(error)
        finally:
            handover.leave()

    worker = threading.Thread(target=work, name="unpack", daemon=True)
    worker.start()
    try:
        arrived = _pump(read, handover, limits, taken)
    except BaseException as error:
        handover.abandon()
        worker.join()
        if failure and isinstance(error, _ConsumerGone):
            raise failure[0] from None
        raise
    worker.join()
    if failure:
        raise failure[0]
    if handover.digesting:
        arrived = replace(arrived, diff_id=f"sha256:{handover.given.hexdigest()}")
    return arrived, outcome[0]


def _pump(read: Reading, handover: _Handover, limits: ArchiveLimits, taken: Digester) -> Arrived:
    plain_size = 0

    def raw() -> Iterator[bytes]:
        data = magic
        while data:
            taken.update(data)
            yield data
            data = read(PIECE)

    magic = b""
    while len(magic) < MAGIC_BYTES and (more := read(PIECE)):
        magic += more
    compression = detect(magic)
    plain = compression is Compression.NONE
    handover.digesting = not plain or taken.algorithm != SHA256
    for piece in decompress(compression, raw()):
        plain_size += len(piece)
        if not plain and plain_size > limits.ratio_free_bytes and plain_size > taken.size * limits.max_ratio:
            raise InvalidArgument(
                f"the {compression.value} stream unpacks to more than {limits.max_ratio} times its size",
                remedy="decompress it first if it is honest",
            )
        handover.put(piece)
    handover.end()
    digest = str(taken.digest())
    return Arrived(digest, taken.size, digest, plain_size, compression)


class _Abandoned(Exception):
    """The stream failed; what was made of it is of no use."""


class _ConsumerGone(Exception):
    """The consumer ended with an error; there is no use in reading on."""


class _Handover:
    """A bounded queue that either side may leave; the plain bytes are digested where they come out of it."""

    def __init__(self) -> None:
        self.digesting = False
        self.given = hashlib.sha256()
        self._pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(_DEPTH)
        self._gone = False
        self._abandoned = False

    def put(self, piece: bytes) -> None:
        self._room.acquire()
        if self._gone:
            raise _ConsumerGone
        self._pieces.put(piece)

    def end(self) -> None:
        self._pieces.put(b"")

    def abandon(self) -> None:
        self._abandoned = True
        self._pieces.put(None)

    def leave(self) -> None:
        self._gone = True
        self._room.release()

    def pieces(self) -> Iterator[bytes]:
        while True:
            piece = self._pieces.get()
            if piece is None or self._abandoned:
                raise _Abandoned
            if not piece:
                return
            if self.digesting:
                self.given.update(piece)
            yield piece
            self._room.release()
