"""What instructions make of an image's configuration, where the builder is not needed to see it."""

from __future__ import annotations

import pytest

from sampan.build.configuring import configure
from sampan.build.parser import parse, parse_trigger
from sampan.build.scopes import global_scope
from sampan.errors import InvalidArgument
from sampan.oci.image_spec import ContainerDefaults


def configured(text: str, base: ContainerDefaults | None = None) -> ContainerDefaults:
    scope = global_scope(parse(b"FROM a\n", name="Dockerfile"), {}, {}).stage({})
    before = base or ContainerDefaults()
    return configure(parse_trigger(text, name="Dockerfile"), before, scope, command_set=True).defaults


@pytest.mark.parametrize("name", ["SIGTERM", "usr1", "9", "99", "-1", "SIGCLD", "SIGRTMIN", "RTMIN+15", "sigrtmax-14"])
def test_a_signal_is_kept_as_it_is_written(name: str) -> None:
    assert configured(f"STOPSIGNAL {name}").stop_signal == name


@pytest.mark.parametrize("name", ["SIGFOO", "0", "-0", "1.5", "RTMIN+16", "RTMIN+0", "SIGRTMAX-15", "٩"])
def test_what_is_no_signal_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid signal"):
        configured(f"STOPSIGNAL {name}")


def test_ports_of_the_host_mean_nothing_to_an_image() -> None:
    assert configured("EXPOSE 127.0.0.1:8080:80/udp 443").exposed_ports == {"80/udp": {}, "443/tcp": {}}


@pytest.mark.parametrize("text", ['LABEL ""=b', "LABEL $NOTHING=b", "LABEL '' b"])
def test_a_labels_name_may_come_to_nothing(text: str) -> None:
    assert configured(text).labels == {"": "b"}


@pytest.mark.parametrize("text", ["LABEL =b", 'ENV ""=b', "ENV $NOTHING=b"])
def test_a_name_that_is_not_there_is_refused_and_a_variables_may_not_come_to_nothing(text: str) -> None:
    with pytest.raises(InvalidArgument, match="names can not be blank"):
        configured(text)


def test_a_command_of_nothing_is_the_shell_and_an_entry_point_of_nothing_is_none() -> None:
    base = ContainerDefaults(cmd=("a",), entrypoint=("b",))
    assert configured("CMD", base).cmd == ("/bin/sh", "-c")
    assert configured("CMD []", base).cmd is None
    assert configured("ENTRYPOINT", base) == ContainerDefaults(cmd=("a",))
    assert configured("ENTRYPOINT []", base) == ContainerDefaults(cmd=("a",))
