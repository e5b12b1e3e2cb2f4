"""Secrets and configs without a swarm."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess

import sampan
from sampan.client.failure import ConflictError

CONTENT = b"correct horse battery staple"


def create(
    engine: EngineProcess, kind: str, name: str, content: bytes = CONTENT, expect: int = 201, **more: Any
) -> Any:
    body = {"Name": name, "Data": base64.b64encode(content).decode(), **more}
    return engine.json("POST", f"/{kind}s/create", body, expect=expect)


def run(engine: EngineProcess, name: str, script: str, **host: Any) -> list[str]:
    engine.run(name, "sh", "-c", script, host=host)
    assert engine.wait(name) == 0, engine.output(name)
    found: list[str] = engine.output(name)
    return found


@pytest.mark.parametrize("kind", ["secret", "config"])
def test_it_is_kept_shown_labelled_and_removed(engine: EngineProcess, kind: str) -> None:
    made = create(engine, kind, f"a-{kind}", Labels={"a": "b"})["ID"]
    shown = engine.json("GET", f"/{kind}s/a-{kind}")
    assert shown == engine.json("GET", f"/{kind}s/{made}") == engine.json("GET", f"/{kind}s/{made[:6]}")
    assert shown["Spec"]["Labels"] == {"a": "b"}
    assert shown["Version"] == {"Index": 1}
    assert ("Data" in shown["Spec"]) is (kind == "config")
    assert engine.json("GET", f'/{kind}s?filters={{"label":["a=b"],"name":["a-"]}}') == [shown]
    assert engine.json("GET", f'/{kind}s?filters={{"label":["a=c"]}}') == []
    engine.json("POST", f"/{kind}s/{made}/update?version=1", {"Name": f"a-{kind}", "Labels": {"c": "d"}}, expect=200)
    engine.json("POST", f"/{kind}s/{made}/update?version=1", {"Labels": {}}, expect=400)
    assert engine.json("GET", f"/{kind}s/{made}")["Spec"]["Labels"] == {"c": "d"}
    assert "already exists" in create(engine, kind, f"a-{kind}", expect=409)["message"]
    engine.json("DELETE", f"/{kind}s/a-{kind}", expect=204)
    assert f"{kind} {made} not found" in engine.json("GET", f"/{kind}s/{made}", expect=404)["message"]


def test_the_client_keeps_secrets_and_configs(engine: EngineProcess) -> None:
    with sampan.connect(f"unix://{engine.socket}") as client:
        for collection in (client.secrets, client.configs):
            made = collection.create(name="typed", data=CONTENT, labels={"a": "b"})
            assert collection.get("typed") == made
            assert collection.list({"label": "a=b"}) == [made]
            with pytest.raises(ConflictError):
                collection.create(name="typed", data=CONTENT)
            made.remove()
            assert collection.list() == []


@pytest.mark.parametrize(
    ("name", "content"),
    [("", b"x"), ("-x", b"x"), ("a/b", b"x"), ("x" * 65, b"x"), ("empty", b""), ("big", b"x" * 600_000)],
)
def test_a_secret_that_cannot_be_is_refused(engine: EngineProcess, name: str, content: bytes) -> None:
    create(engine, "secret", name, content, expect=400)
    assert engine.json("GET", "/secrets") == []


def test_a_secret_is_a_file_in_memory_with_mode_and_owner(engine: EngineProcess) -> None:
    create(engine, "secret", "password")
    create(engine, "config", "settings", b"colour=blue\n")
    secrets = [{"Source": "password"}, {"Source": "password", "Target": "/opt/pw", "UID": 12, "GID": 34, "Mode": 0o440}]
    configs = [{"Source": "settings"}, {"Source": "settings", "Target": "relative.conf"}]
    script = (
        "cat /run/secrets/password; echo; stat -c '%n %a %u:%g' /run/secrets/password /opt/pw; cat /settings;"
        "cat /relative.conf; grep /opt/pw /proc/self/mountinfo | sed 's/.* - //; s/ .*//';"
        "touch /opt/pw 2>/dev/null || echo read-only"
    )
    assert run(engine, "reader", script, Secrets=secrets, Configs=configs) == [
        CONTENT.decode(),
        "/run/secrets/password 444 0:0",
        "/opt/pw 440 12:34",
        "colour=blue",
        "colour=blue",
        "ramfs",
        "read-only",
    ]
    shown = engine.inspect("reader")
    assert [secret["Source"] for secret in shown["HostConfig"]["Secrets"]] == ["password", "password"]
    assert shown["HostConfig"]["Secrets"][1] == secrets[1]
    assert shown["Mounts"] == []
    answer = engine.json("DELETE", "/secrets/password", expect=409)
    assert answer["message"] == "secret 'password' is in use by the following containers: reader"
    engine.json("DELETE", "/containers/reader", expect=204)
    engine.json("DELETE", "/secrets/password", expect=204)
    engine.json("DELETE", "/configs/settings", expect=204)


def test_what_is_in_a_secret_is_nowhere_but_in_its_file_and_in_the_container(engine: EngineProcess) -> None:
    content = b"nobody-shall-see-this"
    create(engine, "secret", "hidden", content)
    engine.run("holder", "sleep", "1000", host={"Secrets": [{"Source": "hidden"}]})
    documents = (
        engine.inspect("holder"),
        engine.json("GET", "/secrets"),
        engine.json("GET", "/containers/json"),
        engine.json("GET", "/containers/holder/changes"),
    )
    encoded = base64.b64encode(content).decode()
    for text in (json.dumps(documents), engine.log.read_text()):
        assert content.decode() not in text
        assert encoded not in text
    holding = []
    for root in (engine.data_root, engine.exec_root):
        for path in Path(root).rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                if content in data or encoded.encode() in data:
                    holding.append(path)
    assert [path.parent for path in holding] == [Path(engine.data_root, "secrets")]
    assert holding[0].stat().st_mode & 0o777 == 0o600
    assert holding[0].parent.stat().st_mode & 0o777 == 0o700
    assert str(engine.data_root) + "/secrets" not in Path("/proc/self/mountinfo").read_text()
    engine.json("DELETE", "/containers/holder?force=1", expect=204)
    engine.json("DELETE", "/secrets/hidden", expect=204)
    assert not holding[0].exists()


def test_secrets_survive_the_daemon_and_are_mounted_at_every_start(engine: EngineProcess) -> None:
    create(engine, "secret", "lasting")
    engine.create("again", "cat", "/run/secrets/lasting", host={"Secrets": [{"Source": "lasting"}]})
    Path(engine.data_root, "secrets", "stray").write_text("of a create that was cut off")
    engine.kill()
    engine.start()
    assert not Path(engine.data_root, "secrets", "stray").exists()
    for _ in range(2):
        engine.json("POST", "/containers/again/start", expect=204)
        assert engine.wait("again") == 0
    assert engine.output("again") == [CONTENT.decode()] * 2
    engine.json("DELETE", "/containers/again", expect=204)
    engine.json("DELETE", "/secrets/lasting", expect=204)


@pytest.mark.parametrize(
    ("mount", "status", "words"),
    [
        ({"Source": "nothing"}, 404, "secret nothing not found"),
        ({"Source": "here", "Mode": 0o20000}, 400, "invalid mode or owner"),
        ({"Source": "here", "UID": -5}, 400, "invalid mode or owner"),
        ({"Source": "here", "Target": "/"}, 400, "destination can't be '/'"),
    ],
)
def test_a_secret_that_cannot_be_mounted_is_refused(
    engine: EngineProcess, mount: dict[str, Any], status: int, words: str
) -> None:
    create(engine, "secret", "here")
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "Secrets": [mount]}}
    assert words in engine.json("POST", "/containers/create", body, expect=status)["message"]
    engine.json("DELETE", "/secrets/here", expect=204)
