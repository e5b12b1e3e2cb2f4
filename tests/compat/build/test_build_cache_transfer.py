"""A build's cache carried from one engine to another, and cache mounts as archives, by the command."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.building import need_busybox, run
from tests.compat.build.test_build_command import PROGRAM
from tests.engine_process import EngineProcess
from tests.registry_process import registry_process

DOCKERFILE = """FROM busybox AS tool
RUN cat /proc/sys/kernel/random/uuid > /tool
FROM busybox
COPY f /f
RUN cat /proc/sys/kernel/random/uuid > /random
COPY --from=tool /tool /tool
CMD ["cat", "/tool", "/random"]
"""
MOUNT = "FROM busybox\nRUN --mount=type=cache,id=kept/here,target=/c echo $WHO >> /c/f; cat /c/f > /seen\n"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    need_busybox()
    with EngineProcess(tmp_path_factory.mktemp("here")) as engine:
        yield engine


@pytest.fixture
def there(tmp_path: Path) -> Iterator[EngineProcess]:
    (tmp_path / "there").mkdir()
    with EngineProcess(tmp_path / "there") as engine:
        yield engine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "context" / "f").write_text(str(tmp_path))
    return tmp_path / "context"


def sampan(engine: EngineProcess, *words: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [
        "/usr/bin/env",
        "-i",
        f"PATH={os.environ['PATH']}",
        "HOME=/nonexistent",
        sys.executable,
        "-I",
        "-S",
        "-c",
    ]
    return subprocess.run(
        [*command, PROGRAM, "-H", f"unix://{engine.socket}", *words],
        input=input,
        capture_output=True,
        timeout=110,
        check=False,
    )


def built(engine: EngineProcess, root: Path, *words: str) -> str:
    done = sampan(engine, "build", "-q", *words, str(root))
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_a_directory_carries_the_cache_of_all_stages(
    here: EngineProcess, there: EngineProcess, root: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = built(here, root, "--cache-to", f"type=local,dest={cache},mode=max")
    again = built(there, root, "--cache-from", f"type=local,src={cache}")
    assert again == first
    assert run(there, again, "cat", "/tool", "/random") == run(here, first, "cat", "/tool", "/random")
    labels = [image["Labels"] or {} for image in there.json("GET", "/images/json?all=1")]
    assert not any("sampan.build.cache" in one for one in labels)


def test_a_directory_of_the_smaller_mode_lacks_the_other_stages(
    here: EngineProcess, there: EngineProcess, root: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = built(here, root, "--cache-to", f"type=local,dest={cache}")
    again = built(there, root, "--cache-from", f"type=local,src={cache}")
    assert run(there, again, "cat", "/random") == run(here, first, "cat", "/random")
    assert run(there, again, "cat", "/tool") != run(here, first, "cat", "/tool")


def test_a_registry_carries_the_cache_and_an_image_is_its_own(
    here: EngineProcess, there: EngineProcess, root: Path, tmp_path: Path
) -> None:
    with registry_process(tmp_path) as domain:
        first = built(here, root, "--cache-to", f"type=registry,ref={domain}/cache:x,mode=max")
        again = built(there, root, "--cache-from", f"type=registry,ref={domain}/cache:x")
        assert again == first
        (root / "f").write_text("other")
        words = ("-t", f"{domain}/app", "--push", "--cache-to", "type=inline")
        assert sampan(here, "build", *words, str(root)).returncode == 0
        there.json("POST", "/build/prune?all=1")
        inline = built(there, root, "--cache-from", f"type=registry,ref={domain}/app")
        assert run(there, inline, "cat", "/random") == run(here, f"{domain}/app", "cat", "/random")


def test_a_cache_that_cannot_be_had_is_told_and_does_without(here: EngineProcess, root: Path, tmp_path: Path) -> None:
    done = sampan(here, "build", "--cache-from", f"type=local,src={tmp_path}/none", str(root))
    assert done.returncode == 0, done.stderr
    assert b"no cache from" in done.stderr
    assert b"it is no directory of --cache-to" in done.stderr


def test_a_cache_is_not_taken_for_another_base_or_by_builds_that_do_not_name_it(
    here: EngineProcess, there: EngineProcess, root: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = built(here, root, "--cache-to", f"type=local,dest={cache},mode=max")
    alone = built(there, root)
    assert run(there, alone, "cat", "/random") != run(here, first, "cat", "/random")
    (root / "Dockerfile").write_text(DOCKERFILE.replace("COPY f", "LABEL x=y\nCOPY f"))
    other = built(there, root, "--cache-from", f"type=local,src={cache}")
    assert run(there, other, "cat", "/random") != run(here, first, "cat", "/random")


def test_a_directory_with_other_files_is_not_written_to(here: EngineProcess, root: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "blobs").write_text("mine")
    done = sampan(here, "build", "--cache-to", f"type=local,dest={tmp_path}/full", str(root))
    assert done.returncode != 0
    assert b"has other files than a cache" in done.stderr
    assert (tmp_path / "full" / "blobs").read_text() == "mine"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--cache-to", "type=gha", "there is no type 'gha'"),
        ("--cache-to", "type=local", "has no dest"),
        ("--cache-to", "type=registry,ref=x,mode=most", "there is no mode 'most'"),
        ("--cache-from", "type=inline", "there is no type 'inline'"),
        ("--cache-from", "type=local,dest=x", "has no src"),
    ],
)
def test_what_is_no_cache_is_refused(here: EngineProcess, root: Path, option: str, value: str, words: str) -> None:
    done = sampan(here, "build", option, value, str(root))
    assert done.returncode != 0
    assert words in done.stderr.decode()


def test_a_cache_mount_goes_out_as_an_archive_and_comes_in_as_a_new_one(
    here: EngineProcess, there: EngineProcess, root: Path
) -> None:
    (root / "Dockerfile").write_text(MOUNT.replace("$WHO", "here"))
    built(here, root)
    listed = sampan(here, "builder", "cache", "ls")
    assert b"kept/here" in listed.stdout
    archive = sampan(here, "builder", "cache", "export", "kept/here")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        assert "f" in tar.getnames()
    done = sampan(there, "builder", "cache", "import", "-", "kept/here", input=archive.stdout)
    assert done.returncode == 0, done.stderr
    taken = sampan(there, "builder", "cache", "import", "-", "kept/here", input=archive.stdout)
    assert taken.returncode != 0
    assert b"there is a build cache kept/here already" in taken.stderr
    (root / "Dockerfile").write_text(MOUNT.replace("$WHO", "there"))
    assert run(there, built(there, root), "cat", "/seen") == "here\nthere"
    assert sampan(there, "builder", "cache", "rm", "kept/here").stdout == b"kept/here\n"
    assert sampan(there, "builder", "cache", "ls", "-q").stdout == b""


def test_an_archive_that_is_none_leaves_no_cache(here: EngineProcess) -> None:
    done = sampan(here, "builder", "cache", "import", "-", "broken", input=b"no archive" * 100)
    assert done.returncode != 0
    assert all(cache["Description"] != "mount broken" for cache in here.json("GET", "/build/caches"))
    assert not any("importing" in cache["Description"] for cache in here.json("GET", "/build/caches"))
    missing = sampan(here, "builder", "cache", "export", "broken")
    assert b"no such build cache: broken" in missing.stderr
    assert sampan(here, "builder", "cache", "turn").returncode != 0
