"""The machine as an image: seen through, written to without a trace, and silent about what is private."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kernel.conftest import PrivateHost

from sampan.errors import NotImplementedHere, SystemFailure
from sampan.image.host import HostImage
from sampan.image.host_mask import Hidden, Hiding, HostMask, without_passwords
from sampan.image.host_shelf import MaskShelf
from sampan.image.layers import LayerStore
from sampan.image.records import Base, ImageRecords
from sampan.image.root_records import RootRecords
from sampan.image.rootfs import Roots
from sampan.linux.mount import mount, mountinfo, move_mount
from sampan.linux.overlay import is_whiteout, mount_overlay
from sampan.oci.image_spec import ImageConfig, RootFs, encode
from sampan.runtime.launch_plan import RootPlan

CONTAINER = "a" * 64


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A directory on a tmpfs."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="sampan-test-") as path:
        yield Path(path)


@pytest.fixture(params=["marks of its own", "a shared mask"])
def roots(
    request: pytest.FixtureRequest, disk: Path, connection: sqlite3.Connection, layers: LayerStore, shelf: Path
) -> Roots:
    """Roots over a data root inside of the machine's root, as in real life."""
    (disk / "exec").mkdir()
    is_shared = request.param == "a shared mask"
    if is_shared and not MaskShelf(str(shelf)).is_usable():
        pytest.skip("needs a tmpfs at /dev/shm")
    image = HostImage(HostMask((str(disk / "data"), str(disk / "exec"))), MaskShelf(str(shelf) if is_shared else ""))
    roots = Roots(ImageRecords(connection), RootRecords(connection), layers, str(disk / "data/containers"), image)
    image.create(roots.images)
    return roots


@pytest.fixture
def plan(roots: Roots) -> RootPlan:
    (image,) = roots.images.all()
    return roots.prepare(image.id, CONTAINER)


def mounted(plan: RootPlan) -> Path:
    assert plan.overlay is not None
    fd = mount_overlay(plan.overlay.lowers, plan.overlay.upper, plan.overlay.work, plan.overlay.options)
    move_mount(fd, (-100, plan.path))
    os.close(fd)
    return Path(plan.path)


def test_the_machine_is_seen_and_written_to_without_a_trace(host: PrivateHost, plan: RootPlan, roots: Roots) -> None:
    def go() -> None:
        root = mounted(plan)
        assert (root / "etc/os-release").read_bytes() == Path("/etc/os-release").read_bytes()
        assert os.path.samestat((root / "usr/bin/env").stat(), (root / "bin/env").stat())
        (root / "etc/os-release").unlink()
        (root / "etc/written-in-the-container").write_text("x")
        assert (root / "etc").stat().st_mode == Path("/etc").stat().st_mode

    host.run(go)
    assert Path("/etc/os-release").exists()
    assert not Path("/etc/written-in-the-container").exists()
    assert (Path(roots.upper(CONTAINER)) / "etc/written-in-the-container").read_text() == "x"


def test_the_engine_s_own_directories_are_not_there(host: PrivateHost, plan: RootPlan, disk: Path) -> None:
    def go() -> None:
        base = mounted(plan) / str(disk).lstrip("/")
        assert not (base / "data").exists()
        assert not (base / "exec").exists()

    host.run(go)


def test_what_the_kernel_and_other_mounts_show_is_empty(host: PrivateHost, plan: RootPlan) -> None:
    points = {line.target for line in mountinfo() if line.target != "/" and os.path.isdir(line.target)}

    def go() -> None:
        root = mounted(plan)
        assert os.listdir(root / "run") == []
        for path in ("proc", "sys", "dev", "tmp", *(point.lstrip("/") for point in points)):
            if (root / path).exists():
                assert os.listdir(root / path) == [], path
        assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777

    host.run(go)


def test_a_directory_hidden_under_a_mount_does_not_come_to_light(host: PrivateHost, roots: Roots, disk: Path) -> None:
    """Below a mount point lies a directory of the root file system; overlayfs would show that one."""
    under = Path("/srv") / f"sampan-test-{os.getpid()}"
    under.mkdir()
    (under / "secret under the mount").touch()
    try:

        def go() -> None:
            mount("tmpfs", str(under), "tmpfs")
            (image,) = roots.images.all()
            assert os.listdir(mounted(roots.prepare(image.id, CONTAINER)) / str(under).lstrip("/")) == []

        host.run(go)
    finally:
        (under / "secret under the mount").unlink()
        under.rmdir()


