"""`docker build` with the buildx plugin, which speaks BuildKit's protocol to our engine, as it is called every day."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from tests.compat.buildx import built, need_buildx, run, shown
from tests.docker_command import DockerCli
from tests.file_server import serving


@pytest.fixture(autouse=True)
def _plugin() -> None:
    need_buildx()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nARG WHO=nobody\nCOPY f /f\nRUN cat /f && echo for $WHO\n")
    (tmp_path / "f").write_text("from the context\n")
    return tmp_path


def write(context: Path, dockerfile: str) -> str:
    """The context with this Dockerfile, as a word."""
    (context / "Dockerfile").write_text(dockerfile)
    return str(context)


def test_a_build_shows_its_steps_and_names_the_image_and_its_steps_are_found_again(
    docker: DockerCli, context: Path
) -> None:
    first = shown(docker, "-t", "one", "-t", "two:2", "--build-arg", "WHO=me", "--load", str(context))
    assert "[internal] load build definition from Dockerfile" in first
    assert "[2/3] COPY f /f" in first
    assert " from the context\n" in first
    assert " for me\n" in first
    assert "CACHED" not in first
    image = docker("images", "-q", "--no-trunc", "one").strip()
    assert f"writing image {image} done" in first
    assert "naming to docker.io/library/two:2 done" in first
    assert run(docker, "two:2", "cat", "/f") == "from the context\n"
    again = shown(docker, "-t", "one", "--build-arg", "WHO=me", str(context))
    assert again.count("CACHED") == 2
    assert docker("images", "-q", "--no-trunc", "one").strip() == image
    assert docker("ps", "-aq") == ""


def test_a_failing_step_shows_its_lines_and_leaves_no_container(docker: DockerCli, context: Path) -> None:
    text = shown(docker, write(context, "FROM busybox\nRUN echo before\nRUN echo words; \\\n  exit 7\n"), code=1)
    assert " words\n" in text
    assert "Dockerfile:3\n" in text
    assert "   3 | >>> RUN echo words; \\\n" in text
    assert 'process "/bin/sh -c echo words;   exit 7" did not complete successfully: exit code: 7' in text
    assert docker("ps", "-aq") == ""


def test_a_script_that_fails_is_told_on_one_line_with_all_of_its_lines_marked(docker: DockerCli, context: Path) -> None:
    text = shown(docker, write(context, "FROM busybox\nRUN <<EOF\necho words\nfalse\nEOF\n"), code=1)
    assert r'process "/bin/sh -c echo words\nfalse\n" did not complete successfully: exit code: 1' in text
    assert "   2 | >>> RUN <<EOF\n   3 | >>> echo words\n   4 | >>> false\n   5 | >>> EOF\n" in text


def test_a_dockerfile_of_a_megabyte_that_fails_is_told_at_once(docker: DockerCli, context: Path) -> None:
    """An error carries its Dockerfile in headers, which were packed in a time that grew as its square."""
    script = "".join(f": {number:0>98}\n" for number in range(10_000))
    text = shown(docker, write(context, f"FROM busybox\nRUN <<EOF\n{script}EOF\n"), code=1)
    assert "argument list too long" in text


@pytest.mark.parametrize(
    ("dockerfile", "line", "said"),
    [
        ("FROM busybox\nRUM x\n", "   2 | >>> RUM x\n", "did you mean RUN?"),
        ("FROM busybox\nCOPY gone /x\n", "   2 | >>> COPY gone /x\n", "gone"),
        ("FROM busybox AS a\nFROM a\nCOPY --from=a /none /x\n", "   3 | >>> COPY --from=a /none /x\n", "none"),
        (
            "FROM busybox\nRUN --mount=type=secret,id=s,required=true true\n",
            "   2 | >>> RUN --mount=type=secret,id=s,required=true true\n",
            "secret s: not found",
        ),
        ("", "", "no instructions"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    docker: DockerCli, context: Path, dockerfile: str, line: str, said: str
) -> None:
    text = shown(docker, write(context, dockerfile), code=1)
    assert line in text
    assert said in text.splitlines()[-1]
    assert "ERROR: failed to solve: " in text


def test_a_missing_dockerfile_and_a_missing_stage_are_named(docker: DockerCli, context: Path) -> None:
    assert "open none: no such file or directory" in shown(docker, "-f", f"{context}/none", str(context), code=1)
    assert 'target stage "none" could not be found' in shown(docker, "--target", "none", str(context), code=1)


def test_secrets_come_from_files_and_variables_and_stay_out_of_the_image(
    docker: DockerCli, context: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("open sesame")
    docker.environment["OF_A_VARIABLE"] = "of a variable"
    text = shown(
        docker,
        *("--secret", f"id=file,src={tmp_path}/secret", "--secret", "id=var,env=OF_A_VARIABLE", "-t", "kept"),
        write(
            context,
            "FROM busybox\n"
            "RUN --mount=type=secret,id=file,env=IN_FILE --mount=type=secret,id=var,target=/v,mode=0444 "
            'echo "$IN_FILE"; cat /v; stat -c " %a" /v\n'
            "RUN --mount=type=secret,id=other test ! -e /run/secrets/other\n",
        ),
    )
    assert " open sesame\n" in text
    assert " of a variable 444\n" in text
    assert run(docker, "kept", "ls", "/v", "/run/secrets", code=1) == ""


def test_a_step_gets_a_socket_to_the_clients_ssh_agent(docker: DockerCli, context: Path, tmp_path: Path) -> None:
    """What goes through it is tested with a client of our own (tests/unit/buildkit/test_callbacks.py)."""
    dockerfile = "FROM busybox\nRUN --mount=type=ssh,required stat -c 'is a %F' $SSH_AUTH_SOCK\n"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        assert " is a socket\n" in shown(docker, "--ssh", f"default={tmp_path}/agent", write(context, dockerfile))
    assert "unset ssh forward key" in shown(docker, "--no-cache", write(context, dockerfile), code=1)


def test_options_of_the_command_arrive(docker: DockerCli, context: Path) -> None:
    dockerfile = (
        "FROM busybox AS a\nARG WHO\n"
        "RUN ulimit -n; df /dev/shm | tail -1; cat /etc/hosts; echo to $WHO; ls /sys/class/net; date > /made\n"
        "FROM busybox\nRUN false\n"
    )
    options = ["--target", "a", "--label", "x=y z", "--ulimit", "nofile=55:66", "--add-host", "far:10.1.2.3"]
    options += ["--shm-size", "33m", "--build-arg", "WHO=me", "--platform", "linux/amd64"]
    text = shown(docker, "-t", "optional", *options, write(context, dockerfile))
    lines = [line.split(maxsplit=2)[2] for line in text.splitlines() if line.startswith("#") and line.count(" ") > 1]
    assert {"55", "to me", "lo", "10.1.2.3\tfar"} <= set(lines)
    assert any(" 33792 " in line for line in lines)
    assert docker("inspect", "-f", "{{.Config.Labels.x}}", "optional") == "y z\n"


def test_the_cache_is_left_out_for_all_stages_or_for_those_that_are_named(docker: DockerCli, context: Path) -> None:
    where = write(context, "FROM busybox AS a\nRUN echo a > /a\nFROM busybox\nRUN echo b > /b\nCOPY --from=a /a /a\n")
    shown(docker, where)
    assert shown(docker, where).count("CACHED") == 3
    assert shown(docker, "--no-cache-filter", "a", where).count("CACHED") == 2
    assert shown(docker, "--no-cache", where).count("CACHED") == 0


def test_an_image_that_is_named_as_a_cache_counts_beside_the_engines_own(docker: DockerCli, context: Path) -> None:
    shown(docker, str(context))
    text = shown(docker, "--cache-from", "busybox", "--cache-from", "127.0.0.1:1/none", str(context))
    assert text.count("CACHED") == 2
    assert "importing cache manifest from 127.0.0.1:1/none" in text
    assert "ERROR: cannot reach the registry" in text


def test_the_machines_network_is_had_only_by_who_may_have_it(docker: DockerCli, context: Path) -> None:
    where = write(context, "FROM busybox\nRUN --network=host true\n")
    assert "network.host is not allowed" in shown(docker, where, code=1)
    shown(docker, "--allow", "network.host", where)
    docker("build", "--network", "host", "--progress", "plain", where)
    text = shown(docker, "--allow", "security.insecure", where, code=1)
    assert "granting entitlement security.insecure is not allowed" in text


def test_the_images_id_is_printed_and_written_to_files(docker: DockerCli, context: Path) -> None:
    image = built(docker, "--iidfile", f"{context}/id", "--metadata-file", f"{context}/told", str(context))
    assert (context / "id").read_text() == image
    assert json.loads((context / "told").read_text())["containerimage.digest"] == image
    assert docker("inspect", "-f", "{{.Id}}", image).strip() == image


def test_a_dockerfile_is_taken_from_elsewhere_or_from_standard_input(
    docker: DockerCli, context: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "FROM busybox\nCOPY f /given\nCMD cat /given\n"
    outside = tmp_path_factory.mktemp("outside") / "Other"
    outside.write_text(text)
    assert run(docker, built(docker, "-f", str(outside), str(context))) == "from the context\n"
    assert run(docker, built(docker, "-f", "-", str(context), given=text)) == "from the context\n"
    assert run(docker, built(docker, "-", given="FROM busybox\nCMD echo alone\n")) == "alone\n"


def test_a_context_is_an_archive_on_standard_input_or_at_an_address(docker: DockerCli, context: Path) -> None:
    docker.run("tar", "-C", str(context), "-cf", f"{context}.tar", "Dockerfile", "f")
    archive = Path(f"{context}.tar").read_bytes()
    text = docker.run(
        "sh", "-c", f"docker build --network none --progress plain --no-cache - < {context}.tar 2>&1", given=""
    )
    assert " from the context\n" in text
    files = {"/context.tar": archive, "/Alone": b"FROM busybox\nRUN echo fetched\n"}
    with serving(files) as address:
        assert " from the context\n" in shown(docker, "--no-cache", f"{address}/context.tar")
        assert " fetched\n" in shown(docker, "--no-cache", f"{address}/Alone")
        given = "FROM busybox\nCOPY . /c\nRUN ls /c; cat /c/f\n"
        text = shown(docker, "--no-cache", "-f", "-", f"{address}/context.tar", given=given)
        assert " Dockerfile\n" in text
        assert " from the context\n" in text
        assert ".dockerfile" not in text
        text = shown(docker, f"{address}/none", code=1)
    assert "[internal] load remote build context" in text
    assert "404" in text


def test_warnings_of_checks_are_shown(docker: DockerCli, context: Path) -> None:
    assert "JSONArgsRecommended" in shown(docker, write(context, "FROM busybox\nCMD echo a\n"))


def test_questions_about_a_dockerfile_are_answered(docker: DockerCli, context: Path) -> None:
    """Newer clients ask them with --check and --call."""
    where = write(context, "FROM busybox AS a\n# WHO whom to greet\nARG WHO=you\nFROM a AS b\nCMD echo x\n")
    docker.environment["BUILDX_EXPERIMENTAL"] = "1"
    try:
        assert "WHO         you     whom to greet\n" in docker("build", "--print=outline", where)
        assert "a           \nb (default) \n" in docker("build", "--print=targets", where)
        assert "WARNING: JSONArgsRecommended" in docker("build", "--print=lint", where)
        docker("build", "--print=none", where, code=1)
        assert "the subrequest frontend.none is not served" in docker.errors
    finally:
        del docker.environment["BUILDX_EXPERIMENTAL"]


def test_a_front_end_that_a_line_names_is_the_parser_that_is_here(docker: DockerCli, context: Path) -> None:
    where = write(context, "# syntax=example.invalid/front/end:1\nFROM busybox\nRUN <<E\necho hear\nE\n")
    assert " hear\n" in shown(docker, "--no-cache", "--build-arg", "BUILDKIT_SYNTAX=docker/dockerfile:1", where)


def test_what_cannot_be_done_is_said_with_what_can(docker: DockerCli, context: Path) -> None:
    assert "the exporter none is not served" in shown(docker, "-o", "type=none", str(context), code=1)
    assert "Multi-platform build is not supported" in shown(
        docker, "--platform", "linux/amd64,linux/arm64", str(context), code=1
    )
