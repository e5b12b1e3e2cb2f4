"""COPY and ADD: which files arrive where, as whose, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.building import Told, build, layers_of, post_build
from tests.engine_process import EngineProcess
from tests.file_server import serving

pytestmark = pytest.mark.usefixtures("busybox")


FILES = {
    "a": "1",
    "b.txt": "22",
    "c.txt": "333",
    "d/": "",
    "d/e": "4444",
    "d/f/g": "5",
    "d/link": "-> e",
    "to-a": "-> a",
}


def copied(
    engine: EngineProcess, *instructions: str, base: str = "scratch", **files: str
) -> dict[str, tarfile.TarInfo]:
    """What the last layer of a build with these instructions has."""
    dockerfile = "\n".join([f"FROM {base}", *instructions]) + "\n"
    told = build(engine, {"Dockerfile": dockerfile, **FILES, **files})
    assert not told.error, told.error
    return layers_of(engine, told.image_id)[-1]


def test_a_file_goes_to_a_name_or_into_a_directory(engine: EngineProcess) -> None:
    assert set(copied(engine, "COPY a /x/y")) == {"x", "x/y"}
    assert set(copied(engine, "COPY a /x/")) == {"x", "x/a"}
    assert set(copied(engine, "WORKDIR /w", "COPY a here")) == {"w", "w/here"}
    assert set(copied(engine, "WORKDIR /w", "COPY a .")) == {"w", "w/a"}


def test_a_destination_of_nothing_is_the_working_directory(engine: EngineProcess) -> None:
    assert set(copied(engine, "WORKDIR /w", 'COPY a ""')) == {"w", "w/a"}
    assert set(copied(engine, "WORKDIR /w", "ARG UNSAID", "COPY a d $UNSAID")) == {"w", "w/a"} | {
        f"w/{name}" for name in ("e", "f", "f/g", "link")
    }


def test_copy_takes_nothing_from_an_address(engine: EngineProcess) -> None:
    for url in ("http://host.example/f", "https://host.example/f.git"):
        told = build(engine, {"Dockerfile": f"FROM scratch\nCOPY {url} /x\n"})
        assert told.error["message"] == "COPY failed: source can't be a URL for COPY"
        assert "ADD" in told.error["remedy"]


def test_a_directory_gives_its_content(engine: EngineProcess) -> None:
    assert set(copied(engine, "COPY d /x")) == {"x", "x/e", "x/f", "x/f/g", "x/link"}
    assert set(copied(engine, "COPY d /x/")) == {"x", "x/e", "x/f", "x/f/g", "x/link"}


def test_wildcards_choose_files_in_order_of_names(engine: EngineProcess) -> None:
    assert set(copied(engine, "COPY *.txt /x/")) == {"x", "x/b.txt", "x/c.txt"}
    assert set(copied(engine, "COPY [ab]* d/? /x/")) == {"x", "x/a", "x/b.txt", "x/e", "x/g"}


def test_two_stars_are_one_but_for_parents_and_no_wildcard_enters_links(engine: EngineProcess) -> None:
    deep = {"t/f": "1", "t/u/f": "22", "t/u/v/f": "333", "way": "-> t"}
    assert copied(engine, "COPY t/**/f /x/", **deep)["x/f"].size == 2
    kept = copied(engine, "COPY --parents t/**/f /x/", **deep)
    assert {name for name, entry in kept.items() if entry.isreg()} == {"x/t/f", "x/t/u/f", "x/t/u/v/f"}
    assert copied(engine, "COPY */f /x/", **deep)["x/f"].size == 1
    assert set(copied(engine, "COPY w*/u/f t/f /x/", **deep)) == {"x", "x/f"}
    assert copied(engine, "COPY way/*/f /x/", **deep)["x/f"].size == 2


def test_steps_beyond_the_root_of_the_context_lead_nowhere_else(engine: EngineProcess) -> None:
    assert set(copied(engine, "COPY ../a d/../../b.txt /../c.txt ../d/f* /x/")) == {
        "x",
        "x/a",
        "x/b.txt",
        "x/c.txt",
        "x/g",
    }


def test_a_link_that_is_named_is_followed_and_one_that_is_found_is_kept(engine: EngineProcess) -> None:
    found = copied(engine, "COPY to-a d/ /x/")
    assert found["x/to-a"].isreg()
    assert (found["x/link"].issym(), found["x/link"].linkname) == (True, "e")


def test_several_sources_may_hold_each_other_and_the_later_one_counts(engine: EngineProcess) -> None:
    """Also when nothing reads the context later, so that its files could be moved instead of copied."""
    assert set(copied(engine, "COPY d d/f */f /x/")) == {"x", "x/e", "x/f", "x/f/g", "x/link", "x/g"}
    assert set(copied(engine, "COPY d*/f /x/", d2="-> d")) == {"x", "x/g"}
    later = copied(engine, "COPY one two two/same /x/", **{"one/same/": "", "one/same/a": "1", "two/same": "22"})
    assert (later["x/same"].isreg(), later["x/same"].size) == (True, 2)


def test_a_link_in_the_target_directory_is_replaced_and_one_that_is_named_is_followed(engine: EngineProcess) -> None:
    before = "RUN mkdir /t && ln -s /else /t/a && echo other > /else"
    found = copied(engine, before, "COPY a /t/", base="busybox")
    assert set(found) == {"t", "t/a"}
    assert found["t/a"].isreg()
    assert set(copied(engine, before, "COPY a /t/a", base="busybox")) == {"else"}


def test_modes_and_times_are_the_contexts_and_owners_are_roots(engine: EngineProcess) -> None:
    found = copied(engine, "COPY run /r", run="#!/bin/sh")
    assert (found["r"].mode, found["r"].mtime, found["r"].uid) == (0o755, 1_600_000_000, 0)


def test_owner_and_mode_are_as_asked_for(engine: EngineProcess) -> None:
    found = copied(engine, "COPY --chown=mail:www-data --chmod=u=rwX,go= d /x", base="busybox")
    assert {(entry.uid, entry.gid) for name, entry in found.items() if name != "x"} == {(8, 33)}
    assert (found["x/e"].mode, found["x/f"].mode) == (0o600, 0o700)
    numbered, halves = copied(engine, "COPY --chown=12:34 --chmod=0641 a /x"), ["5:", ":33"]
    assert [copied(engine, f"COPY --chown={half} a /x")["x"].uid for half in halves] == [5, 0]
    assert [copied(engine, f"COPY --chown={half} a /x")["x"].gid for half in halves] == [0, 33]
    assert (numbered["x"].uid, numbered["x"].gid, numbered["x"].mode) == (12, 34, 0o641)


def test_an_owner_that_the_image_does_not_know_is_refused(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nCOPY --chown=stranger a /x\n", **FILES})
    assert "unable to find user stranger" in told.error["message"]


def test_parents_and_exclude_choose_what_is_kept(engine: EngineProcess) -> None:
    kept = copied(engine, "COPY --parents d/f/g d/./f/g /x/")
    assert {name for name, entry in kept.items() if entry.isreg()} == {"x/d/f/g", "x/f/g"}
    assert set(copied(engine, "COPY --parents d/f/ /x/")) == {"x", "x/d", "x/d/f", "x/d/f/g"}
    assert set(copied(engine, "COPY --exclude=f --exclude=link d /x")) == {"x", "x/e"}


def modes_archive(dockerfile: str, **modes: int) -> bytes:
    """A context with the file d/f/g, and a mode and time of its own for each directory that is named."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for number, name in enumerate(["d", "d/f"]):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, modes.get(name[-1], 0o755), 1_500_000_000 + number
            archive.addfile(entry)
        for name, content in (("Dockerfile", dockerfile.encode()), ("d/f/g", b"5")):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime, entry.size = 0o644, 1_600_000_000, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


