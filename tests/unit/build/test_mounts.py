"""RUN --mount: each kind with its fields, variables in values, and what does not go together."""

from __future__ import annotations

import pytest

from sampan.build.instructions import Mount, MountType, Position, Sharing
from sampan.build.mounts import mount_word, read_mount
from sampan.build.words import expand
from sampan.errors import InvalidArgument

HERE = Position("Dockerfile", 3, 3, 1, "RUN --mount=… x")


def read(text: str, **variables: str) -> Mount:
    return read_mount(mount_word(text, HERE), lambda value: expand(value, variables), HERE)


def test_a_mount_without_a_type_is_a_read_only_bind() -> None:
    mount = read("target=/src,source=a,from=build")
    assert (mount.type, mount.target, mount.source, mount.origin) == (MountType.BIND, "/src", "a", "build")
    assert mount.read_only
    assert not read("target=/src,rw").read_only
    assert not read("dst=/src,readonly=false").read_only
    assert read("destination=/src,readwrite=0").read_only


def test_a_cache_is_shared_and_writable_unless_told() -> None:
    mount = read("type=cache,target=/c")
    assert (mount.sharing, mount.read_only, mount.mode) == (Sharing.SHARED, False, None)
    mount = read("type=cache,target=/c,id=k,sharing=locked,mode=0700,uid=10,gid=20,ro,from=base,source=/x")
    assert (mount.id, mount.sharing, mount.mode, mount.uid, mount.gid) == ("k", Sharing.LOCKED, 0o700, 10, 20)
    assert (mount.read_only, mount.origin, mount.source) == (True, "base", "/x")


def test_a_tmpfs_has_a_size_in_bytes() -> None:
    assert read("type=tmpfs,target=/t,size=64m").size_bytes == 64 << 20
    assert read("type=tmpfs,target=/t").size_bytes == 0


def test_a_secret_is_a_file_or_a_variable() -> None:
    mount = read("type=secret,id=token,required,mode=0400")
    assert (mount.id, mount.required, mount.environment, mount.mode) == ("token", True, None, 0o400)
    assert read("type=secret,id=token,env=TOKEN").environment == "TOKEN"
    assert read("type=ssh,required=false").required is False


def test_values_may_hold_variables_and_a_comma_in_quotes() -> None:
    assert read("type=$kind,target=/${where}", kind="cache", where="x").target == "/x"
    assert read('type=bind,"target=/a,b"').target == "/a,b"


@pytest.mark.parametrize(
    ("text", "sentence", "remedy"),
    [
        ("type=bnd,target=/x", "unsupported type 'bnd'", "did you mean bind"),
        ("type=cache,target=/x,sharing=lock", "unsupported sharing 'lock'", "did you mean locked"),
        ("targt=/x", "unexpected key 'targt'", "did you mean target"),
        ("target", "has no value", "target=VALUE"),
        ("from=$base,target=/x", "takes no variables", "FROM $base AS base"),
        ("target=/x,ro=maybe", "invalid value for readonly", "true or false"),
        ("target=/x,required", "required is not allowed", "leave it out"),
        ("target=/x,size=1m", "size is not allowed", "leave it out"),
        ("target=/x,mode=0700", "mode is not allowed", "leave it out"),
        ("target=/x,sharing=locked", "sharing is not allowed", "leave it out"),
        ("type=tmpfs,target=/x,size=big", "invalid value for size", "64m"),
        ("type=cache,target=/x,mode=999", "invalid value for mode", "octal"),
        ("type=cache,target=/x,uid=root", "invalid value for uid", "not a name"),
        ("type=cache,target=/x,uid=99999999999", "invalid value for uid", "not a name"),
        ("type=secret", "needs an id", "id=NAME"),
        ("type=secret,id=a,source=b", "an id and a source", "id alone"),
        ("type=secret,id=a,from=b", "from is not allowed", "leave it out"),
        ('target="/x', "not closed", "close it"),
    ],
)
def test_what_does_not_go_together_is_refused_while_parsing(text: str, sentence: str, remedy: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        mount_word(text, HERE)
    assert refusal.value.sentence.startswith("Dockerfile:3: ")
    assert sentence in refusal.value.sentence
    assert remedy in refusal.value.remedy


def test_what_depends_on_a_variable_is_refused_once_it_is_known() -> None:
    word = mount_word("type=$kind,target=/x", HERE)
    with pytest.raises(InvalidArgument, match="unsupported type 'what'"):
        read_mount(word, lambda _value: "what", HERE)
