"""Images go out and come back the same: digests, and the trees with mode, owner, time, xattrs and links.

Between sampan and itself, a registry, skopeo, podman and Docker, as far as they are installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docker_command import DockerCli
from tests.registry_process import registry_process
from tests.unit.image.conftest import make_archive
from tests.waiting import until

from sampan.image.tar_entry import Entry, Kind

FILE_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep
LOWER = make_archive(
    Entry(b"bin", Kind.DIRECTORY, mode=0o755, mtime_ns=1_600_000_000 * 10**9),
    ("bin/setuid", b"#!"),
    Entry(b"sticky", Kind.DIRECTORY, mode=0o1777, uid=7, gid=8, mtime_ns=1_500_000_000 * 10**9),
    ("etc/hidden", b"shadowed by the second layer"),
    ("etc/gone/file", b"gone"),
    Entry(b"etc/link", Kind.SYMLINK, link=b"/etc/kept", uid=5, gid=6, mtime_ns=1_400_000_000 * 10**9),
    ("etc/kept", b"kept" * 1000),
    Entry(b"etc/hard", Kind.LINK, link=b"etc/kept", mtime_ns=1_700_000_000 * 10**9),
    Entry(b"fifo", Kind.FIFO, mode=0o640, uid=1, gid=2, mtime_ns=1_300_000_000 * 10**9),
    Entry(b"names", Kind.DIRECTORY, mode=0o750, mtime_ns=1_100_000_000 * 10**9),
    Entry("names/\u00e4\u6f22".encode(), Kind.DIRECTORY, mode=0o700, uid=70_000, gid=70_001),
)
UPPER = make_archive(
    ("etc/hidden", b"the second layer's"),
    ("etc/.wh.gone", b""),
    Entry(b"sticky", Kind.DIRECTORY, mode=0o1770, uid=9, gid=8, mtime_ns=1_500_000_000 * 10**9),
    Entry(b"sticky/new", Kind.DIRECTORY, mode=0o2755, uid=3, gid=4, mtime_ns=1_200_000_000 * 10**9),
)


def special() -> bytes:
    """A layer with what make_archive has not: set-user-id, a file capability, another extended attribute."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        file = tarfile.TarInfo("special")
        file.mode, file.uid, file.gid, file.size = 0o4755, 11, 12, 4
        file.mtime = 1_234_567_890
        file.pax_headers = {
            "SCHILY.xattr.security.capability": FILE_CAPABILITY.decode("utf-8", "surrogateescape"),
            "SCHILY.xattr.user.colour": "blue",
        }
        tar.addfile(file, io.BytesIO(b"four"))
    return out.getvalue()


def docker_archive(path: Path, name: str, *layers: bytes) -> Path:
    """An image of the layers as `docker save` writes it."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Cmd": ["/none"], "Labels": {"a": "b"}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": f"layer {digest[:6]}"} for digest in digests],
    }
    content = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(content).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar" for digest in digests]}]
    files = [(f"{digest}/layer.tar", layer) for digest, layer in zip(digests, layers, strict=True)]
    path.write_bytes(make_archive(*files, (config_name, content), ("manifest.json", json.dumps(manifest).encode())))
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return docker_archive(tmp_path_factory.mktemp("archive") / "image.tar", "trip:1", LOWER, UPPER, special())


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry_process(tmp_path_factory.mktemp("registry")) as domain:
        yield domain


@pytest.fixture
def loaded(docker: DockerCli, archive: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The image in sampan: what makes it what it is, and its tree."""
    docker("load", "-i", str(archive))
    yield identity(docker, "trip:1"), tree(docker, "trip:1")
    for image_id in set(docker("images", "-q").split()):
        docker("rmi", "-f", image_id)


def identity(docker: DockerCli, name: str) -> Any:
    """Id, layers and configuration of an image."""
    found = json.loads(docker("image", "inspect", name))[0]
    return found["Id"], found["RootFS"], found["Config"]["Labels"], found["Config"]["Cmd"]


def tree(docker: DockerCli, name: str, *, given: str = "") -> dict[str, Any]:
    """What a container of the image sees, as its export has it, without what an engine puts there itself."""
    container = docker("create", "--network", "none", *((given,) if given else ()), name, "/none").strip()
    done = subprocess.run(["docker", "export", container], env=docker.environment, capture_output=True, check=True)
    docker("rm", container)
    found = entries(done.stdout)
    if IS_REAL in docker.environment:
        found["special"][7]["SCHILY.xattr.user.colour"] = "blue"  # Docker leaves such attributes out of an export
    return found


