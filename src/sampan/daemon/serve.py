"""The life of a daemon: roots and lock, wiring, recovery, service, an orderly end. Containers outlive it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import resource
import signal
import sqlite3
import sys

from sampan.api.dispatch import make_at_once, make_handler, wait_for_those_left_behind
from sampan.api.headers import be_experimental
from sampan.api.listeners import Listeners
from sampan.api.server import make_server
from sampan.daemon.options import HELP, Options, parse
from sampan.daemon.readiness import READY, STOPPING, tell_manager
from sampan.daemon.wiring import Engine, wire
from sampan.engine.layout import Layout
from sampan.engine.spec_security import prepare_default_filter
from sampan.errors import Conflict, Forbidden, NotImplementedHere, SampanError, SystemFailure, reason_of
from sampan.linux.apart import is_in_chroot
from sampan.version import VERSION

LAST_PATIENCE_S = 2.0
BUILDS_PATIENCE_S = 10.0
PREPARE_AFTER_S = 0.2  # when whoever had the daemon started has been answered

log = logging.getLogger("sampan")


def main() -> int:
    """The program `sampand`; the exit status is 1 when it could not serve."""
    words = sys.argv[1:]
    if {"--help", "-h"}.intersection(words):
        sys.stdout.write(HELP)
        return 0
    if {"--version", "-v"}.intersection(words):
        sys.stdout.write(f"sampand version {VERSION}\n")
        return 0
    try:
        options = parse(words)
        logging.basicConfig(
            level=logging.DEBUG if options.debug else logging.INFO,
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        logging.getLogger("asyncio").setLevel(logging.WARNING)
        _check_standing()
        _make_roots(options)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each container and each client has some
        _run(options)
        _leave()
    except SampanError as error:
        sys.stderr.write(f"sampand: {error}\n" + (f"  try: {error.remedy}\n" if error.remedy else ""))
        return 1
    return 0


def _run(options: Options) -> None:
    """Serve, on a loop whose end waits for no thread: those that are left work for clients that are gone.

    Raises SystemFailure for what the disk refuses.
    """
    try:
        import uvloop
    except ImportError:
        loop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(serve(options))
    except (OSError, sqlite3.Error) as error:
        log.debug("this ended the daemon", exc_info=True)
        raise SystemFailure(
            f"sampand cannot serve: {reason_of(error)}",
            remedy=f"see that {options.data_root} and {options.exec_root} have room; --debug shows where it came from",
        ) from error


def _leave() -> None:
    """End at once: the state is closed, and whatever a thread still does is safe to cut off, as kill -9 would."""
    logging.shutdown()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(0)


def _check_standing() -> None:
    """Raises Forbidden for somebody who is not root, NotImplementedHere for a root that is not the real one."""
    if os.geteuid():
        raise Forbidden(
            "sampand works with mounts, namespaces and cgroups, for which it has to be root", remedy="sudo sampand"
        )
    if is_in_chroot():
        raise NotImplementedHere(
            "no engine can work in a chroot: what enters a container's mounts would come out of it",
            remedy="make the directory the root with pivot_root(8), as in a container or a machine of its own",
        )


def _make_roots(options: Options) -> None:
    """The two roots, and a lock on each until this process has ended, so that one daemon works on them.

    Raises Conflict and SystemFailure.
    """
    os.umask(0o022)
    try:
        for root in (options.data_root, options.exec_root):
            os.makedirs(root, mode=0o711, exist_ok=True)
            _lock(root)
        os.chmod(options.data_root, 0o711)
        os.makedirs(Layout(options.data_root, options.exec_root).containers, mode=0o711, exist_ok=True)
    except OSError as error:
        raise SystemFailure(
            f"cannot make the roots: {reason_of(error)}",
            remedy="give another --data-root and --exec-root",
        ) from error


def _lock(root: str) -> None:
    lock = os.open(f"{root}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise Conflict(
            f"another daemon works on {root}", remedy="stop it, or give another --data-root and --exec-root"
        ) from error


async def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    if options.experimental:
        be_experimental()
    engine = wire(options)
    engine.launcher.warm()
    engine.views.begin()
    await engine.recovery.recover()
    engine.services.builds.recover()
    engine.views.recovered()
    await engine.services.live_mounts.recover()
    listeners = Listeners(make_server(make_handler(engine.services), make_at_once(engine.services)), options.group)
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    loop.add_signal_handler(signal.SIGHUP, log.info, "settings are read at the start: start again to have them read")
    gc.freeze()  # what is here stays: a collection has no need to look at it each time
    try:
        await listeners.open(options.sockets)
        _write_pid(options.pid_path)
        log.info("serving on %s", ", ".join(options.sockets))
        tell_manager(READY)
        loop.call_later(PREPARE_AFTER_S, prepare_default_filter)
        await end.wait()
        log.info("ending; containers go on")
        tell_manager(STOPPING)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(options.pid_path)
        await engine.services.builds.close(BUILDS_PATIENCE_S)
    finally:
        await listeners.close()
        await wait_for_those_left_behind(LAST_PATIENCE_S)
        await _close(engine)


async def _close(engine: Engine) -> None:
    engine.launcher.close()
    for monitor in list(engine.lifecycle.monitors.values()):
        monitor.close()
    await engine.views.close()
    await engine.networks.close()
    engine.connection.close()


def _write_pid(path: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        raise SystemFailure(
            f"cannot write the pid to {path}: {reason_of(error)}", remedy="give another --pidfile"
        ) from error
