"""`sampan build` against a scripted daemon: what is sent, what is asked, and how a build is shown."""

from __future__ import annotations

import base64
import json
import posix
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sampan.cli.building.asked import query_of
from sampan.cli.building.context import Context
from sampan.cli.commands.build import OPTIONS
from sampan.cli.grammar import parse

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Handler, Request

IMAGE = "sha256:" + "ab" * 32


def stream(*messages: dict[str, Any]) -> Handler:
    def handle(_: Request, client: socket.socket) -> None:
        body = b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return handle


def event(kind: str, stage: int = 0, **fields: Any) -> dict[str, Any]:
    return {"build": {"stage": stage, "name": f"s{stage}", "kind": kind, **fields}}


BUILT = [
    event("step", number=1, total=2, text="FROM base"),
    event("cached"),
    event("step-end", image="sha256:1"),
    event("step", number=2, total=2, text="RUN echo hello"),
    event("output", text="hel", error=False),
    event("output", text="lo\nhalf", error=False),
    event("step-end", image=IMAGE),
    {"aux": {"ID": IMAGE}},
    {"stream": "Successfully built abababababab\n"},
]


@pytest.fixture
def builds(fake_daemon: FakeDaemon) -> FakeDaemon:
    """The daemon, for which every build goes well."""
    fake_daemon.on("POST", "/build", stream(*BUILT))
    fake_daemon.on("GET", "/images/img/json", fake_daemon.reply(200, {}))
    layers = [
        {"Size": 3_000_000, "CreatedBy": "/bin/sh -c #(nop) COPY file:" + "0" * 64 + " in /b "},
        {"Size": 0, "CreatedBy": "/bin/sh -c #(nop)  CMD"},
        {"Size": 5_000_000, "CreatedBy": ""},
    ]
    fake_daemon.on("GET", "/images/.*/history", fake_daemon.reply(200, layers))
    saving = {"Kind": "apt lists", "Size": 2_000_000, "Files": 3, "Remedy": "rm -rf /var/lib/apt/lists"}
    fake_daemon.on("GET", "/images/.*/diet", fake_daemon.reply(200, {"Savings": [saving]}))
    return fake_daemon


PLAIN = {
    "target": "T",
    "networkmode": "none",
    "extrahosts": "h:1.2.3.4",
    "platform": "linux/arm64",
    "securityopt": "o",
    "cgroupparent": "/p",
    "memory": str(64 << 20),
    "memswap": "-1",
    "shmsize": str(1 << 20),
    "cpushares": "5",
    "rm": "0",
    "forcerm": "1",
    "nocache": "1",
}


