"""What draws on a terminal is loaded for works that take longer than a moment: rich takes longer than many of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Iterator

    from sampan.client.transport import Response
else:  # the signal module costs 4 ms
    import _signal

PATIENCE_S = 0.15
_HEED_S = 0.2  # so late at most a signal is heard of while something is drawn


def patient_chunks(response: Response, left_s: Callable[[], float], draw: Callable[[], None]) -> Iterator[bytes]:
    """An answer's body. `draw` is called once, when we wait for more of it longer than `left_s` says.

    That is asked again and again; a negative number says that it is drawn already, 0 that it is time to.
    """
    chunks = response.chunks()
    while (left := left_s()) >= 0:
        if not response.ready(left):
            draw()
            break
        if chunk := next(chunks, b""):
            yield chunk
        if response.finished:
            return
        if not left and not left_s():
            draw()
            break
    response.wake(_HEED_S)
    yield from chunks
    response.wake(None)  # the next one may send, which is to take its time


def whole(begin_or_end: Callable[[], object]) -> None:
    """Begin or end to draw as a whole: who interrupts us meanwhile is heard when that is done.

    Half of it would leave a terminal without its cursor.
    """
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGINT})
    try:
        begin_or_end()
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
