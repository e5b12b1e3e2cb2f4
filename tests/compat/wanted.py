"""Differences from Docker's output that are wanted or that cost more than they are worth, each with its reason.

docs/reference/compatibility.md tells them to users. A line here is a regular expression that fits a command line, or
for documents the path of a member (as in `.HostConfig.MaskedPaths`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where a difference may be, and why."""

    where: str
    reason: str

    def fits(self, text: str) -> bool:
        """Whether this is about a command line or member."""
        return re.search(self.where, text) is not None


LINES = (
    Wanted(
        r"docker (run|start|exec) .*(no-such-program|/etc/passwd|/etc)$", "a failed start is told without the chain"
    ),
    Wanted(r"docker version --format", "the version is Docker's without Debian's suffix"),
    Wanted(r"docker (login|pull|search) .*(127\.0\.0\.1:1|1000)", "an unreachable registry is told in our own words"),
    Wanted(r"docker create --pull never no-such-image", "an unreachable registry is told in our own words"),
    Wanted(r"echo nonsense \| docker", "a damaged archive is told in our own words"),
    Wanted(r"docker context ls", "shows the socket"),
    Wanted(
        r"--subnet nonsense|--opt com\.docker\.network|--ip (10\.|nonsense|172)", "one sentence, not a list of them"
    ),
    Wanted(r"docker create --storage-opt", "names what is missing: project quotas"),
    Wanted(
        r"docker (ps|port|run -d) .*(web|publish|format)|^docker (ps|port web.*)$",
        "no [::] without IPv6 in the network",
    ),
    Wanted(r"resolv\.conf", "no comments are written into resolv.conf"),
    Wanted(r"--init busybox", "the init is called sampan-init"),
    Wanted(r"mount \|", "masked files are bound from /dev/null, and /proc/interrupts is one; v2 is shown beside v1"),
    Wanted(r"ip -o addr", "no broadcast address is set"),
    Wanted(r"docker cp web:/etc/passwd -", "device numbers of a plain file are left out of the archive"),
    Wanted(r"docker diff box", "the order is by directory"),
    Wanted(r"docker cp box:/made(/\.|/copied)? - \| tar", "entries of archives come in an order of our own"),
    Wanted(r"docker cp box:/made/deep/file/ -", "a file is no directory: nothing is found there"),
    Wanted(
        r"volume-driver=no-such", "the volume has another driver; Docker's command takes its plugin for a missing image"
    ),
    Wanted(r"docker push busybox:none", "a tag that does not exist is told before the registry is asked"),
    Wanted(r"-v /etc:/ busybox|volume-subpath=no-such|-v v2:/etc/passwd", "told without the chain"),
)

MEMBERS = (
    Wanted(r"\.GraphDriver\.", "the layout of the disk is our own"),
    Wanted(
        r"\.(HostnamePath|HostsPath|ResolvConfPath|LogPath|Mountpoint)$", "paths below our own root, known from create"
    ),
    Wanted(r"\(\)\[\d+\]\.Source$", "the same"),
    Wanted(r"\.CgroupnsMode$", "a cgroup namespace of its own is the default on v1 too"),
    Wanted(r"\.MaskedPaths$", "/proc/interrupts is masked too"),
    Wanted(r"\.NetworkMode$", "kept as it was asked for, as the API documents it"),
    Wanted(r"\.SecurityOpt$", "SELinux's label=disable is not written into containers that ask for nothing"),
    Wanted(r"\.(SandboxKey|SandboxID|EndpointID|State\.Pid|IPAddress|HostPort)$", "from run to run another"),
    Wanted(r"\.(GlobalIPv6\w+|IPv6Gateway|IPv6Address|UnaskedIPv6)", "IPv6 comes unasked where the host has it"),
    Wanted(r"\.Ports\.", "no [::] without IPv6 in the network"),
    Wanted(r"\.Health\.Status$", "the last health is kept when the container has ended"),
    Wanted(r"\.IPAM\.Config\[\d+\]\.Gateway$", "the gateway is told although it was not chosen"),
    Wanted(r"\.Options\.com\.docker\.network", "the default bridge is sampan0, its MTU the uplink's"),
    Wanted(r"\.(DockerVersion|Config\.Labels)$", "not written into images"),
)
