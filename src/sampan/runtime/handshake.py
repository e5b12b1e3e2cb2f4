"""The conversation between the process that starts a container and its child that becomes it; drawn here, once.

One packet a message on a SOCK_SEQPACKET socket pair. Time runs downwards:

    parent                                         child
      │ clone3 ──────────────────────────────────▶   │
      │ ── PLAN [memfd] ─────────────────────────▶   │  (a child cloned ahead of its plan: `ahead`)
      │ ── SOURCES numbers [descriptors] ────────▶   │  (the same)
      │ ── BORN pid ─────────────────────────────▶   │  ids are mapped, id-mapped mounts are ready
      │                                              │  namespaces, root, mounts, devices
      │ ◀──────────────────────── CONSOLE [master] ──│  (with a terminal)
      │ ◀──────────────────────────────── PREPARED ──│  (with hooks: pivot_root comes next)
      │ ── HOOKED ───────────────────────────────▶   │  prestart and createRuntime have run
      │                                              │  all that remains but the program itself
      │ ◀────────────────────────── READY rlimits ───│  stands at the gate; what only the parent may raise; marks
      │ ── GO ───────────────────────────────────▶   │
      │ ◀───────────────────────────────── FILTERING │  (with a seccomp listener)
      │ ◀─────── LISTENER [descriptor] path state ───│  the filter is in force; without a path it is the parent's own
      │ ◀────────────────────────────────── UNHEARD ─│  (or none: there is one already)
      │ ◀───────────────────────────── end of file ──│  execve succeeded: the socket is close-on-exec

At any point the child may say FAILED and exit; when the parent goes away, the child exits. With a gate of its own (a
unix socket that another process opens later) the socket pair ends after READY, and the same words go on over the
connection that the gate accepts.

What the messages make of the world is not known here.
"""

from __future__ import annotations

import array
import enum
import fcntl
import os
import select
import socket
from dataclasses import dataclass

from sampan.errors import Kind, SampanError

Mark = tuple[str, int]  # the name of a step, and when it began: nanoseconds of CLOCK_MONOTONIC

_MOST_BYTES = 65536
_MOST_TEXT = 8192
_MOST_DESCRIPTORS = 253  # SCM_MAX_FD (unix(7))


class Say(enum.IntEnum):
    """Every message; the drawing above says who says it when."""

    BORN = 1
    PREPARED = 2
    HOOKED = 3
    CONSOLE = 4
    READY = 5
    GO = 6
    FILTERING = 7
    LISTENER = 8
    FAILED = 9
    UNHEARD = 10
    PLAN = 11
    SOURCES = 12


class StepFailed(Exception):
    """A step of a start did not work; what the start had taken is released when this is raised.

    `step` is the name of a function in a table of steps, `text` the sentence without it, `errno` 0 when no system call
    failed, `remedy` may be empty.
    """

    def __init__(self, step: str, errno: int, text: str, kind: Kind = Kind.SYSTEM, remedy: str = "") -> None:
        super().__init__(step, errno, text, kind, remedy)
        self.step = step
        self.errno = errno
        self.text = text
        self.kind = kind
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.step}: {self.text}"


class Disconnected(Exception):
    """The other end is gone."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One received message; the descriptors are close-on-exec and the receiver's to close."""

    say: Say
    words: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()


class Channel:
    """One end of the conversation."""

    __slots__ = ("_socket",)

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """The two ends, for the parent and for the child; close-on-exec."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        """The socket's descriptor, -1 when closed."""
        return self._socket.fileno()

    def move(self, lowest: int) -> None:
        """Give the socket a descriptor of at least `lowest`, still close-on-exec, when its own is lower."""
        if self._socket.fileno() >= lowest:
            return
        number = fcntl.fcntl(self._socket.fileno(), fcntl.F_DUPFD_CLOEXEC, lowest)
        self._socket.close()
        self._socket = socket.socket(fileno=number)

    def close(self) -> None:
        """Close it; idempotent."""
        self._socket.close()

    def tell(self, say: Say, *words: str, descriptors: tuple[int, ...] = ()) -> None:
        """Send one message; Disconnected when nobody hears it."""
        packet = bytes([say]) + "\0".join(words).encode("utf-8", "surrogateescape")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._socket.sendmsg([packet], rights, socket.MSG_NOSIGNAL)
        except ConnectionError as error:
            if say is not Say.FAILED:
                self.hear()  # the other end may have said FAILED before it went
            raise Disconnected(str(error)) from None

    def wait(self, timeout_s: float) -> bool:
        """Whether there is something to hear, or the end, within `timeout_s`."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def hear(self) -> Heard:
        """Wait for the next message; Disconnected at the end, StepFailed when it is FAILED."""
        packet, descriptors = self._receive()
        if not packet:
            raise Disconnected("end of file")
        say = Say(packet[0])
        text = packet[1:].decode("utf-8", "surrogateescape")
        words = tuple(text.split("\0")) if text else ()
        if say is Say.FAILED:
            step, number, kind, sentence, remedy = words
            raise StepFailed(step, int(number), sentence, Kind[kind], remedy)
        return Heard(say, words, descriptors)

    def expect(self, *wanted: Say) -> Heard:
        """hear(), and refuse what is not wanted now: a fault of ours, not of the user's."""
        heard = self.hear()
        if heard.say not in wanted:
            raise StepFailed("handshake", 0, f"heard {heard.say.name} instead of {' or '.join(s.name for s in wanted)}")
        return heard

    def _receive(self) -> tuple[bytes, tuple[int, ...]]:
        space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4)
        try:
            packet, ancillary, _, _ = self._socket.recvmsg(_MOST_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            # The other end went without reading all. That is told once, before what it had said (unix(7)).
            packet, ancillary, _, _ = self._socket.recvmsg(_MOST_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        descriptors: list[int] = []
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) // numbers.itemsize * numbers.itemsize])
                descriptors.extend(numbers)
        return packet, tuple(descriptors)


def failure(step: str, error: BaseException) -> StepFailed:
    """What `error` means for the start: its errno, kind and sentence, lower case and with its path."""
    match error:
        case StepFailed():
            return error
        case SampanError():
            return StepFailed(step, 0, error.sentence, error.kind, error.remedy)
        case OSError():
            return StepFailed(step, error.errno or 0, describe(error))
        case _:
            return StepFailed(step, 0, f"{type(error).__name__}: {error}")


def failed_words(error: StepFailed) -> tuple[str, ...]:
    """The words of FAILED."""
    clean = (error.step, str(error.errno), error.kind.name, error.text[:_MOST_TEXT], error.remedy[:_MOST_TEXT])
    return tuple(word.replace("\0", " ") for word in clean)


def describe(error: OSError) -> str:
    """The sentence of an OSError: call and path, and the kernel's word in lower case as Docker's clients know it."""
    word = os.strerror(error.errno or 0)
    sentence = (error.strerror or str(error)).replace(word, word[:1].lower() + word[1:])
    about = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else error.filename
    return f"{sentence}: {about}" if about not in (None, "") else sentence