def test_no_password_of_the_machine_is_readable(host: PrivateHost, plan: RootPlan) -> None:
    def go() -> list[str]:
        return (mounted(plan) / "etc/shadow").read_text().splitlines()

    seen = host.run(go)
    assert [line.split(":")[0] for line in seen] == [
        line.split(":")[0] for line in Path("/etc/shadow").read_text().splitlines()
    ]
    assert {line.split(":")[1] for line in seen} <= {"", "*", "!", "!!", "!*"}


def machine(disk: Path) -> Path:
    """A small machine with secrets in the usual places."""
    root = disk / "machine"
    for name in (
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_ed25519_key.pub",
        "etc/ssl/private/snakeoil.key",
        "root/.ssh/id_ed25519",
        "root/notes",
        "var/lib/docker/overlay2/x",
        "run/secrets/token",
        "data/db",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "etc/shadow").write_text("root:$y$hash:1::::::\nnobody:*:1::::::\n")
    (root / "etc/shadow").chmod(0o640)
    return root


def test_well_known_secrets_are_hidden_unless_asked_for(host: PrivateHost, disk: Path) -> None:
    root = machine(disk)
    for secrets in (True, False):
        mask = HostMask((), secrets=secrets, root=str(root))
        tree = disk / f"mask-{secrets}"
        tree.mkdir()
        mask.build(mask.plan(), str(tree))

        def go(tree: Path = tree, secrets: bool = secrets) -> None:  # noqa: FBT001
            os.mkdir("m")
            move_mount(mount_overlay([str(tree), str(root)]), (-100, "m"))
            assert os.listdir("m/run") == []
            assert os.listdir("m/var/lib/docker") == []
            assert Path("m/root/notes").exists()
            assert Path("m/etc/ssh/ssh_host_ed25519_key.pub").exists()
            assert Path("m/etc/ssh/ssh_host_ed25519_key").exists() is not secrets
            assert Path("m/root/.ssh").exists() is not secrets
            assert os.listdir("m/etc/ssl/private") == ([] if secrets else ["snakeoil.key"])
            assert Path("m/etc/shadow").read_text().startswith("root:*:" if secrets else "root:$y$")
            assert stat.S_IMODE(os.stat("m/etc/shadow").st_mode) == 0o640

        host.run(go)


def test_a_mask_goes_through_no_symbolic_link(disk: Path) -> None:
    root = machine(disk)
    os.rename(root / "var", root / "elsewhere")
    os.symlink("elsewhere", root / "var")
    plan = HostMask((), root=str(root)).plan()
    assert Hidden("/elsewhere/lib/docker", Hiding.EMPTY) in plan
    assert not [hidden for hidden in plan if hidden.path.startswith("/var")]


def test_nothing_is_hidden_below_what_is_hidden(disk: Path) -> None:
    root = machine(disk)
    plan = HostMask(("/run/secrets", "/data"), root=str(root)).plan()
    paths = [hidden.path for hidden in plan]
    assert "/run" in paths
    assert "/run/secrets" not in paths
    assert Hidden("/data", Hiding.GONE) in plan


def test_what_is_hidden_is_written_down(disk: Path) -> None:
    root = machine(disk)
    upper = disk / "upper"
    upper.mkdir()
    HostImage(HostMask((), root=str(root))).fill_upper(str(upper), str(disk / "list"))
    assert is_whiteout(os.lstat(upper / "root/.ssh"))
    written_down = json.loads((disk / "list").read_text())
    assert ["/root/.ssh", "gone"] in written_down
    assert ["/etc/shadow", "replaced"] in written_down
    assert ["/run", "empty"] in written_down


def test_an_image_on_top_of_the_machine_cannot_have_layers(roots: Roots) -> None:
    config = ImageConfig(rootfs=RootFs(diff_ids=("sha256:" + "1" * 64,)))
    image = roots.images.add(encode(config), size=0, base=Base.HOST)
    with pytest.raises(NotImplementedHere, match="cannot have layers") as caught:
        roots.prepare(image.id, CONTAINER)
    assert "sampan export" in caught.value.remedy
    (host_image,) = (one for one in roots.images.all() if not one.diff_ids)
    roots.prepare(host_image.id, CONTAINER)
    with pytest.raises(NotImplementedHere, match="cannot have layers"):
        roots.committable(CONTAINER)


