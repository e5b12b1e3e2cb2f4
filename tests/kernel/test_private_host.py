from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest

from sampan.linux import namespace, process

if TYPE_CHECKING:
    from tests.kernel.conftest import PrivateHost


def test_a_private_host_brings_back_the_result(host: PrivateHost) -> None:
    assert host.run(lambda: [os.getcwd(), 7]) == [str(host.root), 7]


def test_a_private_host_brings_back_the_exception_with_its_errno(host: PrivateHost) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        host.run(lambda: os.stat("missing"))
    assert caught.value.errno == errno.ENOENT
    assert "in the test's child" in caught.value.__notes__[0]


def test_a_private_host_with_pid_namespace_is_pid_1(host: PrivateHost) -> None:
    assert host.run(lambda: (os.getpid(), os.listdir("/proc/1/task")), pid=True) == (1, ["1"])


def test_a_private_host_has_only_a_loopback_in_its_network_namespace(host: PrivateHost) -> None:
    def interfaces() -> list[str]:
        with open("/proc/net/dev") as file:
            return [line.split(":")[0].strip() for line in file if ":" in line]

    assert "lo" in host.run(interfaces, net=True)
    own = os.stat("/proc/self/ns/net").st_ino
    assert host.run(lambda: os.stat("/proc/self/ns/net").st_ino, net=True) != own


def test_a_private_host_with_user_namespace_is_root_of_other_ids(host: PrivateHost) -> None:
    def ids() -> tuple[int, str]:
        with open("/proc/self/uid_map") as file:
            return os.getuid(), file.read().split()[1]

    assert host.run(ids, user=True) == (0, "100000")


@pytest.mark.parametrize("pid", [False, True])
def test_a_private_host_kills_what_its_function_started(host: PrivateHost, *, pid: bool) -> None:
    read_end, write_end = os.pipe()

    def start() -> None:
        child, _ = namespace.clone3(0)
        if child == 0:
            grandchild, _ = namespace.clone3(0)
            while grandchild == 0:
                time.sleep(60)
            os._exit(0)
        process.wait_pid(child)

    host.run(start, pid=pid)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == b""  # would wait for ever while one of them held the other end


def test_a_private_host_whose_child_dies_says_so(host: PrivateHost) -> None:
    with pytest.raises(ChildProcessError, match="code=5"):
        host.run(lambda: os._exit(5))


def test_a_private_host_passes_on_that_a_test_is_skipped_or_failed(host: PrivateHost) -> None:
    with pytest.raises(pytest.skip.Exception, match="no such thing"):
        host.run(lambda: pytest.skip("no such thing"))
    with pytest.raises(pytest.fail.Exception, match="it is so"):
        host.run(lambda: pytest.fail("it is so"))
