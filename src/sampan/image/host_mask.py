"""What the image `host` does not show of the machine, as marks above it.

Hidden are: the engine's own directories and other engines'; whatever is a mount point (overlayfs does not cross into
other file systems, so only what lies below such a mount would show); /run and the temporary directories; and, unless
that is switched off, files that are secrets wherever they are found. docs/reference/host-image.md is the list for
users. A plan is made of what is there and then written down; what a container does with the rest is its own matter.

The marks are a layer of their own where they can be (`host_shelf`), else they are in each container's upper directory:
overlayfs refuses a lower layer inside of another ("/"), but not an upper one.
"""

from __future__ import annotations

import enum
import hashlib
import os
import pwd
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from sampan.linux.mount import mountinfo
from sampan.linux.overlay import make_opaque, make_whiteout

ALWAYS_EMPTY = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/lost+found")
OTHER_ENGINES = (
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/lib/lxc",
    "/var/lib/lxd",
    "/var/lib/incus",
    "/var/lib/libvirt",
    "/var/lib/machines",
)
SECRET_DIRECTORIES = (
    "/etc/ssl/private",
    "/etc/letsencrypt",
    "/etc/wireguard",
    "/etc/kubernetes",
    "/etc/NetworkManager/system-connections",
    "/var/lib/NetworkManager",
    "/var/spool/cron",
    "/var/mail",
    "/var/spool/mail",
)
SECRET_FILES = (
    "/etc/shadow-",
    "/etc/gshadow-",
    "/etc/security/opasswd",
    "/etc/krb5.keytab",
    "/etc/ppp/chap-secrets",
    "/etc/ppp/pap-secrets",
    "/etc/docker/key.json",
)
SECRETS_OF_A_HOME = (
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".pgpass",
    ".my.cnf",
    ".npmrc",
    ".pypirc",
    ".vault-token",
    ".password-store",
    ".config/gcloud",
    ".config/gh",
    ".config/sampan",
    ".local/share/keyrings",
    ".mozilla",
    ".config/google-chrome",
    ".config/chromium",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".Xauthority",
)
_NO_HOMES = ("/bin", "/sbin", "/usr", "/dev")  # where the homes of users that are none are said to be
PASSWORD_FILES = ("/etc/shadow", "/etc/gshadow")


