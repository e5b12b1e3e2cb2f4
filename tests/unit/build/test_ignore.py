"""What .dockerignore keeps out: the reference's own examples, exceptions, and what a walk may skip."""

from __future__ import annotations

import pytest

from sampan.build.ignore import IgnoreRules, read_ignore_file
from sampan.errors import InvalidArgument


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        (["*/temp*"], "somedir/temporary.txt", True),
        (["*/temp*"], "somedir/temp", True),
        (["*/temp*"], "temp", False),
        (["*/temp*"], "a/b/temp", False),
        (["*/*/temp*"], "somedir/subdir/temporary.txt", True),
        (["temp?"], "tempa", True),
        (["temp?"], "temp", False),
        (["temp?"], "temp/x", False),
        (["**/*.go"], "a.go", True),
        (["**/*.go"], "a/b/c.go", True),
        (["**/*.go"], "a/b/c.goo", False),
        (["*.md", "!README.md"], "README.md", False),
        (["*.md", "!README.md"], "NOTES.md", True),
        (["*.md", "!README*.md", "README-secret.md"], "README-secret.md", True),
        (["*.md", "README-secret.md", "!README*.md"], "README-secret.md", False),
        (["dir"], "dir/sub/file", True),
        (["/dir/"], "dir/file", True),
        (["./dir/../dir"], "dir/file", True),
        (["dir"], "dirs", False),
        (["dir/**"], "dir/a/b", True),
        (["dir/**"], "dir", False),
        (["**"], "anything/at/all", True),
        (["**/dir"], "dir", True),
        (["**/dir"], "a/dir/file", True),
        (["**/dir"], "adir", False),
        (["**dir"], "adir", True),
        (["a/**/b"], "a/b", True),
        (["a/**/b"], "a/x/y/b", True),
        (["a/**/b"], "a/xb", False),
        (["**/a/**/b/**/c"], "x/a/y/b/b/z/c", True),
        (["**/a/**/b/**/c"], "x/a/y/c", False),
        (["a**/b"], "a/b", True),
        (["a**/b"], "axx/b", True),
        (["a**b"], "ab", True),
        (["a**b*"], "a/bc", True),
        (["build**"], "build", True),
        (["build**"], "build-2/x", True),
        (["build**"], "a/build", False),
        (["*.egg**"], "one.egg-info", True),
        (["**egg**"], "a/egg-info", True),
        (["**egg**"], "a/one-egg", False),
        (["a***b"], "axb", True),
        (["a***b"], "a/x/yb", True),
        (["****"], "a/b", True),
        (["[a-c]x"], "bx", True),
        (["[a-c]x"], "dx", False),
        (["[^a-c]x"], "dx", True),
        (["[^a-c]x"], "/x", False),
        ([r"\*"], "*", True),
        ([r"\*"], "a", False),
        ([r"a\*b*c"], "a*bxc", True),
        ([r"[\]]x"], "]x", True),
        (["a.b"], "axb", False),
        (["a+(b)|$"], "a+(b)|$", True),
        (["*", "!keep", "!dir/keep"], "keep", False),
        (["*", "!keep", "!dir/keep"], "dir/keep", False),
        (["*", "!keep", "!dir/keep"], "dir/other", True),
        (["**", "!**/*.py"], "a/b/c.py", False),
        (["a"], "a//b", True),
        (["a/b", "!a"], "a/b", True),
        (["a", "!a/b"], "a/b/c", False),
        (["*a*a*a"], "banana", True),
        (["*a*b*c"], "xaxbxcx", False),
        (["été*"], "été-1", True),
    ],
)
def test_the_last_matching_pattern_decides(patterns: list[str], path: str, *, excluded: bool) -> None:
    assert IgnoreRules(patterns).excludes(path) is excluded


def test_an_ignore_file_has_comments_empty_lines_and_slashes_in_front() -> None:
    rules = read_ignore_file(b"\xef\xbb\xbf# a comment\r\n\r\n  /build/  \r\n! build/keep\n #not-a-comment\n")
    assert rules.excludes("build/x")
    assert not rules.excludes("build/keep")
    assert rules.excludes("#not-a-comment")
    assert not rules.excludes("# a comment")


@pytest.mark.parametrize("pattern", ["!", "[", "[a", "[]", "a[z-a]", "x\\", "[a-]", "a**b**c**d**e"])
def test_a_pattern_that_is_none_is_refused_with_a_remedy(pattern: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        IgnoreRules([pattern])
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("patterns", "directory", "skipped"),
    [
        (["node_modules"], "node_modules", True),
        (["node_modules"], "src", False),
        (["*", "!src"], "src", False),
        (["*", "!src"], "docs", True),
        (["*", "!src/main/*.c"], "src", False),
        (["*", "!src/main/*.c"], "src/main", False),
        (["*", "!src/main/*.c"], "src/test", True),
        (["*", "!s*/main"], "src", False),
        (["*", "!s*/main"], "docs", True),
        (["*", "!**/x"], "docs", False),
    ],
)
def test_a_directory_is_skipped_when_nothing_below_it_is_kept(
    patterns: list[str], directory: str, *, skipped: bool
) -> None:
    assert IgnoreRules(patterns).skips(directory) is skipped


@pytest.mark.parametrize("kept", ["!a[b/]c", "![x/y]z", "!a\\/b"])
def test_where_brackets_hold_a_slash_nothing_is_skipped(kept: str) -> None:
    rules = IgnoreRules(["*", kept])
    assert rules.excludes("a")
    assert not rules.skips("a")


def test_the_dockerfile_is_kept_whatever_the_rules_say() -> None:
    rules = IgnoreRules(["*", "**/*"]).with_kept(["Dockerfile", "weird[name]*"])
    assert not rules.excludes("Dockerfile")
    assert not rules.excludes("weird[name]*")
    assert rules.excludes("weirdn-else")


def test_a_pattern_of_many_stars_costs_no_more_than_another() -> None:
    rules = IgnoreRules(["/".join(["*a*a*a*a*a*a*b"] * 8), "**/" + "a/**/" * 12 + "b", "*a" * 30 + "b"])
    assert not rules.excludes("/".join(["a" * 120] * 30))
    assert not rules.excludes("/".join(["a"] * 1000))
