"""What holds for every test: who may run which, and that nothing is left behind on the host.

Folders that need the real kernel need root. With --leaks (as `./dev test` runs it) the whole session fails when a
mount, a link, a cgroup, a network namespace or a table of nftables is there afterwards that was not there before;
without it, several sessions may run beside each other.

An engine for the tests of a module is here too; folders and modules that need another one have their own of that name.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.building import need_busybox
from tests.engine_process import EngineProcess

# an example that takes long on a busy machine is no failure
settings.register_profile("anew", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# the same examples each time, so that a run judges the change and not its luck; --hypothesis-profile=anew looks further
settings.register_profile("patient", settings.get_profile("anew"), derandomize=True)
settings.load_profile("patient")

LEAVING_S = 15.0  # for what was told to end and is on its way
ROOT_FOLDERS = frozenset({"kernel", "runtime", "api", "cli", "compat", "chaos", "security"})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--leaks", action="store_true", help="fail when anything is left behind on the host")
    parser.addoption("--race-seconds", default="3", help="how long each race of tests/security/engine is run")
    parser.addoption("--kills", default="8", help="how often tests/chaos kills the daemon at random points")
    parser.addoption("--soak-seconds", default="0", help="how long tests/chaos/test_soak plays; 0: a few short games")
    parser.addoption("--soak-seed", default="1", help="the number of the first game of tests/chaos/test_soak")


def pytest_configure() -> None:
    """What tests start can be interrupted: a suite in the background of a script passes on that nobody can."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    needs_root = pytest.mark.skip(reason="needs root: it makes namespaces, mounts and cgroups")
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in ROOT_FOLDERS:
            item.add_marker(needs_root)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine for the tests of a module, with the machine itself as its image."""
    with EngineProcess(tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture(scope="module")
def busybox() -> None:
    """Skips where the image of that name cannot be made."""
    need_busybox()


def _cgroups() -> set[str]:
    """Every directory of ours in any hierarchy, by name: those of tests and those of engines."""
    found = set()
    for root in (*Path("/sys/fs/cgroup").glob("*"), Path("/sys/fs/cgroup")):
        for path in (*root.glob("sampan-test*"), *root.glob("sampan/*")):
            if path.is_dir():
                found.add(str(path))
    return found


def _mounts() -> set[str]:
    return {line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def _links() -> set[str]:
    return set(os.listdir("/sys/class/net"))


def _namespaces() -> set[str]:
    return set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()


def _tables() -> set[str]:
    """Those of ours; other programs have theirs."""
    if shutil.which("nft") is None:
        return set()
    told = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    return {line for line in told.stdout.splitlines() if "sampan" in line}


_INVENTORIES = {
    "mounts": _mounts,
    "cgroups": _cgroups,
    "links": _links,
    "network namespaces": _namespaces,
    "nftables": _tables,
}
_BEFORE = pytest.StashKey[dict[str, set[str]]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Look before anything runs; of several processes (pytest-xdist) only the one that leads them does."""
    if session.config.getoption("--leaks") and not hasattr(session.config, "workerinput"):
        session.config.stash[_BEFORE] = {name: look() for name, look in _INVENTORIES.items()}


def _left(before: dict[str, set[str]]) -> dict[str, list[str]]:
    return {name: sorted(look() - before[name]) for name, look in _INVENTORIES.items()}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look again when everything has run."""
    before = session.config.stash.get(_BEFORE, None)
    if before is None:
        return
    deadline = time.monotonic() + LEAVING_S
    while any((left := _left(before)).values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    for name, what in left.items():
        if what:
            sys.stderr.write(f"\nthe tests left these {name} behind: {', '.join(what)}\n")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
