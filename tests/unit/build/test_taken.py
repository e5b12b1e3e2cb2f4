"""What steps take from the context, as far as a Dockerfile says it."""

from __future__ import annotations

import pytest

from sampan.build.builder import plan_dockerfile
from sampan.build.request import BuildRequest
from sampan.build.taken import taken_from_context


def taken(dockerfile: str, target: str = "", *, triggers: bool = False) -> tuple[str, ...] | None:
    planned = plan_dockerfile(BuildRequest(target=target), dockerfile.encode(), None)
    return taken_from_context(planned.graph, lambda _: triggers)


@pytest.mark.parametrize(
    ("steps", "paths"),
    [
        ("RUN true", ()),
        ("COPY a b/ /c/./d *.txt /to/", ("*.txt", "a", "b", "c/d")),
        ("COPY ../up /", ("up",)),
        ('COPY ["one", "two words", "/"]', ("one", "two words")),
        ("ADD archive.tar https://h.test/f git@h.test:r.git /", ("archive.tar",)),
        ("COPY <<EOF /f\ntext\nEOF", ()),
        ("RUN --mount=type=bind,source=src,target=/src true", ("src",)),
        ("RUN --mount=type=cache,target=/c --mount=type=secret,id=s --mount=type=tmpfs,target=/t true", ()),
        ("COPY --from=busybox /bin /bin", ()),
        ("RUN --mount=from=busybox,target=/b true", ()),
        ("COPY --parents a/./b/c /", ("a/b/c",)),
        ("ONBUILD COPY a /\nONBUILD RUN --mount=source=b,target=/b true\nONBUILD COPY --from=busybox c /", ("a", "b")),
        ("ONBUILD COPY . /", None),
        ("COPY . /", None),
        ("COPY a ./ /", None),
        ("COPY a/.. /", None),
        ("ADD / /x", None),
        ("RUN --mount=target=/src true", None),
        ("ARG X=a\nCOPY $X /", None),
        ("ARG X=a\nRUN --mount=source=${X},target=/x true", None),
        (r"COPY a\ b /", None),
        ('COPY "a" /', None),
        ("ARG U=1\nRUN --mount=type=secret,id=s,uid=$U true", None),
        ("ARG T=cache\nRUN --mount=type=$T,target=/c true", None),
    ],
)
def test_paths_are_known_unless_any_may_be_meant(steps: str, paths: tuple[str, ...] | None) -> None:
    assert taken(f"# syntax=docker/dockerfile:1\nFROM busybox\n{steps}\n") == paths


def test_the_other_escape_may_mean_any_path_too() -> None:
    assert taken("# escape=`\nFROM busybox\nCOPY a` b /\n") is None


def test_stages_that_are_not_built_take_nothing() -> None:
    text = "FROM busybox AS one\nCOPY a /\nFROM busybox AS two\nCOPY . /\nFROM one AS three\nCOPY b /\n"
    assert taken(text, "one") == ("a",)
    assert taken(text, "two") is None
    assert taken(text) == ("a", "b")


def test_a_base_that_may_bring_steps_of_its_own_may_take_anything() -> None:
    assert taken("FROM busybox\nCOPY a /\n", triggers=True) is None
    assert taken("FROM scratch\nCOPY a /\n", triggers=True) == ("a",)
    assert taken("FROM scratch AS x\nCOPY a /\nFROM x\nCOPY b /\n", triggers=True) == ("a", "b")
