"""What the options of `dockerfile.v0` ask for."""

from __future__ import annotations

import pytest

from sampan.build.steps import StepLimits, Ulimit
from sampan.buildkit.frontend import image_of, named_contexts, places_of, request_of
from sampan.errors import Forbidden, InvalidArgument, NotImplementedHere


@pytest.mark.parametrize("text", ["nofile=1:2\nx", "x" * 200_000])
def test_a_list_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"invalid (ulimit|add-hosts)"):
        request_of({"add-hosts": text, "ulimit": text}, [])


def test_options_become_a_request() -> None:
    options = {
        "filename": "Dockerfile",
        "target": "app",
        "platform": "linux/amd64",
        "build-arg:VERSION": "1=2",
        "build-arg:BUILDKIT_SYNTAX": "docker/dockerfile:1",
        "label:a.b": "c,d",
        "image-resolve-mode": "pull",
        "no-cache": "One,two",
        "shm-size": "1024",
        "ulimit": "nofile=10:20,nproc=5",
        "add-hosts": "far=10.1.2.3,six=fe80::1",
        "force-network-mode": "none",
        "cgroup-parent": "/x",
        "cache-imports": '[{"Type":"registry","Attrs":{"ref":"r.test/c:1"}},{"Type":"local","Attrs":{"src":"d"}}]',
        "cache-from": "old:1,old:2",
    }
    request = request_of(options, [{"ref": "given:1"}])
    assert (request.target, request.platform, request.pull, request.no_cache) == ("app", "linux/amd64", True, False)
    assert request.no_cache_stages == ("one", "two")
    assert (request.build_args, request.labels) == ({"VERSION": "1=2"}, {"a.b": "c,d"})
    assert request.cache_from == ("r.test/c:1", "given:1", "old:1", "old:2")
    assert request.limits == StepLimits(
        shm_size_bytes=1024,
        cgroup_parent="/x",
        ulimits=(Ulimit("nofile", 10, 20), Ulimit("nproc", 5, 5)),
        extra_hosts=("far:10.1.2.3", "six:fe80::1"),
        network="none",
    )


def test_what_an_image_was_made_of_counts_beside_the_engines_own_cache() -> None:
    assert not request_of({"cache-from": "old:1"}, []).cache_alone


def test_the_machines_network_is_a_right_that_is_given_and_others_are_refused() -> None:
    assert request_of({}, [], ["network.host"]).host_network
    assert not request_of({}, []).host_network
    with pytest.raises(Forbidden, match="granting entitlement security"):
        request_of({}, [], ["network.host", "security.insecure"])


def test_a_proxy_is_given_by_both_of_its_names_unless_both_were_said() -> None:
    given = {"build-arg:HTTP_PROXY": "a", "build-arg:no_proxy": "b", "build-arg:NO_PROXY": "c", "build-arg:Other": "d"}
    assert request_of(given, []).build_args == {
        "HTTP_PROXY": "a",
        "http_proxy": "a",
        "no_proxy": "b",
        "NO_PROXY": "c",
        "Other": "d",
    }


def test_no_cache_without_a_name_is_for_all_stages() -> None:
    assert request_of({"no-cache": ""}, []).no_cache
    assert not request_of({}, []).no_cache


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"platform": "linux/amd64,linux/arm64"}, NotImplementedHere, "one platform"),
        ({"platform": "plan9/amd64"}, InvalidArgument, "plan9"),
        ({"image-resolve-mode": "never"}, InvalidArgument, "image-resolve-mode"),
        ({"force-network-mode": "bridge"}, InvalidArgument, "force-network-mode"),
        ({"shm-size": "much"}, InvalidArgument, "shm-size"),
        ({"ulimit": "nofile"}, InvalidArgument, "ulimit"),
        ({"cache-imports": "{"}, InvalidArgument, "cache-imports"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, str], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        request_of(options, [])


def test_files_are_in_directories_that_have_names_or_at_an_address() -> None:
    places = places_of({})
    assert (places.filename, places.context, places.dockerfile, places.remote) == (
        "Dockerfile",
        "context",
        "dockerfile",
        "",
    )
    assert not places.is_dockerfile_local
    places = places_of(
        {"contextkey": "c1", "dockerfilekey": "d1", "c1": "https://h.test/r.git", "local-sessionid:d1": "other"}
    )
    assert (places.context, places.dockerfile, places.remote) == ("c1", "d1", "https://h.test/r.git")
    assert places.is_dockerfile_local
    assert places.sessions == {"d1": "other"}


def test_named_contexts_are_known_by_their_names_alone() -> None:
    found = named_contexts({"context:Base::linux/amd64": "docker-image://busybox", "context:more": "local:more"})
    assert found == {"base": "docker-image://busybox", "more": "local:more"}
    assert [image_of(place) for place in found.values()] == ["busybox", ""]