@pytest.mark.parametrize("source", ["d/f/g", "d/*/g", "**/g", "d/f", "d"])
def test_parents_are_made_as_the_source_has_them(engine: EngineProcess, source: str) -> None:
    archive = modes_archive(f"FROM scratch\nCOPY --parents {source} /x/\n", d=0o750, f=0o2711)
    found = layers_of(engine, post_build(engine, archive).image_id)[-1]
    shown = {name: (entry.mode, entry.mtime) for name, entry in found.items() if name != "x"}
    assert shown == {
        "x/d": (0o750, 1_500_000_000),
        "x/d/f": (0o2711, 1_500_000_001),
        "x/d/f/g": (0o644, 1_600_000_000),
    }
    assert found["x"].mode == 0o755


def test_parents_get_the_owner_and_mode_that_are_asked_for_and_keep_those_of_a_stage(engine: EngineProcess) -> None:
    found = copied(engine, "COPY --parents --chown=3:4 --chmod=u=rwX,go= d/f/g /x/")
    assert {(entry.uid, entry.gid, entry.mode) for entry in found.values() if entry.isdir()} == {
        (3, 4, 0o755),
        (3, 4, 0o700),
    }
    dockerfile = """FROM busybox AS made
RUN mkdir -p /a/b && echo c > /a/b/c && chown 7:8 /a/b && chmod 0770 /a/b
FROM scratch
COPY --from=made --parents /a/./b/c /x/
"""
    kept = layers_of(engine, build(engine, {"Dockerfile": dockerfile}).image_id)[-1]
    assert set(kept) == {"x", "x/b", "x/b/c"}
    assert (kept["x/b"].uid, kept["x/b"].gid, kept["x/b"].mode) == (7, 8, 0o770)


