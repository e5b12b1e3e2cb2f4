"""What `run`, `start` and `attach` share: a stream to a container's process, and staying with it until it ends."""

from __future__ import annotations

import posix

from sampan.cli.grammar import Failure
from sampan.cli.relay import Relay, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.client.session import Hijacked, Session
    from sampan.client.transport import Response


def attach(session: Session, id: str, streams: Mapping[str, bool], keys: str = "") -> Hijacked:
    """A stream to the container: which of stdin, stdout and stderr, and the keys by which the daemon detaches it."""
    return session.hijack(f"/containers/{id}/attach", {**streams, "stream": True, "detachKeys": keys or None})


def stay(
    session: Session,
    id: str,
    stream: Hijacked,
    waiting: Response,
    streams: Mapping[str, bool],
    *,
    tty: bool,
    proxy: bool,
    keys: str = "",
    begin: Callable[[], object] | None = None,
) -> int:
    """Carry bytes until the container ends and give its exit code, or 0 when the user left it running.

    `begin` starts it, once everything is ready for its first byte; without it the container runs already.
    """
    target = Target(session, "containers", id)
    outputs = streams["stdout"] or streams["stderr"]
    relay = Relay(stream, target, stdin=streams["stdin"], tty=tty, outputs=outputs, proxy=proxy)
    try:
        relay.prepare(keys)
        if begin is not None:
            begin()
        if tty and posix.isatty(1):
            from sampan.cli.terminal import window_size

            rows, columns = window_size(1)
            if begin is None:
                target.resize(rows + 1, columns)  # a change, so that a program that runs already draws itself anew
            target.resize(rows, columns)
        relay.run(until=waiting.connection)
    finally:
        relay.finish()
    if relay.detached:
        say_detached()
        return 0
    stream.close()
    return exit_code(waiting)


def say_detached() -> None:
    """End the line in which the keys were typed, and say what they did."""
    posix.write(2, b"\ndetached; it goes on running\n")


def exit_code(waiting: Response) -> int:
    """The code that the daemon tells when the container has ended."""
    from sampan.client.json_text import loads

    answer = loads(waiting.read())
    error = (answer.get("Error") or {}).get("Message")
    if error:
        raise Failure(f"the container could not be waited for: {error}", code=125)
    code: int = answer["StatusCode"]
    return code
