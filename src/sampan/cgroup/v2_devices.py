"""Device rules on v2: a BPF program at the group's directory, which `linux.bpf` compiles and attaches."""

from __future__ import annotations

import os

from sampan.cgroup.directory import Directory
from sampan.cgroup.limits import DeviceRule
from sampan.linux import bpf


def attach(directory: Directory, rules: tuple[DeviceRule, ...]) -> None:
    """Make `rules` those of `directory`, in the place of the programs that were there, without a moment of neither.

    As on v1 the rules are read from a group that allows all. Raises InvalidArgument for what is no rule, OSError when
    the kernel does not take the program.
    """
    words = [bpf.DeviceRule(rule.allow, rule.kind, rule.major, rule.minor, rule.access) for rule in rules]
    descriptor = directory.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        bpf.set_devices(descriptor, words, default_allow=True)
    finally:
        os.close(descriptor)


def check(rules: tuple[DeviceRule, ...]) -> None:
    """InvalidArgument for what is no rule."""
    bpf.compile_devices(bpf.DeviceRule(rule.allow, rule.kind, rule.major, rule.minor, rule.access) for rule in rules)
