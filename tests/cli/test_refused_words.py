"""Words that can mean nothing are refused by the command line itself: empty names and paths, help for what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command, FakeDaemon


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("attach %", "container"),
        ("doctor --reach %", "container"),
        ("exec % true", "container"),
        ("inspect %", "object"),
        ("image inspect %", "image"),
        ("rm -f %", "container"),
        ("rmi -f %", "image"),
        ("stats --no-stream %", "container"),
        ("stop %", "container"),
        ("wait %", "container"),
        ("network rm -f %", "network"),
        ("volume rm -f %", "volume"),
        ("volume restore db %", "snapshot"),
        ("volume forget db %", "snapshot"),
        ("secret rm %", "secret"),
    ],
)
def test_a_name_that_is_empty_is_said_to_be_and_nobody_is_asked(
    fake_daemon: FakeDaemon, sampan: Command, line: str, kind: str
) -> None:
    """As of a variable that is not set: a path with nothing in its place would be another request, or none."""
    done = sampan(*(word.replace("%", "") for word in line.split()))

    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"sampan: the name of the {kind} is empty\n  try: ")
    assert fake_daemon.lines == []


def test_what_has_a_name_is_done_although_another_name_is_empty(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("DELETE", "/containers/[^/]+", fake_daemon.reply(204))

    done = sampan("rm", "-f", "one", "", "two")

    assert (done.returncode, done.stdout) == (1, b"one\ntwo\n")
    assert b"name of the container is empty" in done.stderr


def test_an_inspect_shows_what_has_a_name_although_another_name_is_empty(
    fake_daemon: FakeDaemon, sampan: Command
) -> None:
    fake_daemon.on("GET", "/containers/one/json", fake_daemon.reply(200, {"Name": "/one"}))

    done = sampan("inspect", "-f", "{{.Name}}", "one", "")

    assert (done.returncode, done.stdout) == (1, b"/one\n")


@pytest.mark.parametrize("words", [["foo"], ["network", "foo"], ["foo", "bar"]])
def test_help_for_a_command_that_is_not_there_fails(sampan: Command, words: list[str]) -> None:
    done = sampan("help", *words)

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"sampan: there is no command '")


def test_help_for_a_command_of_a_group_is_its_help(sampan: Command) -> None:
    assert sampan("help", "network", "ls").stdout == sampan("network", "ls", "--help").stdout != b""


def test_a_command_that_a_group_lacks_is_answered_with_the_help_of_the_group(sampan: Command) -> None:
    assert b"try: `sampan network --help` lists the commands" in sampan("network", "foo").stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pull", ""], "'' names no image"),
        (["pull", "app@latest"], "'app@latest' names no image"),
        (["pull", "app:"], "invalid reference format: 'app:' has no tag behind its colon"),
        (["tag", "app", "new:"], "invalid reference format: 'new:' has no tag behind its colon"),
        (["push", "app:"], "invalid reference format: 'app:' has no tag behind its colon"),
        (["builder", "cache", "ls", "foo"], "`sampan builder cache ls` takes no arguments, not 1"),
        (["pull", "-a", "app:1"], "--all-tags and a tag exclude each other"),
        (["images", "--tree", "--format", "json"], "--tree and --format exclude each other"),
        (["images", "--tree", "-q"], "--tree and --quiet exclude each other"),
        (["network", "create", "--aux-address", "foo", "n1"], "--aux-address 'foo' is no name and address"),
        (["network", "create", "--aux-address", "a=foo", "n1"], "--aux-address 'foo' is no address"),
        (["logs", "--since", "foo", "c1"], "--since 'foo' is no point in time"),
        (["events", "--until", "foo"], "--until 'foo' is no point in time"),
        (["cp", "", "c1:/tmp"], "the source is empty"),
        (["cp", "c1:/etc", ""], "the target is empty"),
        (["cp", "c1:", "here"], "c1: names no path"),
        (["cp", "/etc/hostname", "c1:"], "c1: names no path"),
    ],
)
def test_what_can_mean_nothing_is_refused_with_code_1_before_anybody_is_asked(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str], sentence: str
) -> None:
    done = sampan(*words)

    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[0] == f"sampan: {sentence}"
    assert b"  try: " in done.stderr
    assert fake_daemon.lines == []


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["volume", "create", "--label", "", "db"], 125, "--label '' has no name"),
        (["network", "create", "--label", "=x", "n1"], 125, "--label '=x' has no name"),
        (["secret", "create", "--label", "", "key", "/etc/hostname"], 125, "--label '' has no name"),
        (["volume", "import", "--label", "", "/etc/hostname", "db"], 125, "--label '' has no name"),
        (["create", "--time-offset", "foo", "app"], 125, "--time-offset 'foo' cannot be"),
        (["image", "diet", "--squash", "", "app"], 1, "--squash names no image"),
        (["stats", "--json", "--format", "{{.Name}}", "c1"], 125, "--json and --format exclude each other"),
        (["doctor", "--reach", "--repair"], 125, "--reach and --repair exclude each other"),
    ],
)
def test_an_option_that_says_nothing_is_refused_before_anybody_is_asked(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str], code: int, sentence: str
) -> None:
    done = sampan(*words)

    assert (done.returncode, done.stderr.decode().splitlines()[0]) == (code, f"sampan: {sentence}")
    assert fake_daemon.lines == []


def test_a_template_that_is_none_has_docker_s_exit_code(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/containers/c1/json", fake_daemon.reply(200, {"Name": "/c1"}))

    assert [sampan("inspect", "-f", text, "c1").returncode for text in ("{{", "{{.Nope}}", "{{.Name}}")] == [64, 1, 0]


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["export", "-o", "/nosuch/x", "c1"], "make the directory /nosuch first, or name a path that is there"),
        (["save", "-o", "/nosuch/x", "app"], "make the directory /nosuch first, or name a path that is there"),
        (["volume", "export", "-o", "/tmp", "db"], "name a file, not a directory"),
        (["image", "diet", "--html", "/nosuch/x", "app"], "make the directory /nosuch first, or name a path that"),
        (["load", "-i", "/nosuch"], "name a file that is there"),
        (["import", "/tmp"], "name a file, not a directory"),
        (["secret", "create", "s1", "/nosuch"], "name a file that is there"),
        (["cp", "/nosuch", "c1:/"], "name a file or directory that is there"),
        (["cp", "/etc/hostname/", "c1:/"], "leave the slash at its end out"),
    ],
)
def test_a_file_that_cannot_be_had_is_told_with_a_remedy(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str], remedy: str
) -> None:
    fake_daemon.on("GET", ".*", fake_daemon.reply(200, "x"))

    done = sampan(*words)

    assert done.returncode == 1
    assert f"  try: {remedy}" in done.stderr.decode()


def test_a_name_that_is_no_utf_8_is_told_by_its_bytes(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", ".*", fake_daemon.reply(200, "x"))

    assert b"sampan: /nosuch/\\xff does not exist\n" in sampan("cp", "/nosuch/\udcff", "c1:/").stderr


@pytest.mark.parametrize("option", ["--iidfile", "--metadata-file"])
@pytest.mark.parametrize("place", ["nosuch/x", "."])
def test_a_file_that_a_build_cannot_write_at_its_end_is_told_before_it(
    builds: FakeDaemon, sampan: Command, tmp_path: Path, option: str, place: str
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")

    done = sampan("build", option, place, ".", cwd=tmp_path)

    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"sampan: {option} {place}: ")
    assert b"  try: " in done.stderr
    assert builds.lines == []


def test_a_file_for_the_image_s_id_is_not_there_while_the_build_goes_on(
    builds: FakeDaemon, sampan: Command, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    builds.on("POST", "/build", builds.reply(500, {"message": "broken"}))

    assert sampan("build", "--iidfile", "id", ".", cwd=tmp_path).returncode == 1
    assert not (tmp_path / "id").exists()


@pytest.mark.parametrize(
    ("options", "sentence", "remedy"),
    [
        (["-p", "app"], "--publish 'app': 'app' is no port", "write [address:]"),
        (["-p", "١٠:80"], "--publish '١٠:80': '١٠' is no port", "write [address:]"),
        (["--expose", "abc"], "--expose 'abc': 'abc' is no port", "write port[/tcp|udp|sctp]"),
        (
            ["--ulimit", "nofile=5:3"],
            "--ulimit 'nofile=5:3': the soft limit",
            "write the smaller one first: nofile=3:5",
        ),
        (["--ulimit", f"nofile={'9' * 20}"], f"--ulimit 'nofile={'9' * 20}': it is too large", "write -1"),
        (["--env-file", "/nosuch"], "--env-file /nosuch: no such file", "name a file that is there"),
        (["--label-file", "/nosuch/x"], "--label-file /nosuch/x: no such file", "make the directory /nosuch first"),
        (["--dns", "abc"], "--dns 'abc' is no address", "write one as in 192.0.2.1"),
        (["--security-opt", "seccomp=/nosuch"], "--security-opt seccomp=/nosuch: no such file", "name a file with"),
        (
            ["--security-opt", "seccomp=/etc/passwd"],
            "--security-opt seccomp=/etc/passwd: the file is no",
            "name a file",
        ),
        (["--mount", "type=tmpfs,dst=/t,tmpfs-mode=99"], "--mount 'type=tmpfs,dst=/t,tmpfs-mode=99': tmpfs-mode", ""),
        (["--network-rate", "in=1mbit,in=2mbit"], "--network-rate 'in=1mbit,in=2mbit' has in twice", "leave one of"),
    ],
)
def test_an_option_that_cannot_be_names_itself_and_the_cure(
    fake_daemon: FakeDaemon, sampan: Command, options: list[str], sentence: str, remedy: str
) -> None:
    done = sampan("run", *options, "app", "true")

    said = done.stderr.decode().splitlines()
    assert done.returncode == 125
    assert said[0].startswith(f"sampan: {sentence}")
    assert said[1].startswith(f"  try: {remedy}")
    assert "int()" not in said[0]
    assert fake_daemon.lines == []


def test_a_port_that_is_unpublished_names_that_option(fake_daemon: FakeDaemon, sampan: Command) -> None:
    assert sampan("update", "--unpublish", "foo", "c1").stderr.startswith(
        b"sampan: --unpublish 'foo': 'foo' is no port"
    )
    assert fake_daemon.lines == []


def test_the_container_whose_network_another_has_is_told_by_its_name(fake_daemon: FakeDaemon, sampan: Command) -> None:
    places = {"Name": "site", "Mode": "container:" + "ab" * 32, "Places": []}
    fake_daemon.on(
        "GET", "/system/reach", fake_daemon.reply(200, [places, places | {"Mode": "container:" + "cd" * 32}])
    )
    fake_daemon.on("GET", f"/containers/{'ab' * 32}/json", fake_daemon.reply(200, {"Name": "/web"}))

    text = sampan("doctor", "--reach", "site").stdout.decode()

    assert text == "site\n  is reached as web is\nsite\n  is reached as cdcdcdcdcdcd is\n"
