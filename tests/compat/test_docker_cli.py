"""The docker command of Debian, as people type it."""

from __future__ import annotations

import json

from tests.docker_command import DockerCli

NO_NETWORK = ("--network", "none")


def test_run_prints_passes_input_and_the_exit_code(docker: DockerCli) -> None:
    assert docker("run", "--rm", *NO_NETWORK, "host", "echo", "hello") == "hello\n"
    assert docker("run", "--rm", "-i", *NO_NETWORK, "host", "cat", given="typed\n") == "typed\n"
    docker("run", "--rm", *NO_NETWORK, "host", "sh", "-c", "exit 42", code=42)
    docker("run", "--rm", *NO_NETWORK, "host", "no-such-program", code=127)
    docker("run", "--rm", *NO_NETWORK, "host", "/etc", code=126)
    docker("run", "--rm", "--memory", "1k", "host", "true", code=125)
    assert docker("ps", "-aq") == ""


def test_a_detached_container_is_listed_entered_and_removed(docker: DockerCli) -> None:
    container_id = docker(
        "run", "-d", "--name", "web", "-e", "COLOUR=blue", *NO_NETWORK, "host", "sleep", "300"
    ).strip()
    assert docker("ps", "-q", "--no-trunc").strip() == container_id
    assert docker("exec", "web", "sh", "-c", "echo $COLOUR") == "blue\n"
    assert docker("exec", "-e", "COLOUR=red", "-w", "/etc", "web", "sh", "-c", "echo $COLOUR; pwd") == "red\n/etc\n"
    docker("exec", "web", "sh", "-c", "exit 3", code=3)
    assert docker("inspect", "-f", "{{.State.Running}} {{.Config.Image}}", "web") == "true host\n"
    assert docker("top", "web").splitlines()[1].endswith("sleep 300")
    docker("rm", "web", code=1)
    assert "stop the container before removing or force remove" in docker.errors
    assert docker("rm", "-f", "web") == "web\n"


def test_logs_show_both_streams_and_the_last_lines(docker: DockerCli) -> None:
    docker("run", "--name", "speaker", *NO_NETWORK, "host", "sh", "-c", "echo one; echo two >&2; sleep 0.1; echo three")
    assert docker("logs", "speaker") == "one\nthree\n"
    assert docker.errors == "two\n"
    assert docker("logs", "--tail", "1", "speaker") == "three\n"
    docker("rm", "speaker")


def test_security_is_docker_s(docker: DockerCli) -> None:
    status = docker("run", "--rm", *NO_NETWORK, "host", "cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["CapEff"] == "00000000a80425fb"
    assert fields["CapInh"] == fields["CapAmb"] == "0" * 16
    assert fields["Seccomp"] == "2"
    docker("run", "--rm", *NO_NETWORK, "host", "mount", "-t", "tmpfs", "t", "/mnt", code=32)
    docker("run", "--rm", *NO_NETWORK, "host", "sh", "-c", "echo 1 > /proc/sys/kernel/panic", code=2)
    dropped = docker(
        "run", "--rm", "--cap-drop", "ALL", "--cap-add", "chown", *NO_NETWORK, "host", "cat", "/proc/self/status"
    )
    assert "CapEff:\t0000000000000001" in dropped


def test_mounts_bind_and_tmpfs_are_as_asked(docker: DockerCli) -> None:
    assert docker("run", "--rm", *NO_NETWORK, "-v", "/etc:/mnt:ro", "host", "cat", "/mnt/hostname")
    docker("run", "--rm", *NO_NETWORK, "-v", "/etc:/mnt:ro", "host", "touch", "/mnt/x", code=1)
    shown = docker("run", "--rm", *NO_NETWORK, "--tmpfs", "/mnt:size=1m", "host", "grep", " /mnt ", "/proc/mounts")
    assert "size=1024k" in shown
    docker("run", "--rm", *NO_NETWORK, "--read-only", "host", "touch", "/x", code=1)


def test_namespaces_of_another_container_are_joined(docker: DockerCli) -> None:
    docker("run", "-d", "--name", "first", "--hostname", "shared", *NO_NETWORK, "host", "sleep", "300")
    links = "readlink /proc/self/ns/net /proc/self/ns/pid"
    theirs = docker("exec", "first", "sh", "-c", links)
    ours = docker("run", "--rm", "--network", "container:first", "--pid", "container:first", "host", "sh", "-c", links)
    assert ours == theirs
    docker("rm", "-f", "first")


def test_what_is_not_built_says_so(docker: DockerCli) -> None:
    docker("swarm", "init", code=1)
    assert "sampan has no swarm" in docker.errors


def test_version_and_info_tell_of_the_engine(docker: DockerCli) -> None:
    assert json.loads(docker("version", "--format", "{{json .Server}}"))["Version"] == "26.1.5"
    assert json.loads(docker("info", "--format", "json"))["CgroupDriver"] == "cgroupfs"
