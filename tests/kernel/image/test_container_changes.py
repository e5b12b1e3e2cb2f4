"""What a container changed: as docker diff tells it, as a committed layer, and as an export."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.conftest import PrivateHost
from tests.kernel.image.conftest import tree_of
from tests.unit.image.conftest import make_archive

from sampan.errors import NotFound
from sampan.image.commit import EMPTY_LAYER, CommitRequest, child_config, commit_layer
from sampan.image.host import HostImage
from sampan.image.host_mask import HostMask
from sampan.image.layers import LayerStore
from sampan.image.pack import pack
from sampan.image.records import ImageRecords
from sampan.image.root_records import RootRecords
from sampan.image.rootfs import Roots
from sampan.image.tar_entry import Entry, Kind
from sampan.linux.mount import AT_FDCWD, MountFlag, mount, move_mount, open_tree
from sampan.linux.overlay import mount_overlay
from sampan.oci.image_spec import ContainerDefaults, History, ImageConfig, RootFs, decode_config, encode
from sampan.runtime.launch_plan import RootPlan

CONTAINER = "c" * 64
LOWER = make_archive(
    Entry(b"etc", Kind.DIRECTORY, mtime_ns=10**18),
    ("etc/a", b"a"),
    ("etc/b", b"b"),
    ("etc/sub/deep", b"deep"),
    ("usr/bin/tool", b"tool"),
    ("var/cache/one", b"1"),
    ("var/cache/two", b"2"),
    ("gone/x", b""),
)
UPPER_LAYER = make_archive(("etc/a", b"a of the second layer"), ("gone/.wh.x", b""), ("var/lib/state", b""))


@pytest.fixture
def roots(layers: LayerStore, disk: Path, connection: sqlite3.Connection) -> Roots:
    (disk / "exec").mkdir()
    host = HostImage(HostMask((str(disk),)))
    return Roots(ImageRecords(connection), RootRecords(connection), layers, str(disk / "data/containers"), host)


@pytest.fixture
def plan(roots: Roots) -> RootPlan:
    diff_ids = tuple(roots.layers.add_chunks([data]).diff_id for data in (LOWER, UPPER_LAYER))
    image = roots.images.add(encode(ImageConfig(rootfs=RootFs(diff_ids=diff_ids))), size=0)
    return roots.prepare(image.id, CONTAINER)


def mounted(plan: RootPlan) -> Path:
    assert plan.overlay is not None
    fd = mount_overlay(plan.overlay.lowers, plan.overlay.upper, plan.overlay.work, plan.overlay.options)
    move_mount(fd, (-100, plan.path))
    os.close(fd)
    return Path(plan.path)


def written(host: PrivateHost, plan: RootPlan, write: Callable[[Path], object]) -> None:
    host.run(lambda: [write(mounted(plan)), None][1])


def changes(roots: Roots) -> list[str]:
    """As docker diff prints them."""
    return [f"{'CAD'[change.kind.value]} {change.path}" for change in roots.changes(CONTAINER)]


def edit(root: Path) -> None:
    (root / "etc/a").write_text("changed")
    (root / "etc/b").unlink()
    (root / "etc/new").write_text("new")
    (root / "added/below").mkdir(parents=True)
    (root / "added/below/f").touch()
    (root / "usr/bin").chmod(0o700)


def test_changes_are_told_as_docker_tells_them(host: PrivateHost, roots: Roots, plan: RootPlan) -> None:
    written(host, plan, edit)
    assert changes(roots) == [
        "A /added",
        "A /added/below",
        "A /added/below/f",
        "C /etc",
        "C /etc/a",
        "D /etc/b",
        "A /etc/new",
        "C /usr",
        "C /usr/bin",
    ]


def test_nothing_changed_is_nothing(host: PrivateHost, roots: Roots, plan: RootPlan) -> None:
    assert changes(roots) == []

    def look(root: Path) -> None:
        (root / "etc/a").read_text()
        with (root / "etc/b").open("r+"):  # copies it up, and changes nothing
            pass

    written(host, plan, look)
    assert os.path.exists(f"{roots.upper(CONTAINER)}/etc/b"), "nothing was copied up, so this shows nothing"
    assert changes(roots) == []


def test_what_came_and_went_is_no_change(host: PrivateHost, roots: Roots, plan: RootPlan) -> None:
    def come_and_go(root: Path) -> None:
        (root / "etc/temporary").touch()
        (root / "etc/temporary").unlink()
        (root / "gone/x").touch()
        (root / "gone/x").unlink()

    written(host, plan, come_and_go)
    assert changes(roots) == []


def test_a_directory_made_anew_lacks_what_was_in_it(host: PrivateHost, roots: Roots, plan: RootPlan) -> None:
    def renew(root: Path) -> None:
        subprocess.run(["rm", "-r", str(root / "var/cache"), str(root / "etc/sub")], check=True)
        (root / "var/cache").mkdir()
        (root / "var/cache/two").write_text("other")
        (root / "etc/sub").write_text("now a file")

    written(host, plan, renew)
    assert changes(roots) == [
        "C /etc",
        "C /etc/sub",
        "D /etc/sub/deep",
        "C /var",
        "C /var/cache",
        "D /var/cache/one",
        "C /var/cache/two",
    ]


def test_the_hiding_marks_of_the_host_image_are_no_changes(host: PrivateHost, roots: Roots) -> None:
    image = roots.host.create(roots.images)
    plan = roots.prepare(image.id, CONTAINER)
    assert changes(roots) == []

    def write(root: Path) -> None:
        (root / "tmp/scratch").touch()
        (root / "etc/os-release").unlink()

    written(host, plan, write)
    assert changes(roots) == ["C /etc", "D /etc/os-release", "C /tmp", "A /tmp/scratch"]


def test_a_container_without_a_root_has_no_changes_to_tell(roots: Roots) -> None:
    with pytest.raises(NotFound):
        roots.changes(CONTAINER)
    with pytest.raises(NotFound):
        roots.open_stopped(CONTAINER)


def test_a_commit_is_the_image_s_layers_and_one_more(host: PrivateHost, roots: Roots, plan: RootPlan) -> None:
    written(host, plan, edit)
    parent = roots.images.all()[0]
    with roots.layers.hold() as hold:
        layer = commit_layer(roots.committable(CONTAINER), roots.layers, hold)
    request = CommitRequest(ContainerDefaults(cmd=("sh",)), "sh -c edit", "me", "a remark")
    image = roots.images.add(child_config(parent.config, layer, request, "2026-01-01T00:00:00Z"), size=0)
    assert image.diff_ids == (*parent.diff_ids, layer.diff_id)
    assert image.config.history == (
        History(created="2026-01-01T00:00:00Z", created_by="sh -c edit", author="me", comment="a remark"),
    )
    again = roots.prepare(image.id, "d" * 64)

    def seen(plan: RootPlan) -> dict[str, tuple[object, ...]]:
        tree = tree_of(mounted(plan))
        return {name: about[:2] + about[3:] for name, about in tree.items() if name != "."}  # times are whole seconds

    assert host.run(lambda: seen(again)) == host.run(lambda: seen(plan))


def test_the_same_changes_give_the_same_layer(host: PrivateHost, roots: Roots, plan: RootPlan) -> None:
    written(host, plan, edit)
    with roots.layers.hold() as hold:
        one, two = (
            commit_layer(roots.upper(CONTAINER), roots.layers, hold, latest_mtime_s=1_000_000_000).diff_id
            for _ in range(2)
        )
    assert one == two


def test_a_commit_of_nothing_adds_no_layer(roots: Roots, plan: RootPlan) -> None:
    parent = roots.images.all()[0]
    with roots.layers.hold() as hold:
        layer = commit_layer(roots.upper(CONTAINER), roots.layers, hold)
    assert layer.diff_id == EMPTY_LAYER
    child = decode_config(child_config(parent.config, layer, CommitRequest(ContainerDefaults(), "true"), "now"))
    assert child.rootfs == parent.config.rootfs
    assert child.history == (History(created="now", created_by="true", empty_layer=True),)


def test_there_is_nothing_to_commit_of_a_container_without_a_root(roots: Roots) -> None:
    with roots.layers.hold() as hold, pytest.raises(NotFound, match="nothing to commit"):
        commit_layer(roots.upper(CONTAINER), roots.layers, hold)
    with pytest.raises(NotFound, match="no root file system"):
        roots.committable(CONTAINER)


def names_and_sizes(data: bytes) -> dict[str, int]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member.size for member in tar if not member.name.startswith("etc/s")}


def test_a_stopped_container_is_exported_whole_and_mounted_nowhere(
    host: PrivateHost, roots: Roots, plan: RootPlan
) -> None:
    written(host, plan, edit)

    def export() -> dict[str, int]:
        before = Path("/proc/self/mountinfo").read_text()
        fd = roots.open_stopped(CONTAINER)
        try:
            found = names_and_sizes(b"".join(pack(fd)))
            assert Path("/proc/self/mountinfo").read_text() == before
            with pytest.raises(OSError, match="Read-only"):
                os.mkdir("new", dir_fd=fd)
        finally:
            os.close(fd)
        return found

    found = host.run(export)
    assert found["etc/a"] == len("changed")
    assert found["var/lib/state"] == 0
    assert "etc/b" not in found
    assert "gone/x" not in found
    assert not [name for name in found if ".wh." in name]


def test_a_stopped_container_can_be_written_to(host: PrivateHost, roots: Roots, plan: RootPlan) -> None:
    def write() -> None:
        fd = roots.open_stopped(CONTAINER, writable=True)
        os.mkdir("copied in", dir_fd=fd)
        os.close(fd)

    host.run(write)
    assert changes(roots) == ["A /copied in"]
    assert plan.path


def test_a_running_container_is_exported_without_what_is_mounted_in_it(
    host: PrivateHost, roots: Roots, plan: RootPlan
) -> None:
    assert roots.layers

    def export() -> dict[str, int]:
        root = mounted(plan)
        Path("volume").mkdir()
        Path("volume/secret").write_text("of a volume")
        Path("hosts").write_text("of the engine")
        (root / "etc/hosts").touch()
        mount("volume", str(root / "var/cache"), "", MountFlag.BIND)
        mount("hosts", str(root / "etc/hosts"), "", MountFlag.BIND)
        (root / "proc").mkdir()
        mount("proc", str(root / "proc"), "proc")
        fd = open_tree(AT_FDCWD, str(root), clone=True)
        try:
            return names_and_sizes(b"".join(pack(fd)))
        finally:
            os.close(fd)

    found = host.run(export)
    assert found["var/cache"] == found["etc/hosts"] == found["proc"] == 0
    assert "var/cache/secret" not in found
    assert not [name for name in found if name.startswith("proc/")]
    assert found["usr/bin/tool"] == 4
