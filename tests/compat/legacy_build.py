"""What Docker's own builder makes of two Dockerfiles, one with all of its instructions, as facts that can be compared.

`legacy_build.json` was written by Docker 26.1.5: `python -m tests.compat.legacy_build unix:///…/docker.sock`. Masked
are ids, digests of sources and whatever was made just now.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("legacy_build.json")
INSTRUCTIONS = r"""FROM scratch
ADD archive.tar /ar/
FROM sampan-legacy-base
MAINTAINER me <me@example.invalid>
ARG V=1
ARG U
ARG W="q q"
LABEL a=b "c d"="e f"
ENV X $V
ENV Y=${X:-unset} Z="two words"
EXPOSE 80 443/udp 100-102
VOLUME /v1 /v2
VOLUME ["/v 3"]
USER me:me
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s --timeout=1m30s --retries=3 CMD true || false
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT ["a", "b\"c"]
CMD x y
ONBUILD RUN echo hi
USER root
RUN echo $V $W > /out
RUN ["/bin/sh", "-c", "echo exec"]
RUN rm /etc/spare && mkdir /etc/new && chmod 711 /etc
COPY f1 f2 /multi/
COPY dd /newdd
COPY dd /etc/
COPY lf /lf
COPY --chown=me:me dd/s /owned
COPY --from=0 /ar /ar
COPY f* /wild/
ADD archive.tar /arch
WORKDIR rel
WORKDIR sub
HEALTHCHECK NONE
"""
CORNERS = r"""# escape=`
ARG BASE=sampan-legacy-base
FROM scratch AS none
ADD archive.tar a/
WORKDIR w
FROM ${BASE} AS first
MAINTAINER somebody
EXPOSE 127.0.0.1:8080:80 90/ 100-101:7
HEALTHCHECK --interval=5s --retries=2 CMD first
HEALTHCHECK --timeout=3s CMD ["second"]
RUN mkdir /t && ln -s /etc/spare /t/l && ln -s /t /way
COPY --from=none /a/d/g a/f /none/
ENTRYPOINT ["a"]
CMD ["b"]
FROM first AS second
ARG A=1
ARG A=2 B=$A
COPY */s /links/
COPY dd dd/s d*/s /holding/
ADD archive.tar dd/l /t/
COPY f1/ /slashed/
COPY nothing* f2 `
  # in between
  /some/
COPY ["dd/", "dd/s/x", "./held/"]
COPY f2 /way/l
COPY dd/hard* /way/
WORKDIR /way
WORKDIR sub/../other
COPY --chown=me lf .
RUN rm -r /links && mkdir /links && echo $A$B > /links/new
ENTRYPOINT []
STOPSIGNAL RTMIN+1
HEALTHCHECK --interval=9s NONE
ENV "q k"=a`"b E=${NONE-${X:+y}}z F='$E' G=\$E
"""
TRIGGERED = r"""FROM sampan-legacy-triggers
ENV PATH=$PATH:/more
RUN echo $FROM_TRIGGER > /ran
"""
TRIGGERS = r"""FROM sampan-legacy-bare
ONBUILD COPY f1 on/
ONBUILD ENV FROM_TRIGGER="a b"
ONBUILD RUN ["/bin/sh", "-c", "echo $FROM_TRIGGER > /on/ran"]
ONBUILD WORKDIR /on
"""
DOCKERFILES = {"instructions": INSTRUCTIONS, "corners": CORNERS, "triggered": TRIGGERED}
OPTIONS = ("--build-arg", "V=7", "--build-arg", "ZZ=1", "--label", "L=1", "--label", "K", "--no-cache")
_ID = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b")


def _entry(name: str, content: bytes = b"", **values: Any) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(content), 1_600_000_000, values.pop("mode", 0o644)
    for key, value in values.items():
        setattr(entry, key, value)
    return entry, content


def _archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def base() -> bytes:
    """A root file system of busybox; the machine's own one, whose layer is not compared."""
    directories = [_entry(name, type=tarfile.DIRTYPE, mode=0o755) for name in ("bin", "etc", "dev", "proc", "sys")]
    busybox = _entry("bin/busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    links = [_entry(f"bin/{name}", type=tarfile.SYMTYPE, linkname="busybox") for name in ("sh", "rm", "mkdir", "chmod")]
    users = _entry("etc/passwd", b"root:x:0:0::/:/bin/sh\nme:x:1000:1000::/:/bin/sh\n")
    return _archive(
        *directories, busybox, *links, users, _entry("etc/group", b"root:x:0:\nme:x:1000:\n"), _entry("etc/spare")
    )


def context(dockerfile: str) -> bytes:
    """The build context."""
    inside = _entry("f", b"in an archive", uid=5, gid=6, mode=0o600)
    inner = _archive(inside, _entry("d", type=tarfile.DIRTYPE, mode=0o755), _entry("d/g", b"deeper"))
    return _archive(
        _entry("Dockerfile", dockerfile.encode()),
        _entry("archive.tar", inner),
        _entry("f1", b"1\n"),
        _entry("f2", b"2\n"),
        _entry("lf", type=tarfile.SYMTYPE, linkname="f1"),
        _entry("dlink", type=tarfile.SYMTYPE, linkname="dd"),
        _entry("dd", type=tarfile.DIRTYPE, mode=0o700),
        _entry("dd/s", type=tarfile.DIRTYPE, mode=0o755),
        _entry("dd/s/x", b"x\n", mode=0o640),
        _entry("dd/hard1", b"h\n"),
        _entry("dd/hard2", type=tarfile.LNKTYPE, linkname="dd/hard1"),
        _entry("dd/l", type=tarfile.SYMTYPE, linkname="s/x"),
        _entry("dd/p", type=tarfile.FIFOTYPE),
    )


def facts(environment: dict[str, str], dockerfile: str) -> dict[str, Any]:
    """Build with the docker command of this environment, and say what came of it."""

    def docker(*words: str, given: bytes = b"") -> bytes:
        done = subprocess.run(
            ["docker", *words], input=given, capture_output=True, env=environment, check=False, timeout=120
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    docker("import", "-c", "ENV PATH=/bin", "-", "sampan-legacy-base", given=base())
    docker("import", "-", "sampan-legacy-bare", given=base())
    docker("build", "-t", "sampan-legacy-triggers", "-", given=TRIGGERS.encode())
    stream = docker("build", "-t", "sampan-legacy", *OPTIONS, "-", given=context(dockerfile)).decode()
    inspected = json.loads(docker("inspect", "sampan-legacy"))[0]
    config = {key: value for key, value in inspected["Config"].items() if key != "Image" and value}
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Size}}|{{.Comment}}", "sampan-legacy")
    return {
        "stream": [_ID.sub("ID", line) for line in stream.splitlines() if "Sending build context" not in line],
        "config": config,
        "author": inspected["Author"],
        "history": [_ID.sub("ID", line) for line in history.decode().splitlines()][:-1],
        "layers": _layers(docker("save", "sampan-legacy"))[1:],
    }


def _layers(saved: bytes) -> list[dict[str, list[Any]]]:
    found = []
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        manifest = json.loads(_member(archive, "manifest.json"))[0]
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(_member(archive, name))) as layer:
                found.append({entry.name.rstrip("/"): _described(layer, entry) for entry in layer})
    return found


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _described(layer: tarfile.TarFile, entry: tarfile.TarInfo) -> list[Any]:
    content = hashlib.sha256(_member(layer, entry.name)).hexdigest()[:16] if entry.isreg() else ""
    made: int | str = "now" if time.time() - entry.mtime < 86400 else int(entry.mtime)
    mode = f"{entry.mode:o}"
    if "/.wh." in f"/{entry.name}":
        made = mode = ""  # of a mark they mean nothing
    return [entry.type.decode(), mode, entry.uid, entry.gid, entry.linkname, content, made]


if __name__ == "__main__":
    here = {**os.environ, "DOCKER_HOST": sys.argv[1], "DOCKER_BUILDKIT": "0"}
    said = {name: facts(here, text) for name, text in DOCKERFILES.items()}
    RECORDED.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
