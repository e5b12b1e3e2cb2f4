"""Images that need no hub: busybox of this machine, and what mmdebstrap makes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from tests.unit.image.conftest import make_archive

from sampan.errors import InvalidArgument, NotImplementedHere, SystemFailure
from sampan.image.bootstrap import BootstrapRequest, bootstrap, own_sources, parse_bootstrap, suite_date_s
from sampan.image.busybox import applets, busybox_archive, busybox_config, find_busybox, is_static
from sampan.image.images import Images
from sampan.oci.image_spec import decode_config

needs_busybox = pytest.mark.skipif(not os.path.exists("/bin/busybox"), reason="needs busybox-static")


@needs_busybox
def test_the_machine_s_busybox_is_an_image_with_all_its_programs(images: Images) -> None:
    path = find_busybox()
    names = applets(path)
    diff_ids = {images.layers.add_chunks(busybox_archive(path, names)).diff_id for _ in range(2)}
    assert len(diff_ids) == 1, "the same busybox gave two images"
    (diff_id,) = diff_ids
    tree = Path(images.layers.diff(diff_id))
    assert (tree / "bin/busybox").read_bytes() == Path(path).read_bytes()
    assert {"sh", "ls", "cat", "sleep"} <= set(os.listdir(tree / "bin"))
    assert (tree / "bin/ls").stat().st_ino == (tree / "bin/busybox").stat().st_ino
    assert stat.S_IMODE((tree / "tmp").stat().st_mode) == 0o1777
    said = subprocess.run([tree / "bin/busybox", "echo", "hello"], check=True, capture_output=True, text=True)
    assert said.stdout == "hello\n"
    image = images.record(busybox_config(path, diff_id))
    assert image.defaults.cmd == ("sh",)


@needs_busybox
def test_a_program_that_needs_a_loader_is_not_taken() -> None:
    assert is_static("/bin/busybox")
    assert not is_static(os.path.realpath(shutil.which("ls") or "/bin/ls"))
    assert not is_static("/etc/passwd")


def test_without_busybox_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sampan.image.busybox.PLACES", ("/nowhere/busybox", "/etc/passwd"))
    with pytest.raises(NotImplementedHere) as caught:
        find_busybox()
    assert "busybox-static" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("debian:trixie", "debian:trixie"),
        ("debian", "debian:trixie"),
        ("debian:bookworm-buildd", "debian:bookworm-buildd"),
        ("debian:trixie-minbase", "debian:trixie"),
        ("ubuntu:noble", "ubuntu:noble"),
        ("debian:bookworm-backports", "debian:bookworm-backports"),
    ],
)
def test_what_is_to_be_made_is_said_as_a_name(text: str, name: str) -> None:
    assert parse_bootstrap(text).name == name


@pytest.mark.parametrize("text", ["arch:rolling", "debian:", "debian:../x", "debian:TRIXIE", "ubuntu"])
def test_what_cannot_be_made_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_bootstrap(text)


def test_options_for_a_shell_are_no_packages_and_no_mirrors() -> None:
    for about in ({"packages": ("--hook",)}, {"packages": ("a;b",)}, {"mirror": "-x"}, {"variant": "huge"}):
        with pytest.raises(InvalidArgument):
            parse_bootstrap("debian:trixie", **about)


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A program in mmdebstrap's place, which writes an archive and says what it was given."""
    (tmp_path / "made.tar").write_bytes(make_archive(("etc/debian_version", b"13.0\n"), ("bin/bash", b"#!")))
    program = tmp_path / "mmdebstrap"
    program.write_text(
        f'#!/bin/sh\necho "I: $* $SOURCE_DATE_EPOCH" >&2\n[ "$FAIL" ] || cat {tmp_path}/made.tar\n'
        "case \"$*\" in *broken*) echo 'E: no such suite' >&2; exit 25;; esac\n"
    )
    program.chmod(0o755)
    return program


def test_an_archive_of_mmdebstrap_becomes_an_image(images: Images, stand_in: Path) -> None:
    said: list[str] = []
    request = BootstrapRequest(suite="sid", packages=("git", "python3"), mirror="http://m", program=str(stand_in))
    with images.layers.hold() as hold:
        layer, config = bootstrap(images.layers, hold, request, say=said.append, date_s=1_700_000_000)
    assert said == ["I: --variant=minbase --format=tar --include=git,python3 sid - http://m 1700000000"]
    image = images.record(config)
    assert image.diff_ids == (layer.diff_id,)
    assert decode_config(config).created == "2023-11-14T22:13:20Z"
    assert image.defaults.cmd == ("bash",)
    assert not [name for name in os.listdir(images.layers.path) if name.startswith("new-")]


def test_a_failure_of_mmdebstrap_is_told_with_its_last_words_and_leaves_nothing(images: Images, stand_in: Path) -> None:
    request = BootstrapRequest(suite="broken", mirror="http://m", program=str(stand_in))
    with images.layers.hold() as hold, pytest.raises(SystemFailure, match="no such suite"):
        bootstrap(images.layers, hold, request)
    assert os.listdir(images.layers.path) == []


def test_without_mmdebstrap_the_package_is_named(images: Images) -> None:
    with images.layers.hold() as hold, pytest.raises(NotImplementedHere) as caught:
        bootstrap(images.layers, hold, BootstrapRequest(program="no-such-program"))
    assert "mmdebstrap" in caught.value.remedy


def test_the_machine_s_own_sources_of_a_suite_are_used(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(
        "Types: deb deb-src\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates sid\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/k.pgp\n\nTypes: deb\nURIs: file:/other\nSuites: ./\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: trixie\nComponents: main\n"
    )
    (tmp_path / "sources.list").write_text(
        "# a remark\ndeb [signed-by=/k.gpg arch=amd64] http://security.example trixie-security main contrib\n"
        "deb http://old.example bookworm main\n"
    )
    found = own_sources("trixie", str(tmp_path))
    assert "Suites: trixie trixie-updates\n" in found
    assert (
        "URIs: http://security.example\nSuites: trixie-security\nComponents: main contrib\nSigned-By: /k.gpg" in found
    )
    assert not [word for word in ("sid", "other", "off.example", "old.example", "deb-src") if word in found]
    assert own_sources("noble", str(tmp_path)) == ""


def test_a_suite_is_dated_by_its_release_file(tmp_path: Path) -> None:
    (tmp_path / "mirror_debian_dists_trixie_InRelease").write_text("Hash: x\n\nDate: Sat, 09 Aug 2025 10:00:00 UTC\n")
    assert suite_date_s("trixie", str(tmp_path)) == 1754733600
    assert suite_date_s("sid", str(tmp_path)) % 86400 == 0
