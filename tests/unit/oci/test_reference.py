"""Image references: Docker's grammar, short names and their normal form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import InvalidArgument
from sampan.oci.digest import digest_of
from sampan.oci.reference import Reference, parse_reference

DIGEST = str(digest_of(b"content"))


@pytest.mark.parametrize(
    ("written", "normal", "familiar"),
    [
        ("debian", "docker.io/library/debian", "debian"),
        ("debian:13", "docker.io/library/debian:13", "debian:13"),
        ("library/debian", "docker.io/library/debian", "debian"),
        ("docker.io/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/library/debian", "docker.io/library/debian", "debian"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("someone/tool", "docker.io/someone/tool", "someone/tool"),
        ("localhost/tool", "localhost/tool", "localhost/tool"),
        ("localhost:5000/tool:1", "localhost:5000/tool:1", "localhost:5000/tool:1"),
        ("example.test/a/b", "example.test/a/b", "example.test/a/b"),
        ("[::1]:5000/tool", "[::1]:5000/tool", "[::1]:5000/tool"),
        ("HOST/tool", "HOST/tool", "HOST/tool"),
        ("a__b/c.d-e--f", "docker.io/a__b/c.d-e--f", "a__b/c.d-e--f"),
        (f"debian@{DIGEST}", f"docker.io/library/debian@{DIGEST}", f"debian@{DIGEST}"),
        (f"debian:13@{DIGEST}", f"docker.io/library/debian:13@{DIGEST}", f"debian:13@{DIGEST}"),
        ("localhost:5000/a", "localhost:5000/a", "localhost:5000/a"),
        ("5000/a", "docker.io/5000/a", "5000/a"),
    ],
)
def test_a_name_has_one_normal_and_one_familiar_form(written: str, normal: str, familiar: str) -> None:
    reference = parse_reference(written)
    assert str(reference) == normal
    assert reference.familiar == familiar


@pytest.mark.parametrize(
    "written",
    [
        "",
        ":tag",
        "@sha256:00",
        "Debian",
        "a//b",
        "/a",
        "a/",
        "a/-b",
        "a_.b",
        "debian:",
        "debian:-x",
        "debian:" + "x" * 129,
        "debian@",
        "debian@sha256:short",
        f"debian@{DIGEST}@{DIGEST}",
        "debian\n",
        "debian:13\n",
        "deb ian",
        "exa_mple.test/a",
        "-host.test/a",
        "host.test:port/a",
        "host.test/" + "a" * 256,
        "../../etc/passwd",
    ],
)
def test_what_is_not_a_reference_is_refused_in_dockers_words(written: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid reference format"):
        parse_reference(written)


def test_64_hex_digits_are_an_id_and_never_a_name() -> None:
    with pytest.raises(InvalidArgument, match="cannot specify 64-byte hexadecimal strings"):
        parse_reference("0" * 64)


def test_a_name_with_upper_case_says_so() -> None:
    with pytest.raises(InvalidArgument, match=r"repository name \(library/Debian\) must be lowercase"):
        parse_reference("Debian")


def test_the_default_tag_is_given_to_names_without_tag_and_digest_only() -> None:
    assert parse_reference("debian").with_default_tag().familiar == "debian:latest"
    assert parse_reference("debian:13").with_default_tag().familiar == "debian:13"
    assert parse_reference(f"debian@{DIGEST}").with_default_tag().familiar == f"debian@{DIGEST}"


def test_a_new_tag_drops_the_digest_and_is_checked() -> None:
    assert parse_reference(f"debian@{DIGEST}").with_tag("x").familiar == "debian:x"
    with pytest.raises(InvalidArgument, match="invalid tag format"):
        parse_reference("debian").with_tag("a b")


COMPONENT = st.from_regex(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", fullmatch=True).filter(lambda text: len(text) < 40)


@given(
    domain=st.sampled_from(["docker.io", "localhost", "host.test", "host.test:5000", "[::1]:80"]),
    parts=st.lists(COMPONENT, min_size=1, max_size=4),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True) | st.just(""),
)
def test_both_forms_of_any_reference_mean_the_same(domain: str, parts: list[str], tag: str) -> None:
    path = "/".join(parts)
    path = f"library/{path}" if domain == "docker.io" and len(parts) == 1 else path
    reference = Reference(domain, path, tag)
    assert parse_reference(str(reference)) == reference
    first = reference.familiar_name.partition("/")[0]
    if domain != "docker.io" or ("." not in first and first != "localhost"):
        assert parse_reference(reference.familiar) == reference or len(reference.familiar) == 64
