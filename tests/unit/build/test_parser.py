"""The language: lines, directives, stages and every instruction in the forms that its reference shows."""

from __future__ import annotations

import pytest

from sampan.build.heredocs import Script, command_of
from sampan.build.instructions import (
    Add,
    Arg,
    Argument,
    Cmd,
    Copy,
    Directive,
    Entrypoint,
    Env,
    ExecForm,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Pair,
    Run,
    Shell,
    ShellForm,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from sampan.build.parser import parse, parse_trigger


def only(text: str) -> Instruction:
    """The one instruction of a stage."""
    (instruction,) = parse(f"FROM base\n{text}\n".encode(), name="Dockerfile").stages[0].instructions
    return instruction


def run_of(text: str) -> Run:
    instruction = only(text)
    assert isinstance(instruction, Run)
    return instruction


def copy_of(text: str) -> Copy:
    instruction = only(text)
    assert isinstance(instruction, Copy)
    return instruction


def test_directives_stand_at_the_head_and_end_with_the_first_other_line() -> None:
    text = b"\xef\xbb\xbf# syntax = docker/dockerfile:1\n# Escape=`\n#check=skip=all;error=true\nFROM a\n"
    dockerfile = parse(text, name="Dockerfile")
    assert dockerfile.directives == (
        Directive("syntax", "docker/dockerfile:1", 1),
        Directive("escape", "`", 2),
        Directive("check", "skip=all;error=true", 3),
    )
    assert dockerfile.escape == "`"
    assert dockerfile.directive("check") == "skip=all;error=true"
    assert parse(b"# a comment\n# escape=`\nFROM a\n", name="Dockerfile").escape == "\\"
    assert parse(b"\n# escape=`\nFROM a\n", name="Dockerfile").escape == "\\"
    assert parse(b"FROM a\n# escape=`\n", name="Dockerfile").directives == ()


def test_a_line_goes_on_behind_an_escape_over_comments_and_empty_lines() -> None:
    dockerfile = parse(b"FROM a\nRUN one \\\n  # why\n\n  two \\  \n# end\n  three\nRUN next\n", name="D")
    first, second = dockerfile.stages[0].instructions
    assert isinstance(first, Run)
    assert first.command == ShellForm("one   two   three")
    assert (first.position.line, first.position.end_line) == (2, 7)
    assert second.position.line == 8
    assert [position.line for position in dockerfile.empty_continuations] == [2]


def test_an_escaped_escape_at_the_end_goes_nowhere() -> None:
    assert run_of("RUN echo \\\\").command == ShellForm("echo \\\\")


def test_a_backtick_continues_where_it_is_the_escape() -> None:
    dockerfile = parse(b"# escape=`\nFROM a\nRUN dir c:\\ `\n  more\n", name="D")
    (run,) = dockerfile.stages[0].instructions
    assert isinstance(run, Run)
    assert run.command == ShellForm("dir c:\\   more")


def test_windows_line_ends_and_a_missing_last_one_do_not_matter() -> None:
    dockerfile = parse(b"FROM a\r\nRUN x \\\r\n  y\r\nCMD z", name="D")
    run, cmd = dockerfile.stages[0].instructions
    assert isinstance(run, Run)
    assert isinstance(cmd, Cmd)
    assert (run.command, cmd.command) == (ShellForm("x   y"), ShellForm("z"))


def test_comments_directly_above_belong_to_the_instruction() -> None:
    dockerfile = parse(b"# far\n\n# near one\n# near two\nFROM a AS b\n#\nRUN x\n", name="D")
    assert dockerfile.stages[0].position.comments == ("near one", "near two")
    assert dockerfile.stages[0].instructions[0].position.comments == ()


@pytest.mark.parametrize("given", ["", '""'])
def test_a_platform_of_nothing_is_none(given: str) -> None:
    (stage,) = parse(f"FROM --platform={given} a\n".encode(), name="Dockerfile").stages
    assert (stage.base, stage.platform) == ("a", "")


def test_stages_have_names_platforms_and_their_own_instructions() -> None:
    dockerfile = parse(
        b"ARG V=1\nfrom --platform=$BUILDPLATFORM golang:$V as Build\nRUN a\nFROM scratch\nCOPY --from=build /a /\n",
        name="D",
    )
    assert [arg.arguments for arg in dockerfile.arguments] == [(Argument("V", "1"),)]
    build, last = dockerfile.stages
    assert (build.name, build.base, build.platform) == ("build", "golang:$V", "$BUILDPLATFORM")
    assert (last.name, last.base, last.platform) == ("", "scratch", "")
    assert [len(stage.instructions) for stage in dockerfile.stages] == [1, 1]


def test_a_run_has_flags_in_front_and_the_rest_is_its_command() -> None:
    run = run_of("RUN --mount=type=cache,target=/c --network=none --mount=type=secret,id=k -- --flag x")
    assert [mount.text for mount in run.mounts] == ["type=cache,target=/c", "type=secret,id=k"]
    assert run.network == "none"
    assert run.command == ShellForm("--flag x")
    assert run_of("RUN --security=insecure --device=vendor.com/d=all x").devices == ("vendor.com/d=all",)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('CMD ["a", "b c"]', ExecForm(("a", "b c"))),
        ('cmd [ "a" ]', ExecForm(("a",))),
        ("CMD []", ExecForm(())),
        ("CMD", ShellForm("")),
        ("CMD a b", ShellForm("a b")),
        ('CMD ["a", b]', ShellForm('["a", b]')),
        ("CMD [ -f x ] && y", ShellForm("[ -f x ] && y")),
        ('CMD ["\\u00e9"]', ExecForm(("é",))),
        ('CMD ["\\ud800"]', ExecForm(("�",))),
    ],
)
def test_a_command_is_a_json_list_or_a_text_for_the_shell(text: str, command: object) -> None:
    instruction = only(text)
    assert isinstance(instruction, Cmd)
    assert instruction.command == command