def test_options_become_the_query_and_headers(builds: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\x00open")
    words = (
        "--build-arg A=b --build-arg A_VAR --build-arg NOT_SET --label l=m -t one:1 -t two --target T --no-cache"
        " --pull --squash --rm=false --force-rm --add-host h:1.2.3.4 --network none -m 64m --memory-swap -1"
        " --shm-size 1m --ulimit nofile=1:2 -c 5 --cpuset-cpus 0 --platform linux/arm64 --no-cache-filter x,y"
        " --cache-from img --security-opt o --cgroup-parent /p --secret id=e,env=A_VAR"
    ).split()
    done = sampan("build", "-q", *words, "--secret", f"id=f,src={secret}", "-", input=b"FROM base\n")
    assert (done.returncode, done.stdout.decode()) == (0, IMAGE + "\n"), done.stderr
    asked = builds.asked("POST", "/build")[-1]
    query = asked.query
    assert json.loads(query["buildargs"]) == {"A": "b", "A_VAR": "from the environment", "NOT_SET": None}
    assert json.loads(query["labels"]) == {"l": "m"}
    assert json.loads(query["cachefrom"]) == ["img"]
    assert json.loads(query["ulimits"]) == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert {key: query[key] for key in PLAIN} == PLAIN
    assert "t=one:1&t=two" in asked.target
    assert "nocachefilter=x&nocachefilter=y" in asked.target
    secrets = json.loads(base64.b64decode(asked.headers["x-sampan-secrets"]))
    assert {name: base64.b64decode(text) for name, text in secrets.items()} == {
        "e": b"from the environment",
        "f": b"\x00open",
    }


def test_a_build_argument_from_here_is_read_as_the_locale_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setitem(posix.environ, b"CAF\xc9", b"\xe9")
    arguments = parse(OPTIONS, ["--build-arg", "CAFÉ", "."])
    context = Context(None, "", "", "Dockerfile", None, None)
    assert query_of(arguments, context, "unix:///daemon.sock")["buildargs"] == '{"CAFÉ":"é"}'


@pytest.mark.parametrize(
    ("words", "sentence", "remedy"),
    [
        (["--sbom=true", "-"], "--sbom is not there", "scanner"),
        (["--build-context", "a=b", "-"], "b is no directory", "docker-image://"),
        (["--build-context", "a", "-"], "is no pair", "NAME=DIRECTORY"),
        (["--output", "type=odd,dest=x", "-"], "no type 'odd'", "tar"),
        (["--output", "type=local", "-"], "does not say where to", "dest=PATH"),
        (["--output", "type=oci,des=x", "-"], "'des' is not there", "dest"),
        (["--output", "type=oci,annotation.a=b,dest=x", "-"], "'annotation.a' is not there", "--label"),
        (["--output", "type=oci,tar=odd,dest=x", "-"], "tar is no yes or no", "tar=false"),
        (["--output", "dest=x", "-"], "has no type", "add type="),
        (["--secret", "id=a,scr=x", "-"], "'scr' is not there", "src"),
        (["--secret", "src=x", "-"], "has no id", "id=NAME"),
        (["--secret", "id=nowhere", "-"], "nowhere: No such file", "src="),
        (["--ssh", "default", "-"], "no agent is known", "ssh-agent"),
        (["--ssh", "a=/nowhere", "-"], "/nowhere is not there", "socket"),
        (["--build-arg", "=x", "-"], "has no name", "NAME=VALUE"),
        (["--build-arg", "A=\udcff", "-"], "--build-arg A is no UTF-8", "write it in UTF-8"),
        (["--build-arg", "A\udcff", "-"], "--build-arg A\\xff is no UTF-8", "write it in UTF-8"),
        (["--label", "a=é\udcff", "-"], "--label a is no UTF-8", "write it in UTF-8"),
        (["--add-host", "x", "-"], "names no address", "NAME:ADDRESS"),
        (["--progress", "odd", "-"], "there is no --progress odd", "plain"),
        (["/nowhere"], "/nowhere does not exist", "directory"),
        (["-f", "nowhere", "."], "there is no Dockerfile at nowhere", "path from here"),
        (["."], "there is no Dockerfile in", "-f"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(
    builds: FakeDaemon, sampan: Command, tmp_path: Path, words: list[str], sentence: str, remedy: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = sampan("build", *words, input=b"FROM base\n", cwd=empty)
    assert done.returncode != 0
    assert sentence in done.stderr.decode()
    assert remedy in done.stderr.decode()
    assert builds.asked("POST", "/build") == []


def test_a_build_is_told_step_by_step_and_summed_up(builds: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    iid = tmp_path / "iid"
    done = sampan("build", "-t", "app", "--iidfile", str(iid), "-", input=b"FROM base\nRUN echo hello\n")
    lines = [line.rstrip() for line in done.stderr.decode().splitlines()]
    assert (done.returncode, done.stdout) == (0, b"")
    assert iid.read_text() == IMAGE
    assert lines[:3] == ["#1 [s0 1/2] FROM base", "#1 CACHED", "#2 [s0 2/2] RUN echo hello"]
    assert [line.split(" ", 2)[2] for line in lines[3:5]] == ["hello", "half"]
    assert lines[5].startswith("#2 done ")
    assert lines[6].startswith(f"built {IMAGE} in ")
    assert lines[6].endswith("1 of 2 steps from the cache")
    assert lines[7:9] == ["named app", "8MB in 2 layers that hold files, the largest:"]
    assert [line.split(maxsplit=1) for line in lines[10:12]] == [
        ["5MB", "an imported file system"],
        ["3MB", "COPY file in /b"],
    ]
    assert lines[12] == "it could be 2MB smaller (apt lists): rm -rf /var/lib/apt/lists"


def test_stages_side_by_side_keep_their_lines_apart(fake_daemon: FakeDaemon, sampan: Command) -> None:
    told = [
        event("step", 0, number=1, total=2, text="RUN one"),
        event("step", 1, number=2, total=2, text="RUN two"),
        event("output", 0, text="from one\n", error=False),
        event("output", 1, text="from two\x1b[2J\n", error=True),
        event("failed", 1),
        event("step-end", 0, image="sha256:1"),
        {"errorDetail": {"message": "it broke", "place": "Dockerfile:2", "remedy": "mend it"}, "error": "it broke"},
    ]
    fake_daemon.on("POST", "/build", stream(*told))
    done = sampan("build", "-", input=b"FROM base\nRUN two\n")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert [line for line in lines if line.startswith("#1 ")][1].endswith(" from one")
    assert [line for line in lines if line.startswith("#2 ")][1:] == [
        next(line for line in lines if line.endswith(" from two")),
        "#2 FAILED",
    ]
    assert lines[-4:] == [
        "       1 │ FROM base",
        "  >    2 │ RUN two",
        "sampan: Dockerfile:2: it broke",
        "  try: mend it",
    ]


def test_the_stream_of_a_docker_daemon_is_understood(fake_daemon: FakeDaemon, sampan: Command) -> None:
    texts = [
        "Step 1/2 : FROM base\n",
        "# Executing 1 build trigger",
        "\n",
        " ---> Using cache\n",
        " ---> 0123456789ab\n",
        "Step 2/2 : RUN echo hi",
        "\n",
        " ---> Using cache\n",
        "plain text\n",
        " ---> fedcba987654\n",
        "Successfully built fedcba987654\n",
    ]
    fake_daemon.on("POST", "/build", stream(*({"stream": text} for text in texts)))
    done = sampan("build", "-", input=b"FROM base\nRUN echo hi\n")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 0
    assert lines[0] == "#1 [1/2] FROM base"
    assert lines[1].endswith(" executing 1 build trigger of the base image")
    assert lines[2].startswith("#1 done ")
    assert lines[3] == "#2 [2/2] RUN echo hi"
    assert lines[4].endswith(" plain text")
    assert lines[5] == "#2 CACHED"
    assert lines[6].startswith("built fedcba987654 in ")


def test_a_cache_of_an_image_that_is_not_here_is_told_of(builds: FakeDaemon, sampan: Command) -> None:
    done = sampan("build", "-q", "--cache-from", "img", "--cache-from", "lost", "-", input=b"FROM base\n")
    assert (done.returncode, done.stderr[:28]) == (0, b"sampan: no cache from lost: ")
    assert json.loads(builds.asked("POST", "/build")[-1].query["cachefrom"]) == ["img"]


def test_no_id_of_an_earlier_build_is_left_by_one_that_fails(
    fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path
) -> None:
    iid = tmp_path / "iid"
    iid.write_text("earlier")
    fake_daemon.on("POST", "/build", stream({"errorDetail": {"message": "no"}, "error": "no"}))
    assert sampan("build", "--iidfile", str(iid), "-", input=b"FROM base\n").returncode == 1
    assert not iid.exists()


@pytest.mark.usefixtures("builds")
def test_an_id_goes_where_a_link_leads_and_the_link_stays(sampan: Command, tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    for target in (Path("/proc/self/fd/1"), file):
        link.symlink_to(target)
        done = sampan("build", "--iidfile", str(link), "-", input=b"FROM base\n")
        assert done.returncode == 0
        assert link.is_symlink()
        assert (done.stdout.decode() if target is not file else file.read_text()) == IMAGE
        link.unlink()


def test_docker_says_the_id_of_a_quiet_build_as_text(fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "Dockerfile").write_text("FROM base\n")
    fake_daemon.on("POST", "/build", stream({"stream": f"{IMAGE}\n"}))
    done = sampan("build", "-q", str(tmp_path / "c"))
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"{IMAGE}\n", b"")


def test_a_refused_dockerfile_is_shown_with_its_line(fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    def refuse(request: Request, client: socket.socket) -> None:
        message = f"{request.query['dockerfile']}:2: unknown instruction 'RUM': 'RUM x'"
        fake_daemon.reply(400, {"message": message, "remedy": "did you mean RUN?"})(request, client)

    fake_daemon.on("POST", "/build", refuse)
    fake_daemon.is_sampans()
    root = tmp_path / "c"
    root.mkdir()
    (root / "file").touch()
    done = sampan("build", "-f", "-", str(root), input=b"FROM base\nRUM x\n")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-3:] == [
        "  >    2 │ RUM x",
        "sampan: Dockerfile:2: unknown instruction 'RUM': 'RUM x'",
        "  try: did you mean RUN?",
    ]


def test_checks_build_nothing_and_ask_for_base_images(builds: FakeDaemon, sampan: Command) -> None:
    builds.on("GET", "/images/base/json", builds.reply(200, {"Config": {"Env": ["KNOWN=1"]}}))
    done = sampan("build", "--check", "-", input=b"FROM base\nENV A=$KNOWN B=$UNKNOWN\nMAINTAINER me\n")
    assert done.returncode == 1
    text = done.stdout.decode()
    assert "Dockerfile:2: UndefinedVar: '$UNKNOWN' is not set" in text
    assert "Dockerfile:3: MaintainerDeprecated" in text
    assert "     3 │ MAINTAINER me" in text
    assert "$KNOWN'" not in text
    assert builds.asked("POST", "/build") == []
    clean = sampan("build", "--call", "check", "-", input=b'FROM base\nCMD ["x"]\n')
    assert (clean.returncode, clean.stdout.decode()) == (0, "Dockerfile: nothing to complain of\n")


def test_what_the_daemon_tells_of_the_checks_is_shown_with_the_lines(builds: FakeDaemon, sampan: Command) -> None:
    about = {"kind": "warning", "rule": "Rule", "description": "what it is about", "text": "not right"}
    builds.on("POST", "/build", stream(*BUILT, {"build": {**about, "line": 2, "endLine": 3}}))
    done = sampan("build", "-", input=b"FROM base\nCMD x \\\n y\nRUN z\n")
    assert done.returncode == 0
    told = done.stderr.decode().partition("1 warning of the build checks:\n")[2]
    shown = ["Dockerfile:2: Rule: not right", "     2 │ CMD x \\", "     3 │  y", "         what it is about"]
    assert told.splitlines()[:4] == shown
    builds.on("POST", "/build", stream(*BUILT))
    assert "build checks" not in sampan("build", "-", input=b"FROM base\nCMD x\n").stderr.decode()


def test_findings_of_a_build_by_docker_are_found_here_and_may_refuse_any(builds: FakeDaemon, sampan: Command) -> None:
    words = ({"stream": "Step 1/2 : FROM base\n"}, {"stream": "Successfully built abababababab\n"})
    builds.on("POST", "/build", stream(*words))
    done = sampan("build", "-", input=b"FROM base\nCMD x\n")
    assert done.returncode == 0
    assert "1 warning of the build checks:\nDockerfile:2: JSONArgsRecommended" in done.stderr.decode()
    done = sampan("build", "-", input=b"# check=error=true\nFROM base\nCMD x\n")
    assert (done.returncode, len(builds.asked("POST", "/build"))) == (1, 1)
    assert "build checks failed: JSONArgsRecommended" in done.stderr.decode()


def test_raw_progress_is_json_a_line(builds: FakeDaemon, sampan: Command) -> None:
    done = sampan("build", "--progress", "rawjson", "-", input=b"FROM base\nRUN echo hello\n")
    told = [json.loads(line) for line in done.stderr.decode().splitlines()]
    assert told[0] == {"step": 1, "of": 2, "name": "FROM base", "stage": "s0"}
    assert told[1]["cached"]


@pytest.mark.parametrize("words", [["-q"], ["--progress", "quiet"]])
def test_a_quiet_build_that_fails_shows_what_its_steps_wrote(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str]
) -> None:
    failure = {"error": "it failed", "errorDetail": {"message": "it failed", "code": 7, "place": "Dockerfile:2"}}
    fake_daemon.on("POST", "/build", stream(*BUILT[3:5], failure))
    done = sampan("build", *words, "-", input=b"FROM base\nRUN echo hello\n")
    assert (done.returncode, done.stdout) == (1, b"")
    assert "hel" in done.stderr.decode().partition("it failed")[0]
    assert fake_daemon.asked("POST", "/build")[0].query["q"] == "1"


def test_a_quiet_build_whose_cache_goes_elsewhere_is_told_of_and_shown_nothing_of(
    builds: FakeDaemon, sampan: Command
) -> None:
    done = sampan("build", "-q", "--cache-to", "type=inline", "-", input=b"FROM base\nRUN echo hello\n")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"{IMAGE}\n", b"")
    assert "q" not in builds.asked("POST", "/build")[0].query


def test_pruning_asks_and_says_what_is_gone(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/build/prune", fake_daemon.reply(200, {"CachesDeleted": ["a"], "SpaceReclaimed": 2000}))
    assert sampan("builder", "prune", input=b"n\n").returncode == 1
    assert fake_daemon.asked("POST", "/build/prune") == []
    done = sampan("builder", "prune", "-a", "-f", "--filter", "until=24h", "--keep-storage", "1k")
    assert (done.returncode, done.stdout) == (0, b"a\nTotal:\t2kB\n")
    query = fake_daemon.asked("POST", "/build/prune")[0].query
    assert (query["all"], query["keep-storage"], json.loads(query["filters"])) == (
        "1",
        "1024",
        {"until": {"24h": True}},
    )


def test_caches_are_listed_and_removed_by_name(fake_daemon: FakeDaemon, sampan: Command) -> None:
    cache = {
        "ID": "abc",
        "Description": "mount /root/.cache",
        "InUse": False,
        "Size": 3000,
        "CreatedAt": "2026-01-01T00:00:00Z",
        "LastUsedAt": "2026-01-02T00:00:00Z",
        "UsageCount": 2,
    }
    fake_daemon.on("GET", "/build/caches", fake_daemon.reply(200, [cache]))
    fake_daemon.on("DELETE", "/build/caches/.*", fake_daemon.reply(204))
    lines = sampan("builder", "ls").stdout.decode().splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "CACHE", "ID", "SIZE", "USES", "IN", "USE"],
        ["/root/.cache", "abc", "3kB", "2", "false"],
    ]
    assert sampan("builder", "ls", "-q").stdout == b"abc\n"
    done = sampan("builder", "rm", "abc", "/root/.cache")
    assert (done.returncode, done.stdout) == (0, b"abc\n/root/.cache\n")
    assert fake_daemon.lines[-2:] == ["DELETE /build/caches/abc", "DELETE /build/caches/%252Froot%252F.cache"]
