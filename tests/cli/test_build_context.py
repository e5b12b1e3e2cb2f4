"""What `sampan build` sends as the context: which files, under which names, and what no step is to see of them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon


def sent(daemon: FakeDaemon) -> dict[str, bytes]:
    """The files of the last context, directories with a slash."""
    body = daemon.asked("POST", "/build")[-1].body
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            files[member.name + "/" * member.isdir()] = content.read() if content else b""
            assert (member.uid, member.gid) == (0, 0)
    return files


def left_out(daemon: FakeDaemon) -> list[str]:
    """What the last build is to take out of its context, when it was said and not left to .dockerignore."""
    return list(json.loads(daemon.asked("POST", "/build")[-1].query["leaveout"]))


def directory(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_context_is_sent_without_what_is_ignored(builds: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    root = directory(
        tmp_path / "c",
        Dockerfile="FROM base\n",
        DOTdockerignore="*\n!keep\n!dir/some*\n",
        keep="k",
        drop="d",
        dir__something="s",
        dir__other="o",
        full__inside="i",
    )
    (root / "link").symlink_to("keep")
    assert sampan("build", "-q", str(root)).returncode == 0
    assert sent(builds) == {"Dockerfile": b"FROM base\n", ".dockerignore": b"*\n!keep\n!dir/some*\n", "keep": b"k"} | {
        "dir/something": b"s"
    }


def test_links_modes_and_long_names_are_kept(builds: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    root = directory(tmp_path / "c", Dockerfile="FROM base\n", script="#!\n")
    (root / "script").chmod(0o750)
    (root / "same").hardlink_to(root / "script")
    (root / "link").symlink_to("script")
    deep = "/".join(["directory-name"] * 12)
    (root / deep).mkdir(parents=True)
    (root / deep / "f").write_text("deep")
    assert sampan("build", "-q", str(root)).returncode == 0
    with tarfile.open(fileobj=io.BytesIO(builds.asked("POST", "/build")[-1].body)) as tar:
        assert tar.getmember("script").islnk() or tar.getmember("same").islnk()
        assert tar.getmember("same").mode == 0o750
        assert tar.getmember("link").linkname == "script"
        assert tar.getmember(f"{deep}/f").size == 4


def test_a_dockerfile_from_elsewhere_is_sent_under_a_name_of_its_own(
    builds: FakeDaemon, sampan: Command, tmp_path: Path
) -> None:
    root = directory(tmp_path / "c", file="f", DOTdockerignore="x\n")
    assert sampan("build", "-q", "-f", "-", str(root), input=b"FROM base\n").returncode == 0
    name = builds.asked("POST", "/build")[-1].query["dockerfile"]
    assert name.startswith(".dockerfile.")
    assert sent(builds) == {
        name: b"FROM base\n",
        ".dockerignore": b"x\n",
        "file": b"f",
    }
    assert left_out(builds) == [name]
    other = directory(tmp_path / "o", web="FROM other\n")
    assert sampan("build", "-q", "-f", str(other / "web"), str(root)).returncode == 0
    assert b"FROM other\n" in sent(builds).values()


@pytest.mark.parametrize(
    ("ignored", "shown"),
    [
        (None, b".dockerignore\n%b\n"),
        ("x\n", b"x\n\n%b\n"),
        (".dock*\n", b".dockerignore\n%b\n"),
    ],
)
def test_of_docker_such_a_dockerfile_is_hidden_by_an_ignore_file(
    builds: FakeDaemon, sampan: Command, tmp_path: Path, ignored: str | None, shown: bytes
) -> None:
    builds.on("GET", "/version", builds.reply(200, {"Platform": {"Name": ""}}))
    root = directory(tmp_path / "c", file="f", **({} if ignored is None else {"DOTdockerignore": ignored}))
    assert sampan("build", "-q", "-f", "-", str(root), input=b"FROM base\n").returncode == 0
    name = builds.asked("POST", "/build")[-1].query["dockerfile"]
    assert sent(builds) == {name: b"FROM base\n", ".dockerignore": shown % name.encode(), "file": b"f"}


@pytest.mark.parametrize("how", ["absolute", "relative", "link"])
def test_the_ignore_file_of_a_dockerfile_counts_wherever_both_are(
    builds: FakeDaemon, sampan: Command, tmp_path: Path, how: str
) -> None:
    root = directory(tmp_path / "c", a="", b="", DOTdockerignore="a\n")
    directory(tmp_path / "o", web="FROM base\n", webDOTdockerignore="b\n")
    (root / "link").symlink_to("../o/web")
    directory(root, linkDOTdockerignore="b\n")
    named = {"absolute": str(tmp_path / "o/web"), "relative": "../o/web", "link": "link"}[how]
    assert sampan("build", "-q", "-f", named, ".", cwd=root).returncode == 0
    name = builds.asked("POST", "/build")[-1].query["dockerfile"]
    assert set(sent(builds)) == {name, f"{name}.dockerignore", ".dockerignore", "a", "link", "link.dockerignore"}
    assert (sent(builds)[".dockerignore"], sent(builds)[f"{name}.dockerignore"]) == (b"a\n", b"b\n")
    assert left_out(builds) == [name, f"{name}.dockerignore"]


def test_a_dockerfile_may_have_its_own_ignore_file(builds: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    root = directory(tmp_path / "c", web="FROM base\n", webDOTdockerignore="a\n", DOTdockerignore="b\n", a="", b="")
    assert sampan("build", "-q", "-f", "web", ".", cwd=root).returncode == 0
    assert builds.asked("POST", "/build")[-1].query["dockerfile"] == "web"
    assert set(sent(builds)) == {"web", "web.dockerignore", ".dockerignore", "b"}
    assert sent(builds)[".dockerignore"] == b"b\n"
    assert left_out(builds) == []
    directory(root, webDOTdockerignore="*\n")
    assert sampan("build", "-q", "-f", "web", ".", cwd=root).returncode == 0
    assert set(sent(builds)) == {"web", "web.dockerignore"}
    assert left_out(builds) == ["web", "web.dockerignore"]


def test_standard_input_is_an_archive_or_a_dockerfile(builds: FakeDaemon, sampan: Command) -> None:
    assert sampan("build", "-q", "-", input=b"FROM base\nRUN x\n").returncode == 0
    assert sent(builds) == {"Dockerfile": b"FROM base\nRUN x\n"}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("web"))
    assert sampan("build", "-q", "-f", "web", "-", input=archive.getvalue()).returncode == 0
    assert builds.asked("POST", "/build")[-1].body == archive.getvalue()
    assert sampan("build", "-f", "-", "-").returncode == 1
    done = sampan("build", "-")
    assert (done.returncode, b"standard input is empty" in done.stderr) == (1, True)


def test_an_address_is_left_to_the_daemon(builds: FakeDaemon, sampan: Command) -> None:
    for address in ("https://example.test/a.tar", "git@example.test:a/b.git#main:sub", "https://example.test/x.git#v1"):
        assert sampan("build", "-q", address).returncode == 0
        asked = builds.asked("POST", "/build")[-1]
        assert (asked.query["remote"], asked.body) == (address, b"")


def test_a_dockerfile_from_standard_input_goes_with_an_address(builds: FakeDaemon, sampan: Command) -> None:
    builds.is_sampans()
    done = sampan("build", "-q", "-f", "-", "https://example.test/x.git", input=b"FROM base\n")
    assert done.returncode == 0, done.stderr
    asked = builds.asked("POST", "/build")[-1]
    assert (asked.query["remote"], asked.query["dockerfilesent"], asked.body) == (
        "https://example.test/x.git",
        "1",
        b"FROM base\n",
    )
    assert json.loads(asked.query["leaveout"]) == [asked.query["dockerfile"]]
    builds.on("GET", "/version", builds.reply(200, {"Platform": {"Name": "Docker Engine - Community"}}))
    done = sampan("build", "-q", "-f", "-", "https://example.test/x.git", input=b"FROM base\n")
    assert (done.returncode, b"with Docker's daemon" in done.stderr) == (1, True)


LARGE = "x" * (2 << 20)


def may_take(daemon: FakeDaemon, paths: list[str] | None) -> None:
    """Have the daemon say what steps take of the context."""
    daemon.on("POST", "/build/taken", daemon.reply(200, {"Paths": paths}))


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["a"], {"a"}),
        (["src", "*.txt"], {"src/", "src/in", "src/deep/", "src/deep/er", "one.txt", "two.txt"}),
        (["src/deep/er"], {"src/", "src/deep/", "src/deep/er"}),
        (["missing", "a", "no*"], {"a"}),
        ([], set()),
    ],
)
def test_of_a_large_context_what_the_steps_take_is_sent(
    builds: FakeDaemon, sampan: Command, tmp_path: Path, paths: list[str], wanted: set[str]
) -> None:
    may_take(builds, paths)
    root = directory(tmp_path / "c", Dockerfile="FROM base\n", a="a", src__in="i", src__deep__er="d", src__no="n")
    directory(root, other__large=LARGE)
    for name in ("one.txt", "two.txt"):
        (root / name).write_text(name)
    (root / ".dockerignore").write_text("**/no\n")
    words = ["--target", "t", "--build-arg", "A=b", "--pull"]
    assert sampan("build", "-q", *words, str(root)).returncode == 0
    assert set(sent(builds)) == wanted | {"Dockerfile", ".dockerignore"}
    (asked,) = builds.asked("POST", "/build/taken")
    assert asked.body == b"FROM base\n"
    assert asked.query == {"target": "t", "buildargs": '{"A":"b"}', "pull": "1"}


@pytest.mark.parametrize("paths", [None, ["link"], ["linked/in"], ["l*"], ["**/a"]])
def test_a_large_context_is_sent_whole_when_anything_of_it_may_be_taken(
    builds: FakeDaemon, sampan: Command, tmp_path: Path, paths: list[str] | None
) -> None:
    may_take(builds, paths)
    root = directory(tmp_path / "c", Dockerfile="FROM base\n", a="a", src__in="i", other=LARGE)
    (root / "link").symlink_to("a")
    (root / "linked").symlink_to("src")
    assert sampan("build", "-q", str(root)).returncode == 0
    assert set(sent(builds)) == {"Dockerfile", "a", "src/", "src/in", "other", "link", "linked"}


def test_a_large_context_is_sent_whole_to_a_daemon_that_cannot_say_what_is_taken(
    builds: FakeDaemon, sampan: Command, tmp_path: Path
) -> None:
    builds.on("POST", "/build/taken", builds.reply(404, {"message": "page not found"}))
    root = directory(tmp_path / "c", Dockerfile="FROM base\nCOPY a /\n", a="a", other=LARGE)
    assert sampan("build", "-q", str(root)).returncode == 0
    assert set(sent(builds)) == {"Dockerfile", "a", "other"}


def test_a_small_context_is_sent_without_a_question(builds: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    root = directory(tmp_path / "c", Dockerfile="FROM base\nCOPY a /\n", a="a", other="o")
    assert sampan("build", "-q", str(root)).returncode == 0
    assert set(sent(builds)) == {"Dockerfile", "a", "other"}
    assert not builds.asked("POST", "/build/taken")


def test_a_dockerfile_from_elsewhere_narrows_a_large_context_too(
    builds: FakeDaemon, sampan: Command, tmp_path: Path
) -> None:
    may_take(builds, ["a"])
    root = directory(tmp_path / "c", a="a", other=LARGE, DOTdockerignore="x\n")
    assert sampan("build", "-q", "-f", "-", str(root), input=b"FROM base\nCOPY a /\n").returncode == 0
    name = builds.asked("POST", "/build")[-1].query["dockerfile"]
    assert set(sent(builds)) == {name, "a", ".dockerignore"}