def entries(content: bytes) -> dict[str, Any]:
    """A tar's entries by name: everything that a file has; hard links as the file that they are a name of."""
    found: dict[str, Any] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isreg() else None
            digest = hashlib.sha256(file.read()).hexdigest() if file else ""
            xattrs = {key: value for key, value in entry.pax_headers.items() if key.startswith("SCHILY.xattr")}
            about = [entry.type, entry.mode, entry.uid, entry.gid, int(entry.mtime), entry.linkname, digest, xattrs]
            found[entry.name.strip("./")] = about
    linked = {name: about[5] for name, about in found.items() if about[0] == tarfile.LNKTYPE}
    for name, target in linked.items():
        found[name] = found[target.strip("./")]
    return {name: about for name, about in found.items() if name.startswith(OURS)}


def check_same(docker: DockerCli, name: str, wanted: tuple[Any, dict[str, Any]]) -> None:
    """Identity and tree are as they were elsewhere; what is not, is named."""
    found = tree(docker, name)
    names = found.keys() | wanted[1].keys()
    other = {name: (found.get(name), wanted[1].get(name)) for name in names if found.get(name) != wanted[1].get(name)}
    assert not other
    assert identity(docker, name) == wanted[0]


IS_REAL = "IS_DOCKER_ITSELF"
OURS = ("bin", "sticky", "etc/hard", "etc/hidden", "etc/k", "etc/g", "etc/l", "fifo", "names", "special")


def test_the_tree_is_what_the_archives_say(loaded: tuple[Any, dict[str, Any]]) -> None:
    found = loaded[1]
    assert found["special"][1:5] == [0o4755, 11, 12, 1_234_567_890]
    assert found["special"][7]["SCHILY.xattr.user.colour"] == "blue"
    assert "SCHILY.xattr.security.capability" in found["special"][7]
    assert found["etc/hard"] == found["etc/kept"]
    assert found["etc/link"][2:6] == [5, 6, 1_400_000_000, "/etc/kept"]
    assert found["sticky"][1:4] == [0o1770, 9, 8]
    assert found["fifo"][:4] == [tarfile.FIFOTYPE, 0o640, 1, 2]
    assert "names/\u00e4\u6f22" in found
    assert "etc/gone" not in found


