"""What `docker diff` leaves out: the places that the engine itself mounts something on."""

from __future__ import annotations

from sampan.engine.files import without_mount_targets
from sampan.image.differences import Change, ChangeKind

ADDED, MODIFIED = ChangeKind.ADDED, ChangeKind.MODIFIED
OWN = [Change("/etc", MODIFIED), Change("/etc/hostname", ADDED), Change("/etc/hosts", ADDED), Change("/proc", ADDED)]


def test_a_container_that_changed_nothing_shows_nothing() -> None:
    assert without_mount_targets(OWN) == []


def test_what_a_container_changed_beside_them_is_shown() -> None:
    own = [Change("/etc/passwd", MODIFIED), Change("/new", ADDED)]
    assert without_mount_targets([*OWN, *own]) == [Change("/etc", MODIFIED), *own]


def test_a_file_of_the_image_that_was_changed_is_shown() -> None:
    changed = [Change("/etc", MODIFIED), Change("/etc/hosts", MODIFIED)]
    assert without_mount_targets(changed) == changed
