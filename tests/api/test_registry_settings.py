"""Settings of registries: shown by /info, and where they cannot be the daemon does not come up and says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine_process import EngineProcess


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--registry-mirror", "mirror.example"),
        ("--insecure-registry", "10.0.0.0/99"),
        ("--registry-ca-file", "/no/such/authority.pem"),
    ],
)
def test_settings_of_registries_that_cannot_be_are_refused_at_the_start(
    tmp_path: Path, option: str, value: str
) -> None:
    with pytest.raises(RuntimeError, match=value):
        EngineProcess(tmp_path, option, value).start()


def test_info_shows_the_settings_of_registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "internal.example")
    words = ("--registry-mirror", "https://mirror.example", "--insecure-registry", "old.example:5000")
    with EngineProcess(tmp_path, *words, "--insecure-registry", "10.0.0.0/8") as engine:
        info = engine.json("GET", "/info")
    found = info["RegistryConfig"]
    assert found["Mirrors"] == found["IndexConfigs"]["docker.io"]["Mirrors"] == ["https://mirror.example"]
    assert found["IndexConfigs"]["old.example:5000"]["Secure"] is False
    assert found["InsecureRegistryCIDRs"] == ["10.0.0.0/8", "127.0.0.0/8"]
    assert (info["HttpsProxy"], info["NoProxy"]) == ("http://xxxxx:xxxxx@proxy.example:3128", "internal.example")


def test_who_wants_buildkit_for_a_build_and_cannot_have_it_is_told_what_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # so that nobody outside is asked
    with EngineProcess(tmp_path) as engine:
        for name, is_buildkit in (("moby/buildkit:buildx-stable-1", True), ("moby/other:1", False)):
            answer = engine.json("POST", f"/images/create?fromImage={name}", expect=503)
            assert answer["message"].startswith("cannot reach")
            assert ("docker buildx use default" in answer["message"]) == is_buildkit
