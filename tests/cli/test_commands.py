"""What the other commands ask and print, against a scripted daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon


@pytest.mark.parametrize(
    ("words", "line", "query"),
    [
        (["stop", "c1"], "POST /containers/c1/stop", {}),
        (["stop", "-t", "0", "-s", "INT", "c1"], "POST /containers/c1/stop", {"t": "0", "signal": "INT"}),
        (["stop", "-t=-1", "c1"], "POST /containers/c1/stop", {"t": "-1"}),
        (["restart", "--time=3", "c1"], "POST /containers/c1/restart", {"t": "3"}),
        (["kill", "c1"], "POST /containers/c1/kill", {}),
        (["kill", "-s", "USR1", "c1"], "POST /containers/c1/kill", {"signal": "USR1"}),
        (["pause", "c1"], "POST /containers/c1/pause", {}),
        (["unpause", "c1"], "POST /containers/c1/unpause", {}),
        (["start", "c1"], "POST /containers/c1/start", {}),
        (["rm", "c1"], "DELETE /containers/c1", {}),
        (["rm", "-fv", "/c1"], "DELETE /containers/c1", {"force": "1", "v": "1"}),
        (["container", "rm", "-l", "c1"], "DELETE /containers/c1", {"link": "1"}),
    ],
)
def test_a_verb_is_asked_for_and_the_name_printed(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str], line: str, query: dict[str, str]
) -> None:
    fake_daemon.on("*", "/containers/c1.*", fake_daemon.reply(204))

    done = sampan(*words)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"c1\n", b"")
    assert fake_daemon.lines == [line]
    assert fake_daemon.requests[0].query == query


def test_one_failure_among_several_is_said_and_counts(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/containers/[ac]/stop", fake_daemon.reply(204))
    fake_daemon.on("POST", "/containers/b/stop", fake_daemon.reply(404, {"message": "No such container: b"}))

    done = sampan("stop", "a", "b", "c")

    assert (done.returncode, done.stdout) == (1, b"a\nc\n")
    assert done.stderr == b"sampan: Error response from daemon: No such container: b\n"


def test_removing_by_force_what_is_not_there_is_no_failure(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("DELETE", "/containers/x", fake_daemon.reply(404, {"message": "No such container: x"}))

    assert sampan("rm", "x").returncode == 1
    assert sampan("rm", "-f", "x").returncode == 0


def test_wait_prints_the_codes_in_order(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/containers/a/wait", fake_daemon.reply(200, {"StatusCode": 3}))
    fake_daemon.on("POST", "/containers/b/wait", fake_daemon.reply(200, {"StatusCode": 137}))

    assert sampan("wait", "a", "b").stdout == b"3\n137\n"


def test_rename_and_tag_name_the_new(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/.*", fake_daemon.reply(204))

    sampan("rename", "old", "new")
    sampan("tag", "img:1", "host:5000/other")

    assert [(request.line, request.query) for request in fake_daemon.requests] == [
        ("POST /containers/old/rename", {"name": "new"}),
        ("POST /images/img:1/tag", {"repo": "host:5000/other", "tag": "latest"}),
    ]


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ([], {}),
        (["-a"], {"all": "1"}),
        (["-n", "2"], {"limit": "2"}),
        (["-l"], {"limit": "1"}),
        (["-s"], {"size": "1"}),
        (["--format", "{{.Size}}"], {"size": "1"}),
        (
            ["-f", "status=exited", "--filter", "label=a=b", "-f", "status=dead"],
            {"filters": '{"label":{"a=b":true},"status":{"dead":true,"exited":true}}'},
        ),
    ],
)
def test_ps_asks_for_what_its_options_say(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str], query: dict[str, str]
) -> None:
    fake_daemon.on("GET", "/containers/json", fake_daemon.reply(200, []))

    assert sampan("ps", *words).returncode == 0
    assert fake_daemon.requests[0].query == query


def test_ps_takes_its_form_from_the_settings(fake_daemon: FakeDaemon, sampan: Command) -> None:
    container = {"Id": "ab" * 32, "Names": ["/c1"], "Image": "i", "Command": "x", "Created": 0}
    fake_daemon.on("GET", "/containers/json", fake_daemon.reply(200, [container]))
    (sampan.folder / "config.json").write_text('{"psFormat": "<{{.Names}}>"}')

    assert sampan("ps").stdout == b"<c1>\n"
    assert sampan("ps", "--format", "{{.Image}}").stdout == b"i\n"
    assert sampan("ps", "-q").stdout == b"abababababab\n"


def test_a_filter_without_a_value_is_refused(fake_daemon: FakeDaemon, sampan: Command) -> None:
    done = sampan("ps", "-f", "status")

    assert done.returncode == 125
    assert b"--filter key=value" in done.stderr
    assert fake_daemon.lines == []


def test_inspect_looks_among_all_kinds_and_says_what_it_did_not_find(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/containers/c/json", fake_daemon.reply(200, {"Id": "1", "Name": "/c"}))
    fake_daemon.on("GET", "/volumes/v", fake_daemon.reply(200, {"Name": "v"}))

    done = sampan("inspect", "c", "v", "nope")

    assert done.returncode == 1
    assert json.loads(done.stdout) == [{"Id": "1", "Name": "/c"}, {"Name": "v"}]
    assert done.stderr.startswith(b"sampan: Error response from daemon: No such object: nope\n  try: ")
    assert sampan("inspect", "-f", "{{.Name}}", "c", "v").stdout == b"/c\nv\n"
    assert sampan("inspect", "--type", "volume", "c").returncode == 1
    assert sampan("inspect", "--type", "nonsense", "c").returncode == 1


def test_a_template_that_does_not_fit_is_refused_with_help(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/containers/c/json", fake_daemon.reply(200, {"Id": "1"}))

    done = sampan("inspect", "-f", "{{.Nope}}", "c")

    assert done.returncode == 1
    assert done.stderr.startswith(b"sampan: there is no field 'Nope' here\n  try: ")


def test_a_container_that_nothing_was_killed_in_has_an_empty_list_of_kills(
    fake_daemon: FakeDaemon, sampan: Command
) -> None:
    fake_daemon.on("GET", "/containers/c1/json", fake_daemon.reply(200, {"State": {"OOMKilled": False}}))
    assert sampan("container", "inspect", "-f", "{{json .State.MemoryKills}}", "c1").stdout == b"[]\n"


@pytest.mark.parametrize("kind", ["secret", "config"])
def test_secrets_are_listed_with_how_long_ago_they_were_made(
    fake_daemon: FakeDaemon, sampan: Command, kind: str
) -> None:
    made = {"CreatedAt": "2006-01-02T15:04:05.123456789Z", "UpdatedAt": "2006-01-02T15:04:05.123456789Z"}
    found = {"ID": "gatjn0arxq7d", "Spec": {"Name": "password"}, **made}
    fake_daemon.on("GET", f"/{kind}s", fake_daemon.reply(200, [found]))

    heading, line = sampan(kind, "ls").stdout.decode().splitlines()

    assert heading.split() == ["ID", "NAME", "CREATED", "UPDATED"]
    assert line.split()[:2] == ["gatjn0arxq7d", "password"]
    assert line.split()[3:5] == ["years", "ago"]


def test_the_time_of_a_network_is_listed_as_docker_lists_it(fake_daemon: FakeDaemon, sampan: Command) -> None:
    found = {"Id": "a" * 64, "Name": "app", "Driver": "bridge", "Scope": "local", "Created": "2026-11-30T01:07:05.38Z"}
    fake_daemon.on("GET", "/networks", fake_daemon.reply(200, [found]))

    assert sampan("network", "ls", "--format", "{{.CreatedAt}}").stdout == b"2026-11-30 01:07:05.38 +0000 UTC\n"


def test_import_sends_the_archive_in_pieces(fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(b"tar" * 500_000)
    fake_daemon.on("POST", "/images/create", fake_daemon.reply(200, {"status": "sha256:abc"}))

    done = sampan("import", "-m", "why", "-c", "ENV A=b", "-c", 'CMD ["sh"]', str(archive), "host:5000/new:1")

    assert done.stdout == b"sha256:abc\n"
    request = fake_daemon.requests[0]
    assert request.body == b"tar" * 500_000
    assert request.headers["transfer-encoding"] == "chunked"
    assert request.target.partition("?")[2].split("&")[:2] == ["changes=ENV%20A%3Db", "changes=CMD%20%5B%22sh%22%5D"]
    del request.query["changes"]
    assert request.query == {"fromSrc": "-", "message": "why", "repo": "host:5000/new:1", "tag": ""}
    assert sampan("import", "-", "x", input=b"from a pipe").returncode == 0
    assert fake_daemon.requests[1].body == b"from a pipe"


def test_import_of_what_is_not_there_names_it(fake_daemon: FakeDaemon, sampan: Command) -> None:
    done = sampan("import", "/no/such.tar", "x")

    assert done.returncode == 1
    assert done.stderr == (
        b"sampan: /no/such.tar: no such file or directory\n"
        b"  try: make the directory /no first, or name a path that is there\n"
    )
    assert sampan("import", "", "x").stderr == b'sampan: "": no such file or directory\n'


def test_commit_sends_what_docker_sends(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/commit", fake_daemon.reply(201, {"Id": "sha256:new"}))

    assert sampan("commit", "-a", "me", "c1", "img2").stdout == b"sha256:new\n"
    assert fake_daemon.requests[0].query == {
        "author": "me",
        "comment": "",
        "container": "c1",
        "repo": "img2",
        "tag": "latest",
    }


def test_update_sends_what_docker_sends_and_leaves_the_rest(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/containers/c1/update", fake_daemon.reply(200, {"Warnings": ["beware"]}))

    done = sampan("update", "-m", "64m", "--memory-swap", "128m", "--restart", "on-failure:2", "c1")

    assert (done.stdout, done.stderr) == (b"c1\n", b"WARNING: beware\n")
    document = fake_daemon.requests[0].document
    assert document["Memory"] == 64 << 20
    assert document["MemorySwap"] == 128 << 20
    assert document["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert document["PidsLimit"] is None
    assert document["NanoCpus"] == 0
    assert "CpuIdle" not in document


def test_a_container_is_made_idle_and_not_idle_again(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.is_sampans()
    fake_daemon.on("POST", "/containers/create", fake_daemon.reply(201, {"Id": "c1", "Warnings": []}))
    fake_daemon.on("POST", "/containers/c1/update", fake_daemon.reply(200, {"Warnings": []}))

    assert sampan("create", "--cpu-idle", "busybox").stdout == b"c1\n"
    assert sampan("update", "--cpu-idle=false", "c1").stdout == b"c1\n"

    create, update = (request.document for request in fake_daemon.requests if request.method == "POST")
    assert (create["HostConfig"]["CpuIdle"], update["CpuIdle"]) == (True, False)


def test_update_with_nothing_to_change_is_refused(fake_daemon: FakeDaemon, sampan: Command) -> None:
    done = sampan("update", "c1")

    assert (done.returncode, fake_daemon.requests) == (1, [])
    assert done.stderr == b"sampan: `sampan update` needs to be told what to change\n  try: sampan update --help\n"


def test_history_shows_no_age_of_what_was_built_to_have_none(fake_daemon: FakeDaemon, sampan: Command) -> None:
    layers = [
        {"Id": "sha256:new", "Created": created, "CreatedBy": "", "Size": 0, "Comment": ""}
        for created in (0, 1, 946684800, 946684801)
    ]
    fake_daemon.on("GET", "/images/old/history", fake_daemon.reply(200, layers))

    ages = sampan("history", "--format", "{{.CreatedSince}}", "old").stdout.decode().splitlines()
    assert ages[:3] == ["N/A"] * 3
    assert ages[3].endswith("years ago")
    assert sampan("history", "--format", "{{.CreatedAt}}", "old").stdout.splitlines()[1] == b"1970-01-01T00:00:01Z"


def test_rmi_prints_what_became_of_each_image(fake_daemon: FakeDaemon, sampan: Command) -> None:
    removed = [{"Untagged": "a:1"}, {"Deleted": "sha256:x"}]
    fake_daemon.on("DELETE", "/images/host/a:1", fake_daemon.reply(200, removed))

    done = sampan("rmi", "-f", "host/a:1", "gone")

    assert done.stdout == b"Untagged: a:1\nDeleted: sha256:x\n"
    assert done.returncode == 0
    assert sampan("rmi", "gone").returncode == 1


def test_port_prints_all_bindings_or_those_of_one_port(fake_daemon: FakeDaemon, sampan: Command) -> None:
    ports = {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "9/tcp": [{"HostIp": "127.0.0.1", "HostPort": "99"}],
        "70/tcp": None,
    }
    fake_daemon.on("GET", "/containers/c1/json", fake_daemon.reply(200, {"NetworkSettings": {"Ports": ports}}))

    assert sampan("port", "c1").stdout.decode().splitlines() == [
        "9/tcp -> 127.0.0.1:99",
        "80/tcp -> 0.0.0.0:8080",
        "80/tcp -> [::]:8080",
    ]
    assert sampan("port", "c1", "9").stdout == b"127.0.0.1:99\n"
    assert sampan("port", "c1", "70/tcp").returncode == 1


def test_system_prune_removes_what_is_kept_for_builds_unless_labels_are_asked_for(
    fake_daemon: FakeDaemon, sampan: Command
) -> None:
    fake_daemon.on("POST", "/(containers|images)/prune", fake_daemon.reply(200, {"SpaceReclaimed": 1000}))
    fake_daemon.on("POST", "/networks/prune", fake_daemon.reply(200, {}))
    fake_daemon.on("POST", "/build/prune", fake_daemon.reply(200, {"CachesDeleted": ["one"], "SpaceReclaimed": 2000}))

    assert b"what is kept for builds" in sampan("system", "prune", input=b"n\n").stdout
    assert sampan("system", "prune", "-f", "--filter", "label=a").stdout == b"Total reclaimed space: 2kB\n"
    assert fake_daemon.asked("POST", "/build/prune") == []

    done = sampan("system", "prune", "-f", "--filter", "until=24h")
    assert done.stdout == b"Deleted build cache objects:\none\n\nTotal reclaimed space: 4kB\n"
    assert "until" in fake_daemon.asked("POST", "/build/prune")[0].query["filters"]


def test_prune_asks_first_and_does_nothing_without_a_yes(fake_daemon: FakeDaemon, sampan: Command) -> None:
    answer = {"ContainersDeleted": ["abc"], "SpaceReclaimed": 1500}
    fake_daemon.on("POST", "/containers/prune", fake_daemon.reply(200, answer))

    assert sampan("container", "prune", input=b"\n").returncode == 1
    assert fake_daemon.lines == []
    done = sampan("container", "prune", "--filter", "until=24h", input=b"y\n")
    assert done.stdout.endswith(b"Deleted Containers:\nabc\n\nTotal reclaimed space: 1.5kB\n")
    assert fake_daemon.requests[0].query == {"filters": '{"until":{"24h":true}}'}
    assert sampan("container", "prune", "-f").returncode == 0


def test_version_without_a_daemon_shows_this_end_and_fails(sampan: Command, tmp_path: Path) -> None:
    done = sampan("-H", f"unix://{tmp_path}/none.sock", "version")

    assert done.returncode == 1
    assert b"Client: sampan" in done.stdout
    assert b"cannot connect to the daemon" in done.stderr
    assert b"  try: start the daemon with `sampand -H" in done.stderr


def test_info_prints_what_the_engine_tells(fake_daemon: FakeDaemon, sampan: Command) -> None:
    info = {
        **{f"Containers{state}": 1 for state in ("Running", "Paused", "Stopped")},
        "Containers": 3,
        "Images": 2,
        "Driver": "overlay2",
        "DriverStatus": [["Backing", "ext4"]],
        "NCPU": 2,
        "MemTotal": 1 << 30,
        "SecurityOptions": ["name=seccomp,profile=builtin"],
        "Warnings": ["no swap limit"],
        "Debug": False,
    }
    fake_daemon.on("GET", "/info", fake_daemon.reply(200, info))

    done = sampan("info")

    text = done.stdout.decode()
    for line in (
        " Storage Driver: overlay2\n  Backing: ext4\n",
        " Total Memory: 1GiB\n",
        "  seccomp (profile builtin)\n",
    ):
        assert line in text
    assert done.stderr == b"no swap limit\n"
    assert sampan("info", "-f", "{{.NCPU}}").stdout == b"2\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonsense"], 1, "there is no command 'nonsense'"),
        (["container", "nonsense"], 1, "there is no command 'container nonsense'"),
        (["rnu"], 1, "did you mean `run`?"),
        (["container", "rnu"], 1, "did you mean `run`?"),
        (["compose", "up"], 1, "fake.sock docker compose"),
        (["swarm", "init"], 1, "there is no swarm here"),
        (["ps", "word"], 1, "takes no arguments, not 1"),
        (["run"], 1, "takes at least 1 argument, not 0"),
        (["exec", "c1"], 1, "takes at least 2 arguments, not 1"),
        (["rename", "a"], 1, "takes 2 arguments, not 1"),
        (["build"], 1, "try: sampan build [OPTIONS] PATH|URL|- (more: sampan build --help)"),
        (["port"], 1, "takes 1 to 2 arguments, not 0"),
        (["run", "--nonsense", "x"], 125, "try: sampan run --help"),
        (["--nonsense", "ps"], 125, "unknown option --nonsense"),
        (["-H", "ftp://x", "ps"], 1, "cannot connect by ftp"),
    ],
)
def test_a_wrong_command_line_says_what_would_be_right(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str], code: int, said: str
) -> None:
    done = sampan(*words)

    assert done.returncode == code
    assert said in done.stderr.decode()
    assert done.stdout == b""
    assert fake_daemon.lines == []


def test_debug_shows_where_an_error_came_from(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/containers/json", fake_daemon.reply(500, {"message": "broken"}))

    assert b"Traceback" not in sampan("ps").stderr
    assert b"Traceback" in sampan("-D", "ps").stderr
