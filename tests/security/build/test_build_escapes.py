"""Known escapes of builders, tried: links where a builder looks, mounts, cleans up or reads (security.md, 14 to 25)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.building import build, context_of, layers_of, post_build
from tests.engine_process import EngineProcess

pytestmark = pytest.mark.usefixtures("busybox")


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that must stay as it is."""
    place = tmp_path / "canary"
    place.mkdir()
    (place / "alive").write_text("still")
    yield place
    assert sorted(path.name for path in place.iterdir()) == ["alive"]
    assert (place / "alive").read_text() == "still"


def test_a_cache_whose_source_became_a_link_leads_nowhere(engine: EngineProcess, canary: Path) -> None:
    """CVE-2024-23651: the subpath is swapped for a link by another step that has the cache."""
    mount = "--mount=type=cache,id=swapped,target=/c"
    build(engine, {"Dockerfile": f"FROM busybox\nRUN {mount} ln -s {canary} /c/absolute; ln -s ../../../.. /c/up\n"})
    for name in ("absolute", "up"):
        inner = f"--mount=type=cache,id=swapped,source={name},target=/in"
        told = build(engine, {"Dockerfile": f"FROM busybox\nRUN {inner} ls /in; touch /in/mark\n"}, forcerm="1")
        assert told.error
        assert "alive" not in told.text


def test_steps_that_race_for_a_subpath_never_get_out(engine: EngineProcess, canary: Path) -> None:
    """CVE-2024-23651 as a race: one stage swaps directory and link while another mounts the subpath."""
    swap = f"for i in $(seq 300); do rm -rf /c/s; ln -s {canary} /c/s; rm -f /c/s; mkdir -p /c/s; done"
    racing = "--mount=type=cache,id=race"
    lines = ["FROM busybox AS swaps", f"RUN {racing},target=/c {swap}"]
    for number in range(4):
        lines += [f"FROM busybox AS m{number}", f"RUN {racing},source=s,target=/in ls /in; touch /in/n{number} || true"]
    lines += ["FROM busybox", "COPY --from=swaps /bin/true /t"]
    lines += [f"COPY --from=m{number} /bin/true /t{number}" for number in range(4)]
    told = build(engine, {"Dockerfile": "\n".join(lines) + "\n"}, nocache="1", forcerm="1")
    assert "alive" not in told.text


def test_a_bind_of_the_context_follows_no_link_out(engine: EngineProcess, canary: Path) -> None:
    """CVE-2024-1753, CVE-2024-11218: a link in the context names a place of the host."""
    for link in (str(canary), "../../../../../../../.." + str(canary)):
        files = {
            "Dockerfile": "FROM busybox\nRUN --mount=source=l,target=/in,rw ls /in; touch /in/x\n",
            "l": f"-> {link}",
        }
        told = build(engine, files, forcerm="1")
        assert told.error
        assert "alive" not in told.text
    files = {"Dockerfile": "FROM busybox\nCOPY l /l\nCOPY d/ /d\n", "l": f"-> {canary}", "d/l": f"-> {canary}"}
    assert build(engine, files).error


def test_nothing_is_cleaned_up_through_a_link_that_a_step_left(engine: EngineProcess, canary: Path) -> None:
    """CVE-2024-23652: the mount point's parent becomes a link to the host while the step runs."""
    mount = "--mount=type=tmpfs,target=/stub/deep/alive"
    script = f"mv /stub /moved && ln -s {canary.parent} /stub; mkdir -p /x && ln -s {canary} /x/deep"
    dockerfile = f"FROM busybox\nRUN mkdir -p /stub && ln -s {canary} /stub/deep\nRUN {mount} {script}; true\n"
    told = build(engine, {"Dockerfile": dockerfile}, forcerm="1")
    assert not told.error or "stub" in told.error["message"]


def test_mount_points_leave_nothing_even_below_links_of_the_image(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox
RUN ln -s /real /way && mkdir /real
RUN --mount=type=tmpfs,target=/way/in touch /way/in/f && touch /seen
RUN test ! -e /real/in
"""
    told = build(engine, {"Dockerfile": dockerfile})
    assert not told.error
    assert set(layers_of(engine, told.image_id)[-1]) == {"seen"}


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_a_passwd_file_that_is_none_neither_blocks_nor_leads_out(
    engine: EngineProcess, tmp_path: Path, kind: str
) -> None:
    """CVE-2024-9676, CVE-2018-15664: names are looked up in regular files of the image alone."""
    secret = tmp_path / "passwd"
    secret.write_text("spy:x:4242:4242::/:/bin/sh\n")
    make = "mkfifo /etc/passwd" if kind == "fifo" else f"ln -s {secret} /etc/passwd"
    base = f"FROM busybox\nRUN rm /etc/passwd && {make}\n"
    told = build(engine, {"Dockerfile": f"{base}COPY --chown=spy f /f\n", "f": "x"}, forcerm="1")
    assert "unable to find user spy" in told.error["message"]
    told = build(engine, {"Dockerfile": f"{base}USER spy\nRUN id\n"}, forcerm="1")
    assert "unable to find user spy" in told.error["message"]


def test_destinations_lead_wherever_they_lead_in_the_image_alone(engine: EngineProcess, canary: Path) -> None:
    dockerfile = f"""FROM busybox
RUN ln -s {canary} /out && ln -s {canary}/alive /file && ln -s ../../../../../../../../..{canary} /up
COPY f /out/alive
COPY f /file
COPY d /up/
ADD f /out/
WORKDIR /out/made
"""
    told = build(engine, {"Dockerfile": dockerfile, "f": "overwritten", "d/alive": "overwritten"})
    assert not told.error


def test_a_context_that_tries_to_get_out_is_refused_or_confined(engine: EngineProcess, canary: Path) -> None:
    files = {"Dockerfile": "FROM busybox\n", "l": f"-> {canary}", "l/alive": "overwritten"}
    post_build(engine, context_of(files))
    told = post_build(engine, context_of({"Dockerfile": "FROM busybox\n", f"../../../../../..{canary}/new": "x"}))
    assert told.status == 400
    told = build(engine, {"Dockerfile": f"-> {canary}/alive"})
    assert told.status == 400


def test_a_step_has_no_more_rights_than_a_container(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN grep CapEff /proc/self/status; ! mount -t tmpfs x /mnt\n"})
    assert "CapEff:\t00000000a80425fb" in told.text
