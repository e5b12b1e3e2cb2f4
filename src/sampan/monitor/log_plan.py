"""Where a container's output goes, as a monitor is told: part of the plan that it is started with, plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SendPlan:
    """To whom lines are sent: `address` as unix://PATH, unixgram://PATH, udp://, tcp:// or tcp+tls://HOST:PORT.

    `form` is "journald", or one of syslog's: "", "rfc3164", "rfc5424", "rfc5424micro". An empty address is this
    machine's own syslog. More than `buffer_bytes` that wait are dropped.
    """

    address: str
    form: str = ""
    tag: str = ""
    facility: int = 3  # daemon, syslog(3)
    fields: tuple[tuple[str, str], ...] = ()  # of every message to a journal
    buffer_bytes: int = 1024 * 1024
    tls_authority: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_unverified: bool = False


@dataclass(frozen=True, slots=True)
class LogPlan:
    """Where the output goes: `driver` is "json-file", "local", "journald", "syslog" or "none".

    Sizes in bytes, 0 files never rotates. With `sending` lines are sent, and kept in files too when there is a path.
    """

    driver: str
    path: str = ""
    max_size_bytes: int = 20 * 1024 * 1024
    max_files: int = 3
    compress: bool = False
    attributes: tuple[tuple[str, str], ...] = ()
    sending: SendPlan | None = None
