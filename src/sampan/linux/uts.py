"""The two names of a UTS namespace (uts_namespaces(7))."""

from __future__ import annotations

from sampan.linux.libc import c_string, check, libc


def set_host_name(name: str) -> None:
    """sethostname(2)."""
    encoded = c_string(name)
    check(libc.sethostname(encoded, len(encoded)), "sethostname", name)


def set_domain_name(name: str) -> None:
    """setdomainname(2)."""
    encoded = c_string(name)
    check(libc.setdomainname(encoded, len(encoded)), "setdomainname", name)
