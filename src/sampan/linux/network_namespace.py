"""Network namespaces as places to work in: making one, visiting it, keeping it under a path, and its own sysctls.

A visit changes the calling thread alone, and nothing that was opened inside belongs to anyone else afterwards: a socket
keeps the namespace it was made in. What is set up inside is the matter of link, address, route and nftables.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

from sampan.linux.mount import MountFlag, UmountFlag, mount, umount
from sampan.linux.namespace import CloneFlag, setns, unshare

_OWN = "/proc/thread-self/ns/net"
_SIOCGSKNS = 0x894C


@contextlib.contextmanager
def inside(netns_fd: int) -> Iterator[None]:
    """The block runs in the network namespace of `netns_fd` (setns(2)); no other thread notices. Needs CAP_SYS_ADMIN.

    Raises OSError when the way in is refused; then the thread is where it was.
    """
    home = _open(_OWN)
    try:
        setns(netns_fd, CloneFlag.NEWNET)
        try:
            yield
        finally:
            setns(home, CloneFlag.NEWNET)
    finally:
        os.close(home)


def home_of(one: socket.socket) -> int:
    """A descriptor of the network namespace that a socket was made in (SIOCGSKNS); the caller closes it.

    Raises OSError, ValueError for a socket that was closed.
    """
    return fcntl.ioctl(one.fileno(), _SIOCGSKNS)


def make_network_namespace() -> int:
    """A new network namespace with nothing but a loopback that is down; it lives as long as the descriptor."""
    home = _open(_OWN)
    try:
        unshare(CloneFlag.NEWNET)
        try:
            return _open(_OWN)
        finally:
            setns(home, CloneFlag.NEWNET)
    finally:
        os.close(home)


def keep(netns_fd: int, path: str) -> None:
    """Bind the namespace to the file `path`, which is made and must not exist; it lives on there without any process.

    Raises OSError, FileExistsError when there is such a file; nothing is left behind then.
    """
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        mount(f"/proc/thread-self/fd/{netns_fd}", path, "", MountFlag.BIND)
    except OSError:
        os.unlink(path)
        raise


def let_go(path: str) -> None:
    """Undo `keep`, as far as it got; no error when nothing is there."""
    with contextlib.suppress(OSError):
        umount(path, UmountFlag.DETACH | UmountFlag.NOFOLLOW)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def write_sysctl(netns_fd: int, name: str, value: str) -> None:
    """Set a sysctl of the namespace, named as below /proc/sys/net: "ipv4/ip_forward" (sysctl(8)'s slashes).

    Raises OSError, FileNotFoundError when this kernel has no such name.
    """
    with inside(netns_fd):
        descriptor = os.open(_path(name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def read_sysctl(netns_fd: int, name: str) -> str:
    """The value of a sysctl of the namespace, named as in write_sysctl."""
    with inside(netns_fd):
        descriptor = os.open(_path(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65536).decode().strip()
    finally:
        os.close(descriptor)


def _path(name: str) -> str:
    if ".." in name.split("/"):
        raise FileNotFoundError(2, "not the name of a sysctl", name)
    return f"/proc/sys/net/{name}"


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
