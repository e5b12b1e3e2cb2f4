"""Contexts that the daemon fetches itself: archives and Dockerfiles by HTTP, git repositories, and what is refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.engine_process import EngineProcess
from tests.file_server import serving
from tests.ports import free_port
from tests.waiting import until

from sampan.build.repositories import Repository, read_repository
from sampan.errors import InvalidArgument

GIT_DAEMON = "/usr/lib/git-core/git-daemon"
needs_git = pytest.mark.skipif(
    shutil.which("git") is None or not os.path.exists(GIT_DAEMON), reason="there is no git with its daemon here"
)


@pytest.fixture
def served() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of an HTTP server, and what it serves by path."""
    files: dict[str, bytes] = {}
    with serving(files) as address:
        yield address, files


def git(directory: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(directory), *words],
        env={
            **{f"GIT_{who}_{what}": "x@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(directory),
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a git repository, and its work tree."""
    tree = tmp_path / "repositories" / "one.git"
    tree.mkdir(parents=True)
    git(tree, "init", "-q", "-b", "main")
    port = free_port()
    process = subprocess.Popen(
        [
            *(GIT_DAEMON, "--listen=127.0.0.1", f"--port={port}", "--export-all", "--reuseaddr"),
            f"--base-path={tree.parent}",
            str(tree.parent),
        ],
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers)
        yield f"git://127.0.0.1:{port}/one.git", tree
    finally:
        process.terminate()
        process.wait(60)


def build(engine: EngineProcess, remote: str, **query: str) -> tuple[int, list[dict[str, Any]]]:
    status, content = engine.request("POST", f"/build?{urlencode({'remote': remote, **query})}")
    return status, [json.loads(line) for line in content.splitlines() if line.strip()]


def built_file(engine: EngineProcess, image: str, path: str) -> bytes:
    container = engine.create("", "none", image=image)
    try:
        status, content = engine.request("GET", f"/containers/{container}/archive?path={path}")
        assert status == 200, content
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            file = tar.extractfile(tar.getmembers()[0])
            assert file is not None
            return file.read()
    finally:
        engine.request("DELETE", f"/containers/{container}?force=1")


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_by_http_is_a_context(engine: EngineProcess, served: tuple[str, dict[str, bytes]]) -> None:
    address, files = served
    files["/c.tar.gz"] = archive(Dockerfile=b"FROM scratch\nCOPY f /g\n", f=b"from the archive")
    status, lines = build(engine, f"{address}/c.tar.gz", t="remote-archive")
    assert status == 200
    assert "Successfully tagged" in lines[-1]["stream"]
    assert built_file(engine, "remote-archive", "/g") == b"from the archive"


def test_a_text_by_http_is_a_dockerfile(engine: EngineProcess, served: tuple[str, dict[str, bytes]]) -> None:
    address, files = served
    files["/Dockerfile"] = b"FROM scratch\nLABEL a=b\n"
    status, _ = build(engine, f"{address}/Dockerfile", t="remote-text")
    assert status == 200
    assert engine.json("GET", "/images/remote-text/json")["Config"]["Labels"] == {"a": "b"}


def test_a_dockerfile_that_is_sent_takes_the_place_of_that_in_a_fetched_context(
    engine: EngineProcess, served: tuple[str, dict[str, bytes]]
) -> None:
    address, files = served
    files["/c.tar.gz"] = archive(Dockerfile=b"FROM nothing-of-this\n", f=b"from the archive")
    asked = {"remote": f"{address}/c.tar.gz", "dockerfile": ".sent", "leaveout": '[".sent"]', "dockerfilesent": "1"}
    dockerfile = b"FROM scratch\nCOPY . /all/\n"
    status, content = engine.request("POST", f"/build?{urlencode({**asked, 't': 'sent'})}", dockerfile)
    assert (status, b"Successfully tagged sent" in content) == (200, True), content
    assert built_file(engine, "sent", "/all/f") == b"from the archive"
    container = engine.create("", "none", image="sent")
    assert engine.request("GET", f"/containers/{container}/archive?path=/all/.sent")[0] == 404
    engine.request("DELETE", f"/containers/{container}?force=1")
    for wrong in ({"remote": ""}, {"dockerfile": "../../sent"}, {"dockerfile": ".."}):
        status, content = engine.request("POST", f"/build?{urlencode({**asked, **wrong})}", dockerfile)
        assert (status, b"dockerfilesent goes with remote" in content) == (400, True), content


def test_what_is_not_there_is_told_before_the_build_begins(
    engine: EngineProcess, served: tuple[str, dict[str, bytes]]
) -> None:
    status, lines = build(engine, f"{served[0]}/nothing")
    assert (status, "404" in lines[0]["message"]) == (404, True)
    status, lines = build(engine, "ftp://example.test/x")
    assert (status, "no context that can be fetched" in lines[0]["message"]) == (400, True)
    assert os.listdir(f"{engine.data_root}/build") == []


@needs_git
def test_a_server_that_does_not_answer_is_told_in_the_kernels_words(engine: EngineProcess) -> None:
    answer = engine.json("POST", "/build?remote=http://127.0.0.1:1/context.tar", expect=500)
    assert answer["message"] == "failed to GET http://127.0.0.1:1/context.tar: Connection refused"


def test_a_repository_is_a_context_by_branch_tag_commit_and_directory(
    engine: EngineProcess, repository: tuple[str, Path]
) -> None:
    address, tree = repository
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY f /g\n")
    (tree / "f").write_text("first")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "one")
    git(tree, "tag", "v1")
    first = git(tree, "rev-parse", "HEAD")
    (tree / "f").write_text("second")
    (tree / "sub").mkdir()
    (tree / "sub" / "Dockerfile").write_text("FROM scratch\nCOPY h /g\n")
    (tree / "sub" / "h").write_text("below")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "two")
    expected = {
        "": b"second",
        "#main": b"second",
        "#v1": b"first",
        f"#{first}": b"first",
        "#main:sub": b"below",
        "?branch=main&subdir=sub": b"below",
        f"?tag=v1&checksum={first[:12]}&submodules=false": b"first",
        f"?commit={first}&fetch-by-commit": b"first",
        "?subdir=sub#main": b"below",
    }
    for fragment, content in expected.items():
        status, lines = build(engine, address + fragment, t="remote-git")
        assert status == 200, lines
        assert built_file(engine, "remote-git", "/g") == content, fragment
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY .git/HEAD /g\n")
    git(tree, "commit", "-qam", "three")
    kept = json.dumps({"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"})
    assert [("error" in build(engine, address, **more)[1][-1]) for more in ({}, {"buildargs": kept})] == [True, False]
    status, lines = build(engine, f"{address}?ref=main&checksum={first}")
    assert (status, "has another commit than" in lines[0]["message"]) == (400, True)
    status, lines = build(engine, address + "#nowhere")
    assert (status, "the repository cannot be fetched" in lines[0]["message"]) == (500, True)
    assert lines[0]["remedy"]


@needs_git
def test_a_repository_is_added_with_its_commit_held_to_the_checksum(
    engine: EngineProcess, repository: tuple[str, Path], served: tuple[str, dict[str, bytes]]
) -> None:
    address, tree = repository
    (tree / "f").write_text("added")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "one")
    commit = git(tree, "rev-parse", "HEAD")
    remote, files = served
    text = f"FROM scratch\nADD --checksum={commit} {address}?keep-git-dir#main /a/\nADD {address} /b\n"
    files["/Dockerfile"] = text.encode()
    status, lines = build(engine, f"{remote}/Dockerfile", t="added-git")
    assert (status, "error" in lines[-1]) == (200, False), lines
    assert built_file(engine, "added-git", "/a/f") == built_file(engine, "added-git", "/b/f") == b"added"
    assert built_file(engine, "added-git", "/a/.git/HEAD").strip()
    files["/Dockerfile"] = f"FROM scratch\nADD --checksum={'0' * 40} {address} /a/\n".encode()
    status, lines = build(engine, f"{remote}/Dockerfile")
    assert "has another commit" in lines[-1]["error"]


@needs_git
def test_a_directory_that_leads_out_of_the_repository_is_refused(
    engine: EngineProcess, repository: tuple[str, Path]
) -> None:
    address, tree = repository
    (tree / "out").symlink_to("/etc")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "one")
    for directory in ("out", "../../..", "nowhere"):
        status, lines = build(engine, f"{address}#main:{directory}")
        assert status == 400, lines
        assert "there is no directory" in lines[0]["message"]


@pytest.mark.parametrize(
    ("remote", "found"),
    [
        ("https://example.test/a.git", Repository("https://example.test/a.git", "", "")),
        ("https://example.test/a.git#b:c/d", Repository("https://example.test/a.git", "b", "c/d")),
        ("git@example.test:a/b#:c", Repository("git@example.test:a/b", "", "c")),
        ("github.com/a/b", Repository("https://github.com/a/b", "", "")),
        ("https://h/a.git?ref=b&subdir=c", Repository("https://h/a.git", "b", "c")),
        ("https://h/a.git?branch=b", Repository("https://h/a.git", "refs/heads/b", "")),
        ("ssh://h/a.git?tag=b#refs/tags/b", Repository("ssh://h/a.git", "refs/tags/b", "")),
        (
            "https://h/a.git?checksum=abc1234&keep-git-dir&submodules=0",
            Repository("https://h/a.git", "", "", "abc1234", keep_git=True, submodules=False),
        ),
        ("https://h/a.git?commit=abc1234&fetch-by-commit=1", Repository("https://h/a.git", "abc1234", "", "abc1234")),
        ("https://example.test/a.tar.gz", None),
        ("https://example.test/a?x=.git", None),
        ("/a.git", None),
    ],
)
def test_a_repository_is_told_from_an_archive_by_its_address(remote: str, found: Repository | None) -> None:
    assert read_repository(remote) == found


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?branches=b", "unexpected query 'branches'"),
        ("?ref=a&ref=b", "query 'ref' has multiple values"),
        ("?ref=", "query 'ref' has no value"),
        ("?ref=a#b", "ref conflicts: 'b' vs 'a'"),
        ("?branch=a&tag=b", "ref conflicts: 'refs/tags/b' vs 'refs/heads/a'"),
        ("?subdir=a#:b", "subdir conflicts: 'b' vs 'a'"),
        ("?checksum=abc1234&commit=abc1235", "checksum conflicts: 'abc1234' vs 'abc1235'"),
        ("?submodules=maybe", "invalid submodules value: 'maybe'"),
        ("?mtime=now", "invalid mtime value: 'now'"),
        ("?fetch-by-commit", "fetch-by-commit needs a checksum"),
        ("?ref=--upload-pack%3Dx", "'--upload-pack=x' is no branch, tag or commit"),
        ("?ref=a%0Ab", r"'a\\nb' is no branch, tag or commit"),
    ],
)
def test_a_query_of_a_repository_that_cannot_be_meant_is_refused(query: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{sentence}$"):
        read_repository(f"https://h/a.git{query}")


@pytest.mark.parametrize("remote", ["git://example.test/a#--upload-pack=x", "git://example.test/a b", "git@h:a\n#x"])
def test_words_that_git_would_take_for_options_are_refused(remote: str) -> None:
    with pytest.raises(InvalidArgument, match="no git repository"):
        read_repository(remote)
