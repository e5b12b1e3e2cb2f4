"""A function in a forked child: for what needs a single thread, or namespaces that the test runner does not have.

Nothing outlives a call: the child kills and reaps all that it leaves behind, and dies with the test that is killed.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sampan.linux import namespace, process

_LENGTH = struct.Struct("=Q")


def run_in_child[T](function: Callable[[], T]) -> T:
    """Call `function` in a forked child and return or raise what it did; whatever it started is killed."""
    read_end, write_end = os.pipe()
    parent = os.getpid()
    pid = _fork()
    if pid == 0:
        _be_child(function, write_end, parent)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as pipe:
            header = pipe.read(_LENGTH.size)
            body = pipe.read(*_LENGTH.unpack(header)) if len(header) == _LENGTH.size else b""
    except BaseException:
        os.kill(pid, signal.SIGKILL)  # a time-out: the child waits for what never comes
        raise
    finally:
        ended = process.wait_pid(pid)
    if not body:
        raise ChildProcessError(f"the test's child gave no result: {ended}")
    outcome: tuple[str, Any] = pickle.loads(body)
    how, value = outcome
    if how == "skipped":
        pytest.skip(value)
    if how == "failed":
        pytest.fail(value)
    if how == "raised":
        raise value
    result: T = value
    return result


def clone_into(cgroup_fd: int = -1) -> tuple[int, int]:
    """clone3(2) into a cgroup, as `namespace.clone3` has it, in a test runner with threads of its own.

    Their locks would stay held in a plain clone, the interpreter's own among them. A fork has one thread and locks that
    were made anew; the child is cloned there, and becomes one of ours (CLONE_PARENT).
    """
    read_end, write_end = os.pipe()
    if _fork() == 0:
        try:
            pid, _ = namespace.clone3(namespace.CloneFlag.PARENT, cgroup_fd=cgroup_fd)
        except OSError as error:
            pid = -(error.errno or errno.EIO)
        if pid == 0:
            os.close(read_end)
            os.close(write_end)
            return 0, -1
        os.write(write_end, f"{os.getpid()} {pid}".encode())
        os._exit(0)
    try:
        between, pid = (int(word) for word in os.read(read_end, 100).split())
    finally:
        os.close(read_end)
        os.close(write_end)
    process.wait_pid(between)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid), "clone3")
    return pid, os.pidfd_open(pid)


def _fork() -> int:
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a test runner's own threads do not matter to the child
        return os.fork()


def _be_child(function: Callable[[], Any], write_end: int, parent: int) -> NoReturn:
    try:
        process.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() not in {parent, 0}:
            os._exit(1)
        process.set_child_subreaper(True)
        signal.alarm(0)
        for number in (signal.SIGALRM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        body = _outcome(function)
        sys.stdout.flush()
        _kill_children()
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(_LENGTH.pack(len(body)) + body)
    finally:
        os._exit(0)


def _outcome(function: Callable[[], Any]) -> bytes:
    """Call the function; what came of it, pickled for the test."""
    try:
        return pickle.dumps(("returned", function()))
    except pytest.skip.Exception as skipped:
        return pickle.dumps(("skipped", str(skipped)))
    except BaseException as error:  # noqa: BLE001 - it is raised again in the test
        text = "".join(traceback.format_exception(error))
        error.add_note(f"in the test's child:\n{text}")
        try:
            body = pickle.dumps(("raised", error))
            pickle.loads(body)
        except Exception:  # noqa: BLE001 - whatever pickle says
            return pickle.dumps(("failed", text))
        return body


def _kill_children() -> None:
    """Kill and reap every descendant; as a subreaper the caller inherits them all, one generation after the other."""
    while True:
        try:
            for task in Path("/proc/self/task").iterdir():
                for child in (task / "children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)
            process.wait_any(block=True)
        except (FileNotFoundError, ChildProcessError):
            return  # no children; or no /proc any more, and they die with their pid namespace or by PDEATHSIG