def test_a_copy_has_sources_a_destination_and_its_flags() -> None:
    copy = copy_of("COPY --from=build --chown=1:2 --chmod=u+x --link --parents --exclude=*.a --exclude=*.b a 'b' ./x/")
    assert (copy.sources, copy.destination) == (("a", "'b'"), "./x/")
    assert (copy.origin, copy.chown, copy.chmod) == ("build", "1:2", "u+x")
    assert (copy.link, copy.parents, copy.exclude) == (True, True, ("*.a", "*.b"))
    assert copy_of("COPY --link=false a b").link is False
    assert copy_of('COPY ["a b", "c d/"]').sources == ("a b",)


def test_an_add_says_what_docker_decides_itself_as_none() -> None:
    add = only("ADD --checksum=sha256:0 --keep-git-dir --unpack=false https://example.test/x.tar /x/")
    assert isinstance(add, Add)
    assert (add.checksum, add.keep_git_dir, add.unpack) == ("sha256:0", True, False)
    plain = only("ADD a b")
    assert isinstance(plain, Add)
    assert (plain.keep_git_dir, plain.unpack) == (None, None)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("ENV a=b", (Pair("a", "b"),)),
        (
            "ENV a=b c=\"d e\" f='g h' i=j\\ k",
            (Pair("a", "b"), Pair("c", '"d e"'), Pair("f", "'g h'"), Pair("i", "j\\ k")),
        ),
        ("ENV a b  c=d ", (Pair("a", "b  c=d", legacy=True),)),
        ("ENV a=", (Pair("a", ""),)),
        ("ENV a=b=c", (Pair("a", "b=c"),)),
        ('ENV a="${b:-c d}"', (Pair("a", '"${b:-c d}"'),)),
    ],
)
def test_variables_are_pairs_with_their_quotes(text: str, pairs: tuple[Pair, ...]) -> None:
    instruction = only(text)
    assert isinstance(instruction, Env)
    assert instruction.pairs == pairs


def test_every_other_instruction_is_read() -> None:
    text = b"""FROM base
LABEL a.b="c d" e=f
ARG one two=2 three="3 4"
EXPOSE 80 53/udp $PORT
VOLUME /a /b
VOLUME ["/c d"]
USER me:staff
WORKDIR /some dir
STOPSIGNAL SIGQUIT
SHELL ["/bin/bash", "-c"]
MAINTAINER Some One <one@example.test>
ENTRYPOINT ["/entry"]
"""
    instructions = parse(text, name="D").stages[0].instructions
    at = [instruction.position for instruction in instructions]
    assert instructions == (
        Label(at[0], (Pair("a.b", '"c d"'), Pair("e", "f"))),
        Arg(at[1], (Argument("one", None), Argument("two", "2"), Argument("three", '"3 4"'))),
        Expose(at[2], ("80", "53/udp", "$PORT")),
        Volume(at[3], ("/a", "/b")),
        Volume(at[4], ("/c d",)),
        User(at[5], "me:staff"),
        Workdir(at[6], "/some dir"),
        Stopsignal(at[7], "SIGQUIT"),
        Shell(at[8], ("/bin/bash", "-c")),
        Maintainer(at[9], "Some One <one@example.test>"),
        Entrypoint(at[10], ExecForm(("/entry",))),
    )


def test_a_health_check_has_intervals_in_nanoseconds() -> None:
    check = only(
        "HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=1h --start-interval=5ms --retries=3 CMD curl -f x"
    )
    assert isinstance(check, Healthcheck)
    assert check.command == ShellForm("curl -f x")
    assert (check.interval_ns, check.timeout_ns) == (90 * 10**9, 1500 * 10**6)
    assert (check.start_period_ns, check.start_interval_ns, check.retries) == (3600 * 10**9, 5 * 10**6, 3)
    none = only("HEALTHCHECK --interval=x none")
    assert isinstance(none, Healthcheck)
    assert none.command is None


