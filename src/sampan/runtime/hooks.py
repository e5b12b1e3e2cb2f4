"""Running the hooks of the OCI runtime specification, and the state document that each gets on its standard input.

When which kind runs, and what a failing one means, is known to `launch` and `init`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable

from sampan.linux import process
from sampan.runtime.handshake import StepFailed
from sampan.runtime.json_text import dumps
from sampan.runtime.launch_plan import HookPlan, LaunchPlan, ProcessPlan
from sampan.version import OCI_RUNTIME

_KEPT = 2048  # bytes of a failing hook's own words
_NOT_EXECUTED = 127


def state_document(plan: LaunchPlan, status: str, pid: int) -> bytes:
    """The container's state as JSON (runtime specification, "State"); `pid` as the reader's pid namespace counts."""
    return dumps(_state(plan, status, pid)).encode()


def process_state(plan: LaunchPlan, own: ProcessPlan, pid: int) -> bytes:
    """What a seccomp listener gets beside the descriptor ("The Container Process State" of the specification)."""
    document = {
        "ociVersion": OCI_RUNTIME,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": own.seccomp.metadata if own.seccomp else "",
        "state": _state(plan, "creating", pid),
    }
    return dumps(document).encode()


def run_hooks(kind: str, hooks: tuple[HookPlan, ...], state: bytes) -> None:
    """Run hooks in their order and stop at the first that fails: StepFailed names its kind, path and last words.

    A hook without an environment gets the caller's, as runc does in the runtime's namespace.
    """
    for hook in hooks:
        _run(kind, hook, state)


def run_confined_hooks(kind: str, hooks: tuple[HookPlan, ...], state: bytes, confine: Callable[[], None]) -> None:
    """The same for hooks inside the container: `confine` is called in the hook's process, right before its execve.

    A hook without an environment gets none. The caller has one thread.
    """
    for hook in hooks:
        _run(kind, hook, state, confine)


def try_hooks(kind: str, hooks: tuple[HookPlan, ...], state: bytes) -> tuple[str, ...]:
    """Run every hook whatever becomes of the others, and return what failed: poststart and poststop only warn."""
    warnings: list[str] = []
    for hook in hooks:
        try:
            _run(kind, hook, state)
        except StepFailed as error:
            warnings.append(str(error))
    return tuple(warnings)


def _state(plan: LaunchPlan, status: str, pid: int) -> dict[str, object]:
    document: dict[str, object] = {"ociVersion": OCI_RUNTIME, "id": plan.id, "status": status}
    if pid:
        document["pid"] = pid
    document["bundle"] = plan.bundle
    document["annotations"] = dict(plan.annotations)
    return document


def _run(kind: str, hook: HookPlan, state: bytes, confine: Callable[[], None] | None = None) -> None:
    step = f"{kind} hook"
    given = os.memfd_create("sampan-state", os.MFD_CLOEXEC)
    words, words_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.write(given, state)
        os.lseek(given, 0, os.SEEK_SET)
        os.set_blocking(words_write, True)
        pidfd = _begin(step, hook, (given, words_write, words_write), confine)
        os.close(words_write)
        words_write = -1
        try:
            _await(step, hook, pidfd, words)
        finally:
            os.close(pidfd)
    finally:
        for fd in (given, words, words_write):
            if fd >= 0:
                os.close(fd)


def _begin(step: str, hook: HookPlan, stdio: tuple[int, int, int], confine: Callable[[], None] | None) -> int:
    """Execute the hook with these as 0, 1 and 2; its pidfd."""
    try:
        pid = _spawn(hook, stdio) if confine is None else _fork(hook, stdio, confine)
    except OSError as error:
        number = error.errno or 0
        raise _failed(step, hook, os.strerror(number).lower(), number) from None
    return process.pidfd_open(pid)


def _spawn(hook: HookPlan, stdio: tuple[int, int, int]) -> int:
    return os.posix_spawn(
        hook.path,
        hook.argv or (hook.path,),
        dict(entry.partition("=")[::2] for entry in hook.environment) or os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(stdio)],
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD),
    )


def _fork(hook: HookPlan, stdio: tuple[int, int, int], confine: Callable[[], None]) -> int:
    """As posix_spawn(3), by a process that confines itself; what it could not do comes as an errno through a pipe."""
    verdict, verdict_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            for number, fd in enumerate(stdio):
                os.dup2(fd, number)
            confine()
            process.execve(hook.path, hook.argv or (hook.path,), hook.environment)
        except OSError as error:
            os.write(verdict_write, str(error.errno or 0).encode())
        finally:
            os._exit(_NOT_EXECUTED)
    os.close(verdict_write)
    try:
        number = int(os.read(verdict, 16) or b"-1")
    finally:
        os.close(verdict)
    if number >= 0:
        os.waitpid(pid, 0)
        raise OSError(number, os.strerror(number))
    return pid


def _await(step: str, hook: HookPlan, pidfd: int, words: int) -> None:
    """Wait for the hook's end, taking what it says meanwhile; a grandchild that keeps the pipe is not waited for."""
    deadline = time.monotonic() + hook.timeout_s if hook.timeout_s else None
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(words, select.POLLIN)
    said = b""
    while True:
        left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
        ready = {fd for fd, _ in poll.poll(left)}
        if words in ready:
            piece = _drain(words)
            said = (said + piece)[-_KEPT:]
            if not piece:
                poll.unregister(words)
        if pidfd in ready:
            said = (said + _drain(words))[-_KEPT:]
            break
        if deadline is not None and time.monotonic() >= deadline:
            process.pidfd_send_signal(pidfd, signal.SIGKILL)
            process.wait_pidfd(pidfd)
            raise _failed(step, hook, f"it did not end within {hook.timeout_s} s and was killed")
    end = process.wait_pidfd(pidfd)
    if end is None or end.status == 0:
        return
    how = f"it was killed by signal {end.signal} ({_name(end.signal)})" if end.signal else f"it exited with {end.code}"
    own = said.decode(errors="replace").strip()
    raise _failed(step, hook, f"{how}: {own}" if own else how)


def _failed(step: str, hook: HookPlan, how: str, number: int = 0) -> StepFailed:
    return StepFailed(step, number, f"error running hook {hook.path}: {how}")


def _name(number: int) -> str:
    """A signal in words, as runc has it: "killed", "bad system call"."""
    return (signal.strsignal(number) or "unknown").lower()


def _drain(fd: int) -> bytes:
    piece = b""
    with contextlib.suppress(BlockingIOError):
        piece = os.read(fd, 65536)
    return piece