def test_parents_that_are_there_keep_their_owner_and_get_the_mode_of_the_source(engine: EngineProcess) -> None:
    before = "RUN mkdir -p /x/d/f && chown 5:6 /x/d /x/d/f && chmod 0700 /x/d /x/d/f"
    one = copied(engine, before, "COPY --parents d/f/g /x/", base="busybox")
    assert (one["x/d/f"].uid, one["x/d/f"].mode) == (5, 0o755)
    whole = copied(engine, before, "COPY --parents d/f /x/", base="busybox")
    assert (whole["x/d"].uid, whole["x/d/f"].uid, whole["x/d/f"].mode) == (5, 0, 0o755)


def test_the_cache_knows_the_modes_of_parents(engine: EngineProcess) -> None:
    dockerfile = "FROM scratch\nCOPY --parents d/f/g /modes/\n"
    open_ones = modes_archive(dockerfile)
    assert post_build(engine, open_ones).image_id == post_build(engine, open_ones).image_id
    closed = post_build(engine, modes_archive(dockerfile, d=0o700))
    assert closed.cached() == [False]
    assert layers_of(engine, closed.image_id)[-1]["modes/d"].mode == 0o700


def test_with_parents_the_destination_is_a_directory_also_when_nothing_matches(engine: EngineProcess) -> None:
    assert set(copied(engine, "COPY --parents a d/e /x")) == {"x", "x/a", "x/d", "x/d/e"}
    assert set(copied(engine, "COPY --parents z* d/./z* /x")) == {"x"}
    told = build(engine, {"Dockerfile": "FROM scratch\nCOPY --parents z /x\n"})
    assert "stat z: file does not exist" in told.error["message"]


def test_links_are_kept_as_what_they_are_with_parents(engine: EngineProcess) -> None:
    links = {"d/link": "-> e", "d/dir": "-> f", "d/lost": "-> nowhere"}
    for pattern in ("d/link d/dir d/lost", "d/[ld]*"):
        found = copied(engine, f"COPY --parents {pattern} /x/", **links)
        assert set(found) == {"x", "x/d", "x/d/link", "x/d/dir", "x/d/lost"}
        assert {name: entry.linkname for name, entry in found.items() if entry.issym()} == {
            "x/d/link": "e",
            "x/d/dir": "f",
            "x/d/lost": "nowhere",
        }
    assert copied(engine, "COPY d/link /x/", **links)["x/link"].isreg()