def test_the_image_has_no_layers_a_shell_and_the_same_id_each_time(connection: sqlite3.Connection) -> None:
    records = ImageRecords(connection)
    first, image = (HostImage(HostMask(())).create(records) for _ in range(2))
    assert first == image
    assert len(records.all()) == 1
    assert (image.base, image.diff_ids, image.size) == (Base.HOST, (), 0)
    assert image.defaults.cmd in {("/bin/bash",), ("/bin/sh",)}
    assert image.defaults.env is not None
    assert image.defaults.env[0].startswith("PATH=/")
    assert image.made_s is not None, "lists show the time of its files, which may be 1970"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"a:$y$j9T$x:19000:0:99999:7:::", b"a:*:19000:0:99999:7:::"),
        (b"a:!:19000::::::", b"a:!:19000::::::"),
        (b"a:!$y$locked:19000::::::", b"a:*:19000::::::"),
        (b"a::19000::::::", b"a::19000::::::"),
        (b"wheel:$6$x:root:a,b", b"wheel:*:root:a,b"),
        (b"a:lonely", b"a:*"),
        (b"+", b"+"),
    ],
)
def test_no_password_hash_is_left_in_a_shadow_line(line: bytes, shown: bytes) -> None:
    assert without_passwords(line + b"\n") == shown + b"\n"


def test_containers_share_a_mask_until_something_else_is_to_be_hidden(
    disk: Path, connection: sqlite3.Connection, layers: LayerStore, shelf: Path
) -> None:
    image = HostImage(HostMask((str(disk / "data"),)), MaskShelf(str(shelf)))
    if not image.shelf.is_usable():
        pytest.skip("needs a tmpfs at /dev/shm")
    roots = Roots(ImageRecords(connection), RootRecords(connection), layers, str(disk / "data/containers"), image)
    created = image.create(roots.images)
    first, second = (roots.prepare(created.id, letter * 64) for letter in "ab")
    assert first.overlay is not None
    assert second.overlay is not None
    assert first.overlay.lowers == second.overlay.lowers
    assert first.overlay.lowers[1:] == ("/",)
    assert os.listdir(roots.upper("a" * 64)) == []
    other = Roots(
        roots.images,
        roots.records,
        layers,
        roots.containers,
        HostImage(HostMask((str(disk / "data"), "/etc/os-release")), image.shelf),
    )
    third = other.prepare(created.id, "c" * 64)
    assert third.overlay is not None
    assert third.overlay.lowers[0] != first.overlay.lowers[0]
    assert other.prepare(created.id, "a" * 64) == first  # what is hidden is looked at when a container is made


def test_a_mask_that_a_boot_took_is_made_anew_and_without_a_place_nothing_is_shown(
    disk: Path, connection: sqlite3.Connection, layers: LayerStore, shelf: Path
) -> None:
    image = HostImage(HostMask((str(disk / "data"),)), MaskShelf(str(shelf / "masks")))
    if not image.shelf.is_usable():
        pytest.skip("needs a tmpfs at /dev/shm")
    roots = Roots(ImageRecords(connection), RootRecords(connection), layers, str(disk / "data/containers"), image)
    plan = roots.prepare(image.create(roots.images).id, CONTAINER)
    assert plan.overlay is not None
    shutil.rmtree(shelf / "masks")
    assert roots.prepare(plan.path, CONTAINER) == plan
    assert os.path.isdir(plan.overlay.lowers[0])
    shutil.rmtree(shelf / "masks")
    elsewhere = HostImage(image.mask, MaskShelf(str(disk / "data/masks")))
    moved = Roots(roots.images, roots.records, layers, roots.containers, elsewhere)
    if not elsewhere.shelf.is_usable():
        with pytest.raises(SystemFailure, match="has no place"):
            moved.prepare(plan.path, CONTAINER)


def test_masks_that_nothing_uses_go_when_they_are_many(disk: Path, shelf: Path) -> None:
    (disk / "machine/root/.ssh").mkdir(parents=True)
    masks = MaskShelf(str(shelf))
    kept = MaskShelf(str(shelf)).keep(HostMask(()), [])
    for number in range(20):
        (disk / f"machine/secret{number}").write_text("x")
        mask = HostMask((f"/secret{number}",), root=str(disk / "machine"))
        masks.keep(mask, [Hidden(f"/secret{number}", Hiding.GONE)], lambda: (kept,))
    assert kept in os.listdir(shelf)
    assert len(os.listdir(shelf)) <= 9
