"""`features`: what this runtime implements, whatever the host's kernel has (features.md of the specification)."""

from __future__ import annotations

from sampan.linux import capability, seccomp_profile
from sampan.runtime.commands.options import Words
from sampan.runtime.commands.report import answer
from sampan.runtime.commands.verb import Command, Verb
from sampan.runtime.json_text import dumps
from sampan.runtime.plan import KINDS
from sampan.runtime.plan_mounts import OPTION_NAMES
from sampan.version import OCI_RUNTIME

_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_ARCHITECTURES = ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64")


def features(_command: Command, _words: Words) -> int:
    """Answer with the features document."""
    document = {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_RUNTIME,
        "hooks": _HOOKS,
        "mountOptions": OPTION_NAMES,
        "linux": {
            "namespaces": sorted(KINDS),
            "capabilities": capability.NAMES,
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": sorted(seccomp_profile.ACTIONS),
                "operators": sorted(seccomp_profile.OPERATORS),
                "archs": _ARCHITECTURES,
                "knownFlags": sorted(seccomp_profile.FLAGS),
                "supportedFlags": sorted(seccomp_profile.FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "potentiallyUnsafeConfigAnnotations": [],
    }
    answer(dumps(document, 2) + "\n")
    return 0


VERBS = {"features": Verb(features, "")}