def test_a_pivot_may_have_wildcards_and_is_where_exclude_begins(engine: EngineProcess) -> None:
    assert set(copied(engine, "COPY --parents */./f /x/")) == {"x", "x/f", "x/f/g"}
    deep = {"t/u/v/w": "w", "t/u/w": "w"}
    assert set(copied(engine, "COPY --parents t/./**/w /x/", **deep)) == {"x", "x/u", "x/u/w", "x/u/v", "x/u/v/w"}
    kept = copied(engine, "COPY --parents --exclude=u/w --exclude=t t/./u /x/", **deep)
    assert set(kept) == {"x", "x/u", "x/u/v", "x/u/v/w"}


def test_what_is_there_is_kept_or_replaced_as_docker_does(engine: EngineProcess) -> None:
    before = "RUN mkdir -p /t/e /t/f && touch /t/old && ln -s /real /t/g2 && mkdir /real && ln -s /real /way"
    found = copied(engine, before, "COPY d /t", base="busybox")
    assert found["t/e"].isreg()
    assert set(found) >= {"t/f/g", "t/e"}
    through = copied(engine, before, "COPY a /way/", base="busybox")
    assert set(through) == {"real", "real/a"}


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ("COPY a b.txt /x", "the destination must be a directory and end with a /"),
        ("COPY ../up /x", "forbidden path outside the build context"),
        ("COPY no*such /x", "no source files were specified"),
        ("COPY --from=busybox lost /x", "COPY failed: stat lost: file does not exist"),
        ("COPY --from=nowhere/at:all a /x", ""),
        ("COPY --chmod=worse a /x", "invalid chmod parameter"),
        ("ADD --checksum=sha256:0 a /x", "checksum can't be specified for non-HTTP sources"),
        ("ADD --checksum=sha256:0 a b.txt /x/", "checksum can't be specified for multiple sources"),
        ("COPY a /etc/passwd/x", "cannot copy to /etc/passwd/x: Not a directory"),
    ],
)
def test_what_cannot_be_copied_is_refused_with_its_line(engine: EngineProcess, instruction: str, words: str) -> None:
    told = build(engine, {"Dockerfile": f"FROM busybox\n{instruction}\n", **FILES})
    assert words in told.error["message"]
    assert told.error["place"] == "Dockerfile:2"


