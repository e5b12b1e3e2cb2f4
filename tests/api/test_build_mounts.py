"""RUN --mount: what a command sees for its own time, and what stays of it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
from pathlib import Path

import pytest
from tests.building import build, context_of, layers_of, post_build
from tests.engine_process import EngineProcess

pytestmark = pytest.mark.usefixtures("busybox")


def test_a_cache_keeps_what_one_build_wrote_for_the_next(engine: EngineProcess) -> None:
    mount = "--mount=type=cache,target=/cache/kept"
    dockerfile = f"FROM busybox\nARG N\nRUN {mount} echo $N >> /cache/kept/all; cat /cache/kept/all\n"
    build(engine, {"Dockerfile": dockerfile}, buildargs={"N": "first"})
    told = build(engine, {"Dockerfile": dockerfile}, buildargs={"N": "second"})
    assert "first\nsecond\n" in told.text
    assert len(layers_of(engine, told.image_id)) == 1  # the base's


def test_a_build_argument_keeps_the_caches_of_builds_apart(engine: EngineProcess) -> None:
    script = "RUN --mount=type=cache,target=/cache/apart echo $N >> /cache/apart/all; cat /cache/apart/all\n"
    files = {"Dockerfile": f"FROM busybox\nENV N=said\n{script}"}
    assert build(engine, files).text.count("said\n") == 2  # and once in the step
    apart = build(engine, files, buildargs={"BUILDKIT_CACHE_MOUNT_NS": "other"})
    assert apart.text.count("said\n") == 2
    assert apart.cached() == [True, False]
    assert build(engine, files, buildargs={"BUILDKIT_CACHE_MOUNT_NS": "other"}).cached() == [True, True]


def test_a_cache_has_the_owner_and_mode_that_were_asked_for(engine: EngineProcess) -> None:
    mount = "--mount=type=cache,id=owned,target=/c,uid=7,gid=8,mode=0700"
    told = build(engine, {"Dockerfile": f"FROM busybox\nRUN {mount} stat -c '%u %g %a' /c\n"})
    assert "7 8 700\n" in told.text


def test_a_cache_begins_with_what_a_stage_has(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox AS seed
RUN mkdir -p /s/in && echo seeded > /s/in/f
FROM busybox
RUN --mount=type=cache,id=seeded,target=/c,from=seed,source=/s/in cat /c/f
"""
    assert "seeded\n" in build(engine, {"Dockerfile": dockerfile}).text


@pytest.mark.parametrize("source", ["../../..", "a/../../../b"])
def test_the_source_of_a_cache_does_not_lead_up(engine: EngineProcess, source: str) -> None:
    told = build(engine, {"Dockerfile": f"FROM busybox\nRUN --mount=type=cache,target=/c,source={source} ls /c\n"})
    assert "leads out" in told.error["message"]


@pytest.mark.parametrize("origin", ["empty-image", "stage"])
def test_what_has_no_layers_is_bound_as_an_empty_folder(engine: EngineProcess, origin: str) -> None:
    build(engine, {"Dockerfile": "FROM scratch\nENV A=b\n"}, t="empty-image")
    dockerfile = f"""FROM scratch AS stage
FROM busybox
RUN --mount=from={origin},target=/in ls -A /in | wc -l; touch /in/new || echo read-only
"""
    told = build(engine, {"Dockerfile": dockerfile})
    assert not told.error, told.error
    assert "0\n" in told.text
    assert "read-only\n" in told.text


