"""Instructions that change a config: Docker's forms, and Docker's refusals."""

from __future__ import annotations

import pytest

from sampan.errors import InvalidArgument
from sampan.image.changes import apply_changes
from sampan.oci.image_spec import ContainerDefaults, Healthcheck

BEFORE = ContainerDefaults(
    env=("PATH=/bin", "HOME=/root"), cmd=("old",), working_dir="/work", labels={"a": "1"}, exposed_ports={"1/tcp": {}}
)
SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ("CMD echo hello $HOME", "cmd", ("/bin/sh", "-c", "echo hello $HOME")),
        ('CMD ["echo", "hello $HOME"]', "cmd", ("echo", "hello $HOME")),
        ('cmd ["broken"', "cmd", ("/bin/sh", "-c", '["broken"')),
        ("CMD [1, 2]", "cmd", ("/bin/sh", "-c", "[1, 2]")),
        ("CMD []", "cmd", ()),
        ('ENTRYPOINT ["/init"]', "entrypoint", ("/init",)),
        ('ENTRYPOINT ["/init"]', "cmd", None),
        ("ENV A=1", "env", ("PATH=/bin", "HOME=/root", "A=1")),
        ("ENV PATH=$PATH:/sbin", "env", ("PATH=/bin:/sbin", "HOME=/root")),
        (
            "ENV A=\"two words\" B='$HOME' C=a\\ b D=",
            "env",
            (*(BEFORE.env or ()), "A=two words", "B=$HOME", "C=a b", "D="),
        ),
        ("ENV A the rest = of it", "env", (*(BEFORE.env or ()), "A=the rest = of it")),
        ('ENV A="${HOME}x" B="\\"q\\""', "env", (*(BEFORE.env or ()), "A=/rootx", 'B="q"')),
        (
            "EXPOSE 80 53/UDP 8000-8002",
            "exposed_ports",
            {port: {} for port in ("1/tcp", "80/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp")},
        ),
        ('LABEL a=2 b.c="x y"', "labels", {"a": "2", "b.c": "x y"}),
        ("LABEL old the form", "labels", {"a": "1", "old": "the form"}),
        ("USER 1000:1000", "user", "1000:1000"),
        ("VOLUME /a /b", "volumes", {"/a": {}, "/b": {}}),
        ('VOLUME ["/a b"]', "volumes", {"/a b": {}}),
        ("WORKDIR sub/../x", "working_dir", "/work/x"),
        ("WORKDIR /abs/", "working_dir", "/abs"),
        ("WORKDIR $HOME", "working_dir", "/root"),
        ("ONBUILD RUN make", "on_build", ("RUN make",)),
        ("STOPSIGNAL SIGUSR1", "stop_signal", "SIGUSR1"),
        ("STOPSIGNAL 9", "stop_signal", "9"),
        ("STOPSIGNAL 99", "stop_signal", "99"),
        ("STOPSIGNAL sigpoll", "stop_signal", "sigpoll"),
        ("STOPSIGNAL SIGRTMIN+3", "stop_signal", "SIGRTMIN+3"),
        ("HEALTHCHECK NONE", "healthcheck", Healthcheck(test=("NONE",))),
        ("HEALTHCHECK CMD curl -f x", "healthcheck", Healthcheck(test=("CMD-SHELL", "curl -f x"))),
        (
            'HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD ["a", "CMD"]',
            "healthcheck",
            Healthcheck(test=("CMD", "a", "CMD"), interval=90 * SECOND, timeout=SECOND // 2, retries=3),
        ),
    ],
)
def test_a_change_is_made(change: str, field: str, value: object) -> None:
    assert getattr(apply_changes(BEFORE, [change]), field) == value


def test_changes_build_on_each_other_and_may_go_over_lines() -> None:
    config = apply_changes(BEFORE, ["ENV A=1 \\\nB=$HOME", "# a remark", "ENV C=$A$B\nCMD x", "ENTRYPOINT y"])
    assert config.env == ("PATH=/bin", "HOME=/root", "A=1", "B=/root", "C=1/root")
    assert config.cmd == ("/bin/sh", "-c", "x")
    assert config.entrypoint == ("/bin/sh", "-c", "y")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("FROM scratch", "^FROM is not a valid change command$"),
        ("run make", "^run is not a valid change command$"),
        ("ENV", "requires at least one argument"),
        ("ENV A", "two arguments"),
        ("ENV A=1 B", "can't find = in 'B'"),
        ("ENV =x", "blank"),
        ("EXPOSE eighty", "Invalid containerPort: eighty"),
        ("EXPOSE 70000", "Invalid containerPort"),
        ("EXPOSE 90-80", "Invalid containerPort"),
        ('VOLUME [""]', "empty string"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD"),
        ("ONBUILD from x", "FROM isn't allowed"),
        ("STOPSIGNAL SIGNOT", "invalid signal: SIGNOT"),
        ("STOPSIGNAL 0", "invalid signal: 0"),
        ("HEALTHCHECK maybe", "unknown type 'maybe'"),
        ("HEALTHCHECK CMD", "unknown type"),
        ("HEALTHCHECK --often CMD x", "unknown flag"),
        ("HEALTHCHECK --interval=soon CMD x", "no duration"),
    ],
)
def test_what_docker_refuses_is_refused(change: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        apply_changes(BEFORE, [change])


def test_a_variable_without_a_value_stays_without_one() -> None:
    before = ContainerDefaults(env=("A=1", "N", "B=2"))
    assert apply_changes(before, ["ENV B=3 C=4"]).env == ("A=1", "N", "B=3", "C=4")
    assert apply_changes(before, ["ENV N=5"]).env == ("A=1", "N=5", "B=2")