class Hiding(enum.Enum):
    """How something is hidden: not there, an empty directory, or a file with other content."""

    GONE = "gone"
    EMPTY = "empty"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Hidden:
    """One thing that is hidden; `content` is of REPLACED."""

    path: str
    hiding: Hiding
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class HostMask:
    """What to hide of the machine: `private` are the engine's own directories, which are not even named."""

    private: tuple[str, ...]
    secrets: bool = True
    root: str = "/"

    def plan(self) -> list[Hidden]:
        """What there is to hide right now, none of it below another."""
        wanted = [Hidden(os.path.realpath(path), Hiding.GONE) for path in self.private]  # as they are, links resolved
        wanted += [Hidden(path, Hiding.EMPTY) for path in (*ALWAYS_EMPTY, *OTHER_ENGINES, *self._mount_points())]
        wanted += [Hidden(path, Hiding.GONE) for path in _swap_files()]
        if self.secrets:
            wanted += self._secrets()
        found: dict[str, Hidden] = {}
        present = [hidden for hidden in wanted if os.path.lexists(self._real(hidden.path))]
        canonical = [(self._canonical(hidden.path), hidden) for hidden in present]
        for path, hidden in sorted(canonical, key=lambda one: (one[0].count("/"), one[0])):
            if not path or any(_is_below(path, other) for other in found):
                continue
            with suppress(OSError):  # gone meanwhile
                is_directory = stat.S_ISDIR(os.lstat(self._real(path)).st_mode)
                if hidden.hiding is not Hiding.EMPTY or is_directory:
                    found[path] = Hidden(path, hidden.hiding, hidden.content)
        return list(found.values())

    def build(self, plan: Iterable[Hidden], tree: str) -> None:
        """Write the marks into the empty directory `tree`; directories on the way look as the machine's own."""
        self._copy_attributes("/", tree)
        made: dict[str, None] = {}
        for hidden in plan:
            for directory in ancestors(hidden.path):
                if directory not in made:
                    os.mkdir(tree + directory, 0o700)
                    made[directory] = None
            place = tree + hidden.path
            if hidden.hiding is Hiding.GONE:
                make_whiteout(place)
            elif hidden.hiding is Hiding.EMPTY:
                os.mkdir(place, 0o700)
                make_opaque(place)
                made[hidden.path] = None
            else:
                with open(place, "wb") as file:
                    file.write(hidden.content)
                self._copy_attributes(hidden.path, place)
        for directory in reversed(made.keys()):
            self._copy_attributes(directory, tree + directory)

    def fingerprint(self, plan: Iterable[Hidden]) -> str:
        """The same for plans that `build` makes the same of, but for times."""
        digest = hashlib.sha256()
        told: dict[str, None] = {"/": None}
        for hidden in plan:
            digest.update(f"{hidden.path}\0{hidden.hiding.value}\0".encode("utf-8", "surrogateescape"))
            digest.update(hidden.content + b"\0")
            told |= dict.fromkeys(ancestors(hidden.path))
            told[hidden.path] = None
        for path in told:
            with suppress(OSError):  # gone meanwhile
                status = os.lstat(self._real(path) or "/")
                digest.update(b"%d %d %d " % (status.st_mode, status.st_uid, status.st_gid))
        return digest.hexdigest()[:32]

    def _real(self, path: str) -> str:
        return self.root.rstrip("/") + path

    def _canonical(self, path: str) -> str:
        """The path without symbolic links before its last part; empty when it is the root, or leads out of it."""
        before, name = os.path.split(path.rstrip("/"))
        real = os.path.join(os.path.realpath(self._real(before) or "/"), name)
        root = self.root.rstrip("/")
        return real.removeprefix(root) if name and real.startswith(root + "/") else ""

    def _copy_attributes(self, path: str, to: str) -> None:
        status = os.lstat(self._real(path) or "/")
        os.chown(to, status.st_uid, status.st_gid)
        os.chmod(to, stat.S_IMODE(status.st_mode))
        os.utime(to, ns=(status.st_mtime_ns, status.st_mtime_ns))

    def _mount_points(self) -> list[str]:
        """Directories that something is mounted over: what lies below would come to light."""
        return [line.target for line in mountinfo() if line.target != "/"]

    def _secrets(self) -> list[Hidden]:
        found = [Hidden(path, Hiding.GONE) for path in SECRET_FILES]
        found += [Hidden(path, Hiding.EMPTY) for path in SECRET_DIRECTORIES]
        with suppress(OSError):
            names = os.listdir(self._real("/etc/ssh"))
            found += [Hidden(f"/etc/ssh/{name}", Hiding.GONE) for name in names if name.endswith("_key")]
        for home in sorted({entry.pw_dir for entry in pwd.getpwall()}):
            if home.startswith(_NO_HOMES) or home == "/":
                continue
            with suppress(OSError):
                there = set(os.listdir(self._real(home)))
                kept = [name for name in SECRETS_OF_A_HOME if name.partition("/")[0] in there]
                found += [Hidden(f"{home}/{name}", Hiding.GONE) for name in kept]
        for path in PASSWORD_FILES:
            with suppress(OSError), open(self._real(path), "rb") as file:
                found.append(Hidden(path, Hiding.REPLACED, without_passwords(file.read())))
        return found


def without_passwords(content: bytes) -> bytes:
    """A shadow file (shadow(5), gshadow(5)) in which no one has a password that could be guessed at."""
    lines = []
    for line in content.splitlines():
        name, colon, rest = line.partition(b":")
        password, more, after = rest.partition(b":")
        kept = password if password in (b"", b"*", b"!", b"!!", b"!*") else b"*"
        lines.append(name + colon + kept + more + after)
    return b"".join(line + b"\n" for line in lines)


def _swap_files() -> list[str]:
    """Swap files: they hold what was in the machine's memory."""
    with suppress(OSError), open("/proc/swaps", encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().splitlines()[1:]
        return [line.split()[0] for line in lines if line.split()[1:2] == ["file"]]
    return []


def _is_below(path: str, other: str) -> bool:
    return path == other or path.startswith(other + "/")


def ancestors(path: str) -> list[str]:
    """The directories on the way to `path`, highest first, without the root."""
    parts = path.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]