def test_save_and_load(docker: DockerCli, loaded: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    docker("save", "-o", str(tmp_path / "out.tar"), "trip:1")
    docker("rmi", "trip:1")
    docker("load", "-i", str(tmp_path / "out.tar"))
    check_same(docker, "trip:1", loaded)


def test_push_and_pull(docker: DockerCli, loaded: tuple[Any, dict[str, Any]], registry: str) -> None:
    name = f"{registry}/trip:1"
    docker("tag", "trip:1", name)
    docker("push", name)
    docker("rmi", name, "trip:1")
    assert "Pull complete" in docker("pull", name)
    check_same(docker, name, loaded)


def test_export_and_import(docker: DockerCli, loaded: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    container = docker("create", "--network", "none", "trip:1", "/none").strip()
    docker("export", "-o", str(tmp_path / "tree.tar"), container)
    docker("rm", container)
    docker("import", str(tmp_path / "tree.tar"), "again:1")
    assert tree(docker, "again:1", given="--label=x") == loaded[1]


def skopeo(*words: str) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("needs skopeo: apt-get install skopeo")
    policy = ("--insecure-policy", "copy", "--dest-tls-verify=false", "--src-tls-verify=false", "-q")
    subprocess.run(["skopeo", *policy, *words], check=True, capture_output=True)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo_s_archives_are_loaded(
    docker: DockerCli, loaded: tuple[Any, dict[str, Any]], archive: Path, tmp_path: Path, form: str
) -> None:
    skopeo(f"docker-archive:{archive}", f"{form}:{tmp_path}/copied.tar:other:2")
    docker("rmi", "trip:1")
    said = docker("load", "-i", str(tmp_path / "copied.tar")).split()[-1]
    assert identity(docker, said)[1:] == loaded[0][1:]
    assert tree(docker, said) == loaded[1]


def test_what_skopeo_pushed_is_pulled_and_what_is_pushed_skopeo_reads(
    docker: DockerCli, loaded: tuple[Any, dict[str, Any]], archive: Path, registry: str, tmp_path: Path
) -> None:
    skopeo(f"docker-archive:{archive}", f"docker://{registry}/skopeo:1")
    docker("rmi", "trip:1")
    docker("pull", f"{registry}/skopeo:1")
    check_same(docker, f"{registry}/skopeo:1", loaded)
    docker("tag", f"{registry}/skopeo:1", f"{registry}/back:1")
    docker("push", f"{registry}/back:1")
    skopeo(f"docker://{registry}/back:1", f"docker-archive:{tmp_path}/back.tar:trip:1")
    with tarfile.open(tmp_path / "back.tar") as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        assert manifest[0]["Config"] == loaded[0][0].removeprefix("sha256:") + ".json"


def test_podman_s_archives_are_loaded(
    docker: DockerCli, loaded: tuple[Any, dict[str, Any]], archive: Path, tmp_path: Path
) -> None:
    if shutil.which("podman") is None:
        pytest.skip("needs podman: apt-get install podman")
    podman = ["podman", "--root", f"{tmp_path}/root", "--runroot", f"{tmp_path}/run", "--storage-driver", "vfs"]
    podman += ["--cgroup-manager", "cgroupfs", "--events-backend", "file"]
    subprocess.run([*podman, "load", "-q", "-i", str(archive)], check=True, capture_output=True)
    for form in ("docker-archive", "oci-archive"):
        path = str(tmp_path / f"{form}.tar")
        words = ["save", "-q", "--format", form, "-o", path, "localhost/trip:1"]
        subprocess.run([*podman, *words], check=True, capture_output=True)
        said = docker("load", "-i", path).split()[-1]
        assert identity(docker, said)[1:] == loaded[0][1:]
        assert tree(docker, said) == loaded[1]


@contextlib.contextmanager
def real_docker() -> Iterator[DockerCli]:
    """Docker's own daemon with nothing of the host's; its sockets want a short path."""
    directory = Path(tempfile.mkdtemp(prefix="sampan-test-"))
    socket = directory / "docker.sock"
    words = ["dockerd", "--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec"]
    words += ["--pidfile", f"{directory}/pid", "-H", f"unix://{socket}", "--bridge", "none", "--iptables=false"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        docker = object.__new__(DockerCli)
        home = str(directory)
        docker.environment = {"PATH": os.environ["PATH"], "HOME": home, "DOCKER_HOST": f"unix://{socket}", IS_REAL: "1"}
        ask = ["docker", "version"]
        until(lambda: not subprocess.run(ask, env=docker.environment, capture_output=True, check=False).returncode, 60)
        yield docker
    finally:
        process.terminate()
        process.wait()
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for target in reversed([path for path in mounted if path.startswith(f"{directory}/")]):
            subprocess.run(["umount", target], check=True)
        shutil.rmtree(directory)


@pytest.mark.skipif(shutil.which("dockerd") is None, reason="needs Docker's daemon: apt-get install docker.io")
def test_from_docker_to_sampan_and_back(docker: DockerCli, archive: Path, registry: str, tmp_path: Path) -> None:
    name = f"{registry}/docker:1"
    with real_docker() as real:
        real("load", "-i", str(archive))
        theirs = (identity(real, "trip:1"), tree(real, "trip:1"))
        real("save", "-o", str(tmp_path / "theirs.tar"), "trip:1")
        real("tag", "trip:1", name)
        real("push", name)
        real("rmi", "-f", name, "trip:1")
        docker("load", "-i", str(tmp_path / "theirs.tar"))
        check_same(docker, "trip:1", theirs)
        docker("rmi", "trip:1")
        docker("pull", name)
        check_same(docker, name, theirs)
        docker("save", "-o", str(tmp_path / "ours.tar"), name)
        docker("tag", name, f"{registry}/back:2")
        docker("push", f"{registry}/back:2")
        docker("rmi", name, f"{registry}/back:2")
        real("load", "-i", str(tmp_path / "ours.tar"))
        check_same(real, name, theirs)
        real("rmi", name)
        real("pull", f"{registry}/back:2")
        check_same(real, f"{registry}/back:2", theirs)
