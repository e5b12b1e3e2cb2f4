"""Roots of containers: shared layers below, their own upper, released whole at any moment."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.kernel.conftest import PrivateHost
from tests.kernel.image.conftest import tree_of
from tests.unit.image.conftest import make_archive

from sampan.errors import InvalidArgument, NotFound, NotImplementedHere, SystemFailure
from sampan.image.host import HostImage
from sampan.image.host_mask import HostMask
from sampan.image.layers import LayerStore
from sampan.image.records import ImageRecords
from sampan.image.root_records import RootRecords
from sampan.image.rootfs import Roots
from sampan.image.tar_entry import Entry, Kind
from sampan.linux.mount import move_mount, umount
from sampan.linux.overlay import mount_overlay
from sampan.oci.image_spec import ImageConfig, RootFs, encode
from sampan.runtime.launch_plan import RootPlan

ONE, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def roots(layers: LayerStore, disk: Path, connection: sqlite3.Connection) -> Roots:
    return Roots(
        ImageRecords(connection),
        RootRecords(connection),
        layers,
        str(disk / "data/containers"),
        HostImage(HostMask(())),
    )


def image(roots: Roots, *archives: bytes) -> str:
    diff_ids = tuple(roots.layers.add_chunks([data]).diff_id for data in archives)
    return roots.images.add(encode(ImageConfig(rootfs=RootFs(diff_ids=diff_ids))), size=0).id


def mounted(plan: RootPlan) -> str:
    """Mount a plan as runtime does, in the caller's own mount namespace."""
    assert plan.overlay is not None
    fd = mount_overlay(plan.overlay.lowers, plan.overlay.upper, plan.overlay.work, plan.overlay.options)
    move_mount(fd, (-100, plan.path))
    os.close(fd)
    return plan.path


def text(plan: RootPlan, name: str) -> str:
    """What a file of the mounted root says."""
    return (Path(mounted(plan)) / name).read_text()


LOWER = make_archive(Entry(b"./", Kind.DIRECTORY, mode=0o711), ("etc/a", b"low a"), ("etc/b", b"low b"), ("bin/x", b""))
UPPER = make_archive(("etc/a", b"up a"), ("etc/.wh.b", b""), ("etc/c", b"up c"))


def test_containers_share_layers_and_write_to_their_own(host: PrivateHost, roots: Roots) -> None:
    image_id = image(roots, LOWER, UPPER)
    before = {layer: tree_of(roots.layers.diff(layer)) for layer in roots.layers.list()}
    plans = [roots.prepare(image_id, container) for container in (ONE, OTHER)]

    def go() -> list[list[str]]:
        seen = []
        for number, plan in enumerate(plans):
            root = Path(mounted(plan))
            assert (root / "etc/a").read_text() == "up a"
            (root / "etc/a").write_text(f"mine {number}")
            (root / "bin/x").unlink()
            seen.append(sorted(os.listdir(root / "etc")))
        assert [(Path(plan.path) / "etc/a").read_text() for plan in plans] == ["mine 0", "mine 1"]
        return seen

    assert host.run(go) == [["a", "c"], ["a", "c"]]
    assert (Path(roots.upper(ONE)) / "etc/a").read_text() == "mine 0"
    assert before == {layer: tree_of(roots.layers.diff(layer)) for layer in roots.layers.list()}


def test_the_root_directory_looks_as_the_image_s(host: PrivateHost, roots: Roots) -> None:
    plan = roots.prepare(image(roots, LOWER), ONE)
    assert host.run(lambda: stat.S_IMODE(os.stat(mounted(plan)).st_mode)) == 0o711


def test_preparing_again_keeps_what_was_written(host: PrivateHost, roots: Roots) -> None:
    image_id = image(roots, LOWER)
    first = roots.prepare(image_id, ONE)

    def write() -> None:
        (Path(mounted(first)) / "mine").write_text("kept")

    host.run(write)
    again = roots.prepare(image_id, ONE)
    assert again == first
    assert host.run(partial(text, again, "mine")) == "kept"


def test_a_disposable_root_is_mounted_volatile_and_starts_again(host: PrivateHost, roots: Roots) -> None:
    image_id = image(roots, LOWER)
    for attempt in range(2):
        plan = roots.prepare(image_id, ONE, disposable=True)

        def go(plan: RootPlan = plan) -> str:
            mounted(plan)
            return next(line for line in Path("/proc/mounts").read_text().splitlines() if plan.path in line)

        assert "volatile" in host.run(go), attempt
    assert os.path.exists(os.path.join(os.path.dirname(plan.path), "work/work/incompat")), "not volatile: shows nothing"


def test_a_layer_that_comes_twice_is_mounted_once(host: PrivateHost, roots: Roots) -> None:
    middle = make_archive(("etc/a", b"middle"), ("m", b""))
    plan = roots.prepare(image(roots, LOWER, UPPER, middle, UPPER), ONE)
    assert plan.overlay is not None
    assert len(plan.overlay.lowers) == 3
    assert host.run(partial(text, plan, "etc/a")) == "up a"


def test_a_layer_whose_root_is_opaque_hides_all_below(host: PrivateHost, roots: Roots) -> None:
    plan = roots.prepare(image(roots, LOWER, make_archive((".wh..wh..opq", b""), ("only", b""))), ONE)
    assert host.run(lambda: os.listdir(mounted(plan))) == ["only"]


