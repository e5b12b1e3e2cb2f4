from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sampan.daemon.options import HELP, Options, parse
from sampan.errors import InvalidArgument
from sampan.image.registry_http import RegistrySettings

REPEATED = {
    "default-address-pools": "default-address-pool",
    "hosts": "host",
    "insecure-registries": "insecure-registry",
    "log-opts": "log-opt",
    "plugin-dirs": "plugin-dir",
    "registry-ca-files": "registry-ca-file",
    "registry-mirrors": "registry-mirror",
}
SETTINGS = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_every_setting_is_documented_and_in_the_help() -> None:
    text = SETTINGS.read_text()
    for field in dataclasses.fields(Options):
        name = field.name.replace("_", "-")
        assert f"`{name}`" in text, name
        assert f"--{REPEATED.get(name, name)} " in HELP, name


def test_nothing_need_be_said() -> None:
    options = parse([])
    assert options.sockets == ("unix:///run/sampan/sampan.sock",)
    assert options.pid_path == "/run/sampan/sampand.pid"


def test_dockerd_s_words_say_where_it_lives() -> None:
    words = ["--data-root", "/d", "--exec-root=/e", "-H", "unix:///a", "-H=unix:///b", "-G", "wheel", "-D"]
    options = parse(words)
    assert (options.data_root, options.exec_root, options.group, options.debug) == ("/d", "/e", "wheel", True)
    assert options.sockets == ("unix:///a", "unix:///b")
    assert parse(["--log-opt", "max-size=1m", "--log-opt=max-file=2"]).log_opts == {"max-size": "1m", "max-file": "2"}


def test_registries_are_said_in_the_file_and_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('registry-mirrors = ["https://m.example"]\ninsecure-registries = ["10.0.0.0/8"]\n')
    options = parse(["--config-file", str(file), "--registry-ca-file=/a", "--registry-ca-file", "/b"])
    assert options.registry_mirrors == ("https://m.example",)
    assert options.insecure_registries == ("10.0.0.0/8",)
    assert options.registry_ca_files == ("/a", "/b")
    assert parse(["--insecure-registry", "r:5000"]).insecure_registries == ("r:5000",)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (RegistrySettings(mirrors=("m.example",)), "invalid mirror 'm.example'"),
        (RegistrySettings(mirrors=("https://m.example/a/path",)), "invalid mirror"),
        (RegistrySettings(insecure=("http://r.example",)), "neither a host nor a network"),
        (RegistrySettings(insecure=("10.0.0.0/99",)), "neither a host nor a network"),
        (RegistrySettings(ca_files=("/no/such/file",)), "/no/such/file"),
        (RegistrySettings(ca_files=("/etc/passwd",)), "/etc/passwd"),
    ],
)
def test_registries_that_cannot_be_are_refused(settings: RegistrySettings, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        settings.check()


def test_registries_that_can_be_are_taken() -> None:
    RegistrySettings(("https://m.example:5000/", "http://n.example"), ("r.example:5000", "10.1.0.0/16", "h")).check()


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('data-root = "/of/the/file"\nhosts = ["unix:///f"]\ndebug = true\n')
    options = parse(["--config-file", str(file), "--debug=false"])
    assert (options.data_root, options.hosts, options.debug) == ("/of/the/file", ("unix:///f",), False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--wings"], "unknown flag: --wings"),
        (["--data-root"], "flag needs an argument: --data-root"),
        (["--debug=perhaps"], 'invalid argument "perhaps"'),
        (["--config-file", "/no/such/file"], "there is no settings file /no/such/file"),
        (["wings"], "sampand takes no argument: 'wings'"),
        (["--mtu", "wide"], 'invalid argument "wide" for "--mtu" flag'),
        (["--plugin-timeout", "0"], "invalid plugin timeout 0"),
        (["--cgroup-parent", "/a/../../b"], "invalid cgroup parent '/a/../../b'"),
    ],
)
def test_words_that_are_none_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        parse(words)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("wings = 2", "has wings, and there is no such setting"),
        ('config-file = "/x"', "has config-file, and there is no such setting"),
        ('debug = "yes"', "has debug = 'yes', which is not true or false"),
        ("data-root = [1]", r"has data-root = \[1\], which is not a text in quotes"),
        ('hosts = "unix:///a"', "has hosts = 'unix:///a', which is not a list of texts"),
        ("[log-opts]\nmax-file = 3", r"has log-opts = {'max-file': 3}, which is not a table of its own with texts"),
        (
            'default-address-pools = [{base = "10.0.0.0/8"}]',
            r"has default-address-pools = .*, which is not a list of texts",
        ),
        ("mtu = true", "has mtu = True, which is not a whole number"),
        ("= nothing", "is no TOML: "),
    ],
)
def test_a_file_with_what_is_no_setting_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "config.toml").write_text(content)
    with pytest.raises(InvalidArgument, match=rf"config\.toml {said}"):
        parse(["--config-file", str(tmp_path / "config.toml")])


def test_roots_are_where_the_command_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = parse(["--data-root", "data", "--exec-root=run"])
    assert (options.data_root, options.exec_root) == (str(tmp_path / "data"), str(tmp_path / "run"))