def test_a_trigger_keeps_its_text_for_the_image_and_its_instruction() -> None:
    onbuild = only("ONBUILD  COPY --chown=a . /app")
    assert isinstance(onbuild, Onbuild)
    assert onbuild.text == "COPY --chown=a . /app"
    assert isinstance(onbuild.instruction, Copy)
    again = parse_trigger(onbuild.text, name="base")
    assert isinstance(again, Copy)
    assert (again.chown, again.sources) == ("a", (".",))


def test_a_trigger_carries_its_heredoc_into_the_image() -> None:
    onbuild = only("ONBUILD RUN <<EOF\none\ntwo\nEOF")
    assert isinstance(onbuild, Onbuild)
    again = parse_trigger(onbuild.text, name="base")
    assert isinstance(again, Run)
    assert command_of(again) == ShellForm("one\ntwo\n")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("RUN <<EOF\na\n  b $x\nEOF", ShellForm("a\n  b $x\n")),
        ("RUN <<-EOF\n\ta\n\t\tb\n\tEOF", ShellForm("a\nb\n")),
        ("RUN <<'EOF'\na\nEOF", ShellForm("a\n")),
        ('RUN <<"E O F"\na\nE O F', ShellForm("a\n")),
        ("RUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF", Script("EOF", "#!/usr/bin/env python3\nprint(1)\n")),
        ("RUN cat <<A <<B > x\n1\nA\n2\nB", ShellForm("cat <<A <<B > x\n1\nA\n2\nB")),
        ("RUN python3 <<EOF\nprint(1)\nEOF", ShellForm("python3 <<EOF\nprint(1)\nEOF")),
        ("RUN cat <<-EOF | sh\n\tx\n\tEOF", ShellForm("cat <<-EOF | sh\n\tx\nEOF")),
        ("RUN --mount=type=tmpfs,target=/t <<EOF\na\nEOF", ShellForm("a\n")),
        ("RUN <<EOF;\na\nEOF", ShellForm("<<EOF;\na\nEOF")),
        ("RUN cat 3<<EOF\na\nEOF", ShellForm("cat 3<<EOF\na\nEOF")),
        ("RUN <<EOF\nEOF", ShellForm("")),
        ("RUN cat <<EOF\n# no comment\n\\\nRUN x \\\nEOF", ShellForm("cat <<EOF\n# no comment\n\\\nRUN x \\\nEOF")),
        ("RUN echo $((1<<2))", ShellForm("echo $((1<<2))")),
        ('RUN echo "<<EOF"', ShellForm('echo "<<EOF"')),
        ("RUN cat <<<word", ShellForm("cat <<<word")),
        ('RUN ["cat", "<<EOF"]', ExecForm(("cat", "<<EOF"))),
    ],
)
def test_a_heredoc_is_a_script_or_goes_with_the_command(text: str, command: object) -> None:
    assert command_of(run_of(text)) == command


@pytest.mark.parametrize(
    "text", ["echo $((1 << 3))", 'echo "$(( (1 << 2) << 3 ))"', "a=$((x << 3)) b=$((1 << (2 << 1)))"]
)
def test_a_shift_in_the_shells_arithmetic_opens_no_heredoc(text: str) -> None:
    (run,) = parse(f"FROM a\nRUN {text}\n".encode(), name="Dockerfile").stages[0].instructions
    assert isinstance(run, Run)
    assert (run.command, run.heredocs) == (ShellForm(text), ())


def test_a_heredoc_behind_arithmetic_is_one() -> None:
    dockerfile = "FROM a\nRUN x=$((1 << 3)) cat << E $(cat)\nin\nE\n"
    (run,) = parse(dockerfile.encode(), name="Dockerfile").stages[0].instructions
    assert isinstance(run, Run)
    assert [heredoc.content for heredoc in run.heredocs] == ["in\n"]


def test_heredocs_of_a_copy_are_files_in_place() -> None:
    copy = copy_of("COPY --chmod=755 <<one.txt plain <<-'two' /dest/\nhello $name\none.txt\n\tno $name\ntwo")
    assert (copy.sources, copy.destination) == (("plain",), "/dest/")
    one, two = copy.heredocs
    assert (one.name, one.lines, one.expand) == ("one.txt", "hello $name\n", True)
    assert (two.name, two.content, two.lines, two.expand) == ("two", "\tno $name\n", "no $name\n", False)


def test_instructions_behind_a_heredoc_are_read_again() -> None:
    dockerfile = parse(b"FROM a\nRUN <<EOF\nCMD no\nEOF\nCMD yes\n", name="D")
    assert [type(item) for item in dockerfile.stages[0].instructions] == [Run, Cmd]
    assert dockerfile.stages[0].instructions[1].position.line == 5