def test_an_image_without_layers_is_an_empty_root(host: PrivateHost, roots: Roots) -> None:
    plan = roots.prepare(image(roots), ONE)
    assert host.run(lambda: os.listdir(mounted(plan))) == []


def test_a_hundred_layers_are_mounted(host: PrivateHost, roots: Roots) -> None:
    image_id = image(roots, *[make_archive((f"f{number}", b"")) for number in range(120)])
    plan = roots.prepare(image_id, ONE)
    assert host.run(lambda: len(os.listdir(mounted(plan)))) == 120


def test_an_image_can_be_looked_at_without_a_container(host: PrivateHost, roots: Roots, disk: Path) -> None:
    (disk / "place").mkdir()
    for archives in ((), (LOWER,), (LOWER, UPPER)):
        plan = roots.readonly_plan(image(roots, *archives), str(disk / "place"))

        def go(plan: RootPlan = plan, expected: bool = bool(archives)) -> None:  # noqa: FBT001 -- bound here
            path = mounted(plan)
            assert (Path(path) / "etc/a").exists() == expected
            with pytest.raises(OSError, match="Read-only"):
                (Path(path) / "new").touch()
            umount(path)

        host.run(go)


def test_a_released_root_is_gone_and_releasing_again_is_nothing(roots: Roots) -> None:
    image_id = image(roots, LOWER)
    roots.prepare(image_id, ONE)
    (Path(roots.upper(ONE)) / "file").touch()
    roots.release(ONE)
    roots.release(ONE)
    assert not os.path.exists(os.path.join(roots.containers, ONE))
    assert roots.records.all() == []
    assert roots.layers.list() != []


def test_releasing_leaves_the_engine_s_own_files(roots: Roots) -> None:
    roots.prepare(image(roots, LOWER), ONE)
    log = Path(roots.containers) / ONE / "log"
    log.touch()
    roots.release(ONE)
    assert os.listdir(log.parent) == ["log"]


def test_what_is_released_can_be_freed_later(roots: Roots) -> None:
    doomed: list[str] = []
    patient = replace(roots, dispose=doomed.append)
    patient.prepare(image(patient, LOWER), ONE)
    (Path(patient.upper(ONE)) / "big").touch()
    patient.release(ONE)
    assert not os.path.exists(os.path.join(patient.containers, ONE))
    assert len(doomed) == 3
    patient.layers.prepare()  # what a crash would leave is removed at the next start
    assert not any(os.path.exists(path) for path in doomed)


def test_a_root_outlives_its_image_and_takes_the_layers_along(roots: Roots) -> None:
    image_id = image(roots, LOWER, UPPER)
    plan = roots.prepare(image_id, ONE)
    roots.images.remove(image_id)
    assert roots.prepare(image_id, ONE) == plan
    with pytest.raises(NotFound):
        roots.prepare(image_id, OTHER)
    roots.release(ONE)
    assert roots.layers.list() == []


def test_a_layer_of_another_image_stays_when_a_root_goes(roots: Roots) -> None:
    image_id = image(roots, LOWER, UPPER)
    kept = image(roots, LOWER)
    roots.prepare(image_id, ONE)
    roots.images.remove(image_id)
    roots.release(ONE)
    assert roots.layers.list() == list(roots.images.get(kept).diff_ids)


def test_roots_of_unknown_containers_are_released_at_the_start(roots: Roots) -> None:
    image_id = image(roots, LOWER)
    for container in (ONE, OTHER):
        roots.prepare(image_id, container)
    roots.recover([OTHER])
    assert [root.container_id for root in roots.records.all()] == [OTHER]
    assert os.listdir(roots.containers) == [OTHER]


def test_the_record_is_there_before_anything_is_made(roots: Roots, disk: Path) -> None:
    """A crash, or a disk that is full, between record and directory leaves something that release finds."""
    (disk / "data/containers").write_text("in the way")
    with pytest.raises(SystemFailure, match=ONE):
        roots.prepare(image(roots, LOWER), ONE)
    assert [root.container_id for root in roots.records.all()] == [ONE]
    roots.release(ONE)
    assert roots.records.all() == []


def test_a_layer_that_is_gone_is_said_before_anything_is_made(roots: Roots) -> None:
    image_id = image(roots, LOWER)
    roots.layers.remove(roots.images.get(image_id).diff_ids[0])
    with pytest.raises(NotFound, match="layer sha256"):
        roots.prepare(image_id, ONE)
    assert not os.path.exists(roots.containers)


def test_directories_are_closed_to_others(roots: Roots) -> None:
    roots.prepare(image(roots, LOWER), ONE)
    assert stat.S_IMODE(os.stat(os.path.join(roots.containers, ONE)).st_mode) == 0o710


@pytest.mark.parametrize("name", ["", "..", "../" + ONE, "x" * 64, ONE + "/x"])
def test_what_is_no_id_names_no_directory(roots: Roots, name: str) -> None:
    with pytest.raises(InvalidArgument, match="no container id"):
        roots.release(name)


def test_storage_options_that_cannot_be_are_refused_before_anything_is_taken(roots: Roots) -> None:
    image_id = image(roots, LOWER)
    with pytest.raises(NotImplementedHere, match="quota"):
        roots.prepare(image_id, ONE, {"size": "10G"})
    with pytest.raises(InvalidArgument, match=r"dm\.basesize"):
        roots.prepare(image_id, ONE, {"dm.basesize": "10G"})
    assert roots.records.all() == []