def archive(**files: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.mode, entry.mtime = len(content), 42, 0o640, 1_500_000_000
            tar.addfile(entry, io.BytesIO(content.encode()))
    return made.getvalue()


def with_archive(engine: EngineProcess, instruction: str, content: bytes) -> Told:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, data in (("Dockerfile", f"FROM scratch\n{instruction}\n".encode()), ("in.tar", content)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return post_build(engine, context.getvalue())


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_add_unpacks_archives_and_copy_does_not(engine: EngineProcess, pack: type[bytes]) -> None:
    content = pack(archive(inside="x"))
    unpacked = layers_of(engine, with_archive(engine, "ADD in.tar /x", content).image_id)[-1]
    assert (unpacked["x/inside"].uid, unpacked["x/inside"].mode, unpacked["x/inside"].mtime) == (
        42,
        0o640,
        1_500_000_000,
    )
    for instruction in ("COPY in.tar /x", "ADD --unpack=false in.tar /x"):
        whole = layers_of(engine, with_archive(engine, instruction, content).image_id)[-1]
        assert whole["x"].size == len(content)


def test_an_archive_that_leads_out_is_refused(engine: EngineProcess) -> None:
    told = with_archive(engine, "ADD in.tar /x", archive(**{"../../../up": "x"}))
    assert "goes up" in told.error["message"]


@dataclass(frozen=True)
class Files:
    """A loopback server's address and files."""

    address: str
    content: dict[str, bytes]


@pytest.fixture
def server() -> Iterator[Files]:
    content: dict[str, bytes] = {}
    with serving(content) as address:
        yield Files(address, content)


def test_add_downloads_a_file_with_the_servers_time_and_docker_s_mode(engine: EngineProcess, server: Files) -> None:
    server.content["/some/file.bin"] = b"downloaded"
    found = copied(engine, f"ADD {server.address}/some/file.bin /x/")
    assert set(found) == {"x", "x/file.bin"}
    assert (found["x/file.bin"].mode, found["x/file.bin"].mtime) == (0o600, 784111777)


def test_a_download_is_unpacked_only_when_it_is_asked_for(engine: EngineProcess, server: Files) -> None:
    server.content["/in.tar"] = archive(inside="x")
    assert copied(engine, f"ADD {server.address}/in.tar /x")["x"].isreg()
    assert "x/inside" in copied(engine, f"ADD --unpack {server.address}/in.tar /x")


def test_a_download_is_held_to_its_checksum(engine: EngineProcess, server: Files) -> None:
    server.content["/f"] = b"right"
    digest = hashlib.sha256(b"right").hexdigest()
    url = f"{server.address}/f"
    assert copied(engine, f"ADD --checksum=sha256:{digest} {url} /x")["x"].size == 5
    assert copied(engine, f"ARG SUM=sha256:{digest}", f"ADD --checksum=$SUM {url} /x")["x"].size == 5
    server.content["/f"] = b"wrong"
    told = build(engine, {"Dockerfile": f"FROM scratch\nADD --checksum=sha256:{digest} {url} /x\n"})
    assert "digest mismatch" in told.error["message"]


def test_a_download_that_is_not_there_is_told(engine: EngineProcess, server: Files) -> None:
    told = build(engine, {"Dockerfile": f"FROM scratch\nADD {server.address}/lost /x\n"})
    assert "404" in told.error["message"]


def test_a_download_that_has_changed_is_no_cache_hit(engine: EngineProcess, server: Files) -> None:
    files = {"Dockerfile": f"FROM scratch\nADD {server.address}/v /v\n"}
    server.content["/v"] = b"1"
    build(engine, files)
    assert build(engine, files).cached() == [True]
    server.content["/v"] = b"2"
    assert build(engine, files).cached() == [False]


def test_the_last_reader_of_the_context_may_have_its_files_and_nobody_misses_them(engine: EngineProcess) -> None:
    """Files are moved into the layer only when nothing reads them later, in whichever stage."""
    dockerfile = """FROM busybox AS other
RUN sleep 0.2
COPY d/e /from-other
FROM busybox
COPY d /x
COPY --from=other /from-other /o
COPY d /x
RUN --mount=target=/in,source=d cat /in/f/g
COPY . /all
"""
    told = build(engine, {"Dockerfile": dockerfile, **FILES}, nocache="1")
    assert not told.error
    layers = layers_of(engine, told.image_id)
    assert set(layers[-1]) >= {"all", "all/a", "all/d/e", "all/d/f/g", "all/d/link"}
    assert set(layers[1]) >= {"x", "x/e", "x/f", "x/f/g", "x/link"}
    assert (layers[-1]["all/d/e"].mode, layers[-1]["all/d/e"].mtime) == (0o644, 1_600_000_000)


def test_moved_files_do_not_replace_what_the_target_has(engine: EngineProcess) -> None:
    before = "RUN mkdir -p /x/f && echo old > /x/e && echo kept > /x/f/kept && echo 1 > /x/mine"
    found = copied(engine, before, "COPY d /x", base="busybox")
    assert found["x/e"].size == 4
    assert set(found) == {"x", "x/e", "x/f", "x/f/g", "x/link"}
