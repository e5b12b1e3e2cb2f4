"""What BuildKit makes of a Dockerfile with the features that Docker's own builder lacks, as facts to be compared.

`buildkit_build.json` was written by Docker 26.1.5 with buildx 0.13.1 and the frontend that is built into it:
`python -m tests.compat.buildkit_build unix:///…/docker.sock`. Its steps have no network, so it needs no bridge.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.compat.legacy_build import _archive, _described, _entry, _member

RECORDED = Path(__file__).with_name("buildkit_build.json")
DOCKERFILE = r"""ARG BASE=sampan-buildkit-base
FROM ${BASE} AS made
WORKDIR /made
ARG TARGETARCH
ARG NAME=world
ENV GREETING="hello ${NAME}" EMPTY=
RUN <<EOF
echo one > one
echo "$GREETING" > greeting
EOF
RUN cat <<'EOF' > quoted
$GREETING stays
EOF
RUN <<EOF
#!/bin/sh
echo script > script
EOF
RUN <<first cat > both && cat <<second >> both
from first
first
from second
second
COPY <<EOF /made/copied
$GREETING is expanded ${EMPTY:-empty} ${NAME:+set}
EOF
COPY <<-"TABS" <<b /made/many/
	$GREETING is not
	TABS
of b
b
COPY --chmod=640 --chown=me:me <<owned /made/
whose
owned
RUN echo $TARGETARCH > arch

FROM sampan-buildkit-base
COPY --from=made /made /all
COPY --link f1 /linked/
COPY --link --chmod=0600 dd /linked-dd/
COPY --chown=1000:1000 --chmod=0755 dd /own/
COPY f* /wild/
COPY lf /followed
COPY dd/l /dd-l
ADD archive.tar /ar/
ADD --link archive.tar /linked-ar/
RUN --mount=type=bind,source=f1,target=/in cat /in > /bound
RUN --mount=type=bind,from=made,source=/made,target=/m,rw rm /m/one && ls /m > /listed
RUN --mount=type=bind,from=made,target=/m cat /m/made/greeting > /whole
RUN --mount=type=tmpfs,target=/t echo x > /t/x && ls /t > /tmpfs
RUN --mount=type=cache,target=/c,mode=0700,uid=1000,gid=1000 stat -c '%a %u %g' /c > /cache && echo kept > /c/f
RUN --mount=type=cache,target=/c cat /c/f > /kept 2>/dev/null || echo apart > /kept
RUN --mount=type=secret,id=s,target=/run/s,mode=0440,uid=1000 stat -c '%a %u' /run/s > /secret && cat /run/s >> /secret
RUN --mount=type=secret,id=none cat /run/secrets/none 2>/dev/null || echo none > /no-secret
RUN --network=none cat /proc/net/dev > /dev/null && echo alone > /alone
LABEL a=b "c d"="e f"
EXPOSE 80 443/udp
HEALTHCHECK --interval=5s --start-interval=2s --retries=3 CMD true || false
STOPSIGNAL SIGUSR1
SHELL ["/bin/sh", "-ec"]
USER me:me
WORKDIR /late/dir
ENTRYPOINT ["a", "b"]
CMD x y
ONBUILD RUN echo hi
"""
_PROGRAMS = ("sh", "rm", "cat", "ls", "stat", "echo")
_KEYS = {
    *("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell", "StopSignal", "User"),
    *("Volumes", "WorkingDir"),
}


def base() -> bytes:
    """A root file system of busybox with one user."""
    directories = [
        _entry(name, type=tarfile.DIRTYPE, mode=0o755) for name in ("bin", "etc", "dev", "proc", "sys", "run")
    ]
    busybox = _entry("bin/busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    links = [_entry(f"bin/{name}", type=tarfile.SYMTYPE, linkname="busybox") for name in _PROGRAMS]
    users = _entry("etc/passwd", b"root:x:0:0::/:/bin/sh\nme:x:1000:1000::/:/bin/sh\n")
    return _archive(*directories, busybox, *links, users, _entry("etc/group", b"root:x:0:\nme:x:1000:\n"))


def write_context(root: Path) -> None:
    """The build context, and a secret beside it."""
    (root / "Dockerfile").write_text(DOCKERFILE)
    (root / ".dockerignore").write_text("Dockerfile\nf9\n!f8\n")
    for name in ("f1", "f2", "f8", "f9"):
        (root / name).write_text(f"{name}\n")
    inner = _archive(_entry("f", b"in an archive", uid=5, gid=6, mode=0o600), _entry("d/g", b"deeper"))
    (root / "archive.tar").write_bytes(inner)
    (root / "lf").symlink_to("f1")
    (root / "dd" / "s").mkdir(parents=True, mode=0o755)
    (root / "dd" / "s" / "x").write_text("x\n")
    os.chmod(root / "dd" / "s" / "x", 0o640)
    (root / "dd" / "l").symlink_to("s/x")
    os.chmod(root / "dd", 0o700)
    (root.parent / "secret").write_text("open sesame\n")


def facts(environment: dict[str, str], command: Sequence[str], directory: Path) -> dict[str, Any]:
    """Build with this command (`docker`, or one that takes the same words), and say what came of it."""

    def call(*words: str, given: bytes = b"") -> bytes:
        done = subprocess.run(words, input=given, capture_output=True, env=environment, check=False, timeout=120)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    (directory / "context").mkdir()
    write_context(directory / "context")
    call("docker", "import", "-c", "ENV PATH=/bin", "-", "sampan-buildkit-base", given=base())
    words = ("build", "-q", "-t", "sampan-buildkit", "--network", "none", "--no-cache", "--label", "L=1")
    call(*command, *words, "--secret", f"id=s,src={directory}/secret", str(directory / "context"))
    config = json.loads(call("docker", "inspect", "sampan-buildkit"))[0]["Config"]
    return {
        "config": {key: value for key, value in config.items() if key in _KEYS and value},
        "files": _files(call("docker", "save", "sampan-buildkit")),
    }


def _files(saved: bytes) -> dict[str, list[Any]]:
    """All files of the layers above the base's, without their times."""
    found: dict[str, list[Any]] = {}
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for name in json.loads(_member(archive, "manifest.json"))[0]["Layers"][1:]:
            with tarfile.open(fileobj=io.BytesIO(_member(archive, name))) as layer:
                found |= {entry.name.rstrip("/"): _described(layer, entry)[:-1] for entry in layer}
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        environment = {**os.environ, "DOCKER_HOST": sys.argv[1], "DOCKER_BUILDKIT": "1"}
        said = facts(environment, ["docker"], Path(name))
    RECORDED.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
