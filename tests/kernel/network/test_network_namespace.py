"""Visiting, keeping and tuning network namespaces."""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

import pytest

from sampan.linux import link
from sampan.linux.netlink import Netlink, socket_in
from sampan.linux.network_namespace import (
    inside,
    keep,
    let_go,
    make_network_namespace,
    read_sysctl,
    write_sysctl,
)


def own() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


def test_a_new_namespace_has_a_loopback_that_is_down(host: Any) -> None:
    def check() -> None:
        with Netlink(make_network_namespace()) as netlink:
            assert [each.name for each in link.links(netlink) if each.flags & link.LOOPBACK] == ["lo"]
            assert not link.get_link(netlink, "lo").is_up

    host.run(check, mnt=False)


def test_a_visit_ends_where_it_began_and_no_other_thread_goes_along(host: Any) -> None:
    def check() -> None:
        home, place = own(), make_network_namespace()
        assert own() == home
        elsewhere = []
        with inside(place):
            assert own() == os.fstat(place).st_ino != home
            watcher = threading.Thread(target=lambda: elsewhere.append(os.stat(f"/proc/{os.getpid()}/ns/net").st_ino))
            watcher.start()
            watcher.join()
        assert own() == home
        with pytest.raises(RuntimeError), inside(place):
            raise RuntimeError
        assert own() == home

    host.run(check, mnt=False)


def test_a_refused_visit_leaves_the_thread_and_its_descriptors(host: Any) -> None:
    def check() -> None:
        home, before = own(), os.listdir("/proc/self/fd")
        with open("/dev/null") as none, pytest.raises(OSError, match="setns"), inside(none.fileno()):
            pytest.fail("that is no namespace")
        assert (own(), os.listdir("/proc/self/fd")) == (home, before)

    host.run(check, mnt=False)


def test_a_socket_stays_in_the_namespace_it_was_made_in(host: Any) -> None:
    def check() -> None:
        place = make_network_namespace()
        with Netlink(place) as netlink, Netlink() as at_home:
            link.add_bridge(netlink, "brx")
            os.close(place)
            assert link.get_link(netlink, "brx").kind == "bridge"
            with pytest.raises(OSError, match="brx"):
                link.get_link(at_home, "brx")

    host.run(check, mnt=False)


def test_a_netlink_socket_of_elsewhere_is_close_on_exec(host: Any) -> None:
    def check() -> None:
        with socket_in(make_network_namespace()) as made:
            assert not os.get_inheritable(made.fileno())

    host.run(check, mnt=False)


def test_a_kept_namespace_outlives_its_descriptors(host: Any) -> None:
    def check() -> None:
        path = str(host.root / "kept")
        place = make_network_namespace()
        number = os.fstat(place).st_ino
        keep(place, path)
        os.close(place)
        assert os.stat(path).st_ino == number
        with open(path) as file, inside(file.fileno()):
            assert own() == number
        with open(path) as file, pytest.raises(FileExistsError):
            keep(file.fileno(), path)
        for _ in range(2):
            let_go(path)
            assert not os.path.lexists(path)

    host.run(check)


def test_keeping_what_cannot_be_mounted_leaves_no_file(host: Any) -> None:
    def check() -> None:
        path = str(host.root / "kept")
        with pytest.raises(OSError, match="mount"):
            keep(99, path)
        assert not os.path.lexists(path)

    host.run(check)


def test_a_sysctl_is_that_of_the_namespace(host: Any) -> None:
    def check() -> None:
        place = make_network_namespace()
        before = open_text("/proc/sys/net/ipv4/ip_default_ttl")
        write_sysctl(place, "ipv4/ip_default_ttl", "99")
        assert read_sysctl(place, "ipv4/ip_default_ttl") == "99"
        assert open_text("/proc/sys/net/ipv4/ip_default_ttl") == before != "99"

    host.run(check, mnt=False, net=True)


def open_text(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


def test_a_sysctl_that_is_not_there_or_takes_no_such_value_is_refused(host: Any) -> None:
    def check() -> list[int | None]:
        place = make_network_namespace()
        met = []
        for name, value in (("ipv4/none", "1"), ("ipv4/ip_default_ttl", "ttl"), ("../kernel/domainname", "x")):
            with pytest.raises(OSError, match=r".") as refusal:
                write_sysctl(place, name, value)
            met.append(refusal.value.errno)
        return met

    assert host.run(check, mnt=False) == [errno.ENOENT, errno.EINVAL, errno.ENOENT]