def test_the_context_is_bound_and_cannot_be_written(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox\nRUN --mount=target=/in,source=d cat /in/f && ! touch /in/new\n"
    told = build(engine, {"Dockerfile": dockerfile, "d/f": "from the context\n"})
    assert "from the context\n" in told.text
    assert len(layers_of(engine, told.image_id)) == 1  # the base's


def test_what_is_written_into_a_bind_is_gone_with_the_command(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox
RUN --mount=target=/in,rw echo changed > /in/f && rm /in/g && cat /in/f
RUN --mount=target=/in,rw cat /in/f /in/g
COPY f /f
"""
    told = build(engine, {"Dockerfile": dockerfile, "f": "as it was\n", "g": "there\n"})
    assert "changed\n" in told.text
    assert "as it was\nthere\n" in told.text
    assert layers_of(engine, told.image_id)[-1]["f"].size == len("as it was\n")


def test_a_single_file_is_bound(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox\nRUN --mount=source=f,target=/place/f cat /place/f\nRUN ! test -e /place\n"
    assert "one file\n" in build(engine, {"Dockerfile": dockerfile, "f": "one file\n"}).text


def test_a_stage_is_bound_with_all_of_its_layers(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox AS made
RUN mkdir /m && echo 1 > /m/one && echo gone > /m/gone
RUN echo 2 > /m/two && rm /m/gone
FROM busybox
RUN --mount=from=made,source=/m,target=/m ls /m && cat /m/one /m/two
RUN --mount=from=made,source=/m/two,target=/file cat /file
RUN --mount=from=made,source=/m,target=/m,rw touch /m/three && ls /m
"""
    told = build(engine, {"Dockerfile": dockerfile})
    assert "one\ntwo\n1\n2\n" in told.text
    assert "one\nthree\ntwo\n" in told.text
    assert len(layers_of(engine, told.image_id)) == 1  # the base's


def test_a_changed_source_is_no_cache_hit_and_an_unchanged_one_is(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox\nRUN --mount=target=/in cat /in/f > /copy\n"
    first = build(engine, {"Dockerfile": dockerfile, "f": "1"})
    again = post_build(engine, context_of({"Dockerfile": dockerfile, "f": "1"}, mtime=1_700_000_000))
    other = build(engine, {"Dockerfile": dockerfile, "f": "2"})
    assert again.cached() == [True]
    assert again.image_id == first.image_id
    assert other.cached() == [False]


def test_a_tmpfs_is_empty_and_has_its_size(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox\nRUN --mount=type=tmpfs,target=/bin2,size=1m df -k /bin2 | tail -1; touch /bin2/x\n"
    told = build(engine, {"Dockerfile": dockerfile})
    assert " 1024 " in told.text
    assert len(layers_of(engine, told.image_id)) == 1  # the base's


def test_a_tmpfs_is_for_whoever_the_command_runs_as(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox\nUSER 1000\nRUN --mount=type=tmpfs,target=/own touch /own/x && stat -c %a /own\n"
    told = build(engine, {"Dockerfile": dockerfile}, nocache="1")
    assert "\n1777\n" in told.text


def test_a_secret_is_seen_by_its_command_alone_and_nowhere_on_disk(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox
RUN --mount=type=secret,id=word sed 's/^/seen /' /run/secrets/word && stat -c %a /run/secrets/word
RUN --mount=type=secret,id=word,env=WORD echo "env $WORD"
RUN ! test -e /run/secrets
RUN --mount=type=secret,id=absent ! test -e /run/secrets/absent
"""
    words = {"word": base64.b64encode(b"abracadabra-3141\n").decode()}
    header = {"X-Sampan-Secrets": base64.b64encode(json.dumps(words).encode()).decode()}
    told = post_build(engine, context_of({"Dockerfile": dockerfile}), header)
    assert "seen abracadabra-3141\n" in told.text
    assert "env abracadabra-3141\n" in told.text
    assert "\n400\n" in told.text
    left = []
    for root in (engine.data_root, engine.exec_root):
        for path in Path(root).rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # of a step that is being cleared away
                if path.is_file() and not path.is_symlink() and b"abracadabra" in path.read_bytes():
                    left.append(path)
    assert left == []


def test_a_required_secret_that_is_not_given_is_refused(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=x,required true\n"})
    assert told.error["message"] == "secret x: not found"


def test_an_ssh_agent_is_reached_by_its_socket(engine: EngineProcess, tmp_path: Path) -> None:
    place = f"/tmp/sampan-test-agent-{os.getpid()}.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    try:
        dockerfile = """FROM busybox
RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK $(stat -c '%u %g %a' $SSH_AUTH_SOCK)
RUN --mount=type=ssh,target=/s,uid=100,gid=102,mode=0741 echo asked for $(stat -c '%u %g %a' /s)
"""
        told = post_build(engine, context_of({"Dockerfile": dockerfile}), ssh=f"default={place}")
        assert "/run/buildkit/ssh_agent.0 0 0 600\n" in told.text
        assert "asked for 100 102 741\n" in told.text
    finally:
        listener.close()
        os.unlink(place)


def test_a_step_can_be_without_network_and_not_with_the_machines_own(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN --network=none ip -o link | wc -l\n"})
    assert "\n1\n" in told.text
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN --network=host true\n"})
    assert "network.host is not allowed" in told.error["message"]


def test_more_rights_than_a_container_has_are_refused(engine: EngineProcess) -> None:
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN --security=insecure true\n"})
    assert "security.insecure is not allowed" in told.error["message"]


@pytest.mark.parametrize("kind", ["tmpfs", "cache"])
def test_a_target_that_no_path_can_be_is_refused_by_its_name(engine: EngineProcess, kind: str) -> None:
    target = f"/{'a' * 300}"
    told = build(engine, {"Dockerfile": f"FROM busybox\nRUN --mount=type={kind},target={target} true\n"})
    assert told.error["message"].endswith(f"file name too long: {target[1:]}")
    assert "/layers/" not in told.error["message"]
    assert told.error["remedy"] == "a name has at most 255 bytes, a path 4095"
