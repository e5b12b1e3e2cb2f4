"""What draws on a terminal is loaded for works that take longer than a moment: rich takes longer than many of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sampan.client.transport import Response

PATIENCE_S = 0.15


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
    yield from chunks
