"""What instructions make of an image's configuration, where the builder is not needed to see it."""

from __future__ import annotations

import pytest

from sampan.build.configuring import configure
from sampan.build.parser import parse, parse_trigger
from sampan.build.scopes import global_scope
from sampan.errors import InvalidArgument
from sampan.oci.image_spec import ContainerDefaults


def configured(text: str) -> ContainerDefaults:
    scope = global_scope(parse(b"FROM a\n", name="Dockerfile"), {}, {}).stage({})
    return configure(parse_trigger(text, name="Dockerfile"), ContainerDefaults(), scope, command_set=False).defaults


@pytest.mark.parametrize("name", ["SIGTERM", "usr1", "9", "99", "-1", "SIGCLD", "SIGRTMIN", "RTMIN+15", "sigrtmax-14"])
def test_a_signal_is_kept_as_it_is_written(name: str) -> None:
    assert configured(f"STOPSIGNAL {name}").stop_signal == name


@pytest.mark.parametrize("name", ["SIGFOO", "0", "-0", "1.5", "RTMIN+16", "RTMIN+0", "SIGRTMAX-15", "٩"])
def test_what_is_no_signal_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid signal"):
        configured(f"STOPSIGNAL {name}")


def test_ports_of_the_host_mean_nothing_to_an_image() -> None:
    assert configured("EXPOSE 127.0.0.1:8080:80/udp 443").exposed_ports == {"80/udp": {}, "443/tcp": {}}
