"""Questions about a Dockerfile that build nothing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sampan.build.request import BuildRequest
from sampan.buildkit.subrequests import answer
from sampan.errors import InvalidArgument, NotImplementedHere

DOCKERFILE = """ARG BASE=busybox
# a the first of all
FROM ${BASE} AS a
# WHO whom to greet
ARG WHO=you
RUN --mount=type=secret,id=s,required --mount=type=ssh --mount=type=cache,target=/c/$WHO echo $WHO
FROM a AS b
CMD echo x
"""
SOURCE = base64.b64encode(DOCKERFILE.encode()).decode()
REQUEST = BuildRequest(build_args={"WHO": "me"})


def asked(name: str, request: BuildRequest = REQUEST, content: str = DOCKERFILE) -> tuple[Any, str, dict[str, bytes]]:
    """The answer as its document, its text and all of it."""
    found = answer(f"frontend.{name}", content.encode(), "Dockerfile", request, b"")
    return json.loads(found["result.json"]), found["result.txt"].decode(), found


def lines(first: int, last: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": first}, "end": {"line": last}}]}


def test_the_outline_has_what_a_target_can_be_given() -> None:
    document, text, _ = asked("outline")
    assert document == {
        "name": "b",
        "args": [
            {"name": "BASE", "value": "busybox", "location": lines(1, 1)},
            {"name": "WHO", "value": "me", "description": "whom to greet", "location": lines(5, 5)},
        ],
        "secrets": [{"name": "s", "required": True, "location": lines(6, 6)}],
        "ssh": [{"name": "default", "location": lines(6, 6)}],
        "cache": [{"ID": "/c/me", "location": lines(6, 6)}],
        "sources": [SOURCE],
    }
    rows = ("TARGET: b", "", "BUILD ARG   VALUE     DESCRIPTION", "BASE        busybox   ")
    assert text.startswith("\n".join((*rows, "WHO         me        whom to greet\n\n")))
    assert "SECRET   REQUIRED\ns        true\n" in text
    described, text, _ = asked("outline", BuildRequest(target="a"))
    assert described["description"] == "the first of all"
    assert text.startswith("TARGET:      a\nDESCRIPTION: the first of all\n")


def test_the_name_of_one_argument_may_begin_with_another_s() -> None:
    content = "FROM scratch\nARG A=1\nARG AB=2\nRUN --mount=type=cache,target=/$AB/${A}b/$A/$C x\n"
    assert asked("outline", content=content)[0]["cache"][0]["ID"] == "/2/1b/1/$C"


def test_the_targets_are_the_stages_with_names_and_the_last() -> None:
    document, text, _ = asked("targets", content=DOCKERFILE.replace(" AS b", ""))
    assert document["targets"] == [
        {"name": "a", "description": "the first of all", "base": "${BASE}", "location": lines(3, 3)},
        {"default": True, "base": "a", "location": lines(7, 7)},
    ]
    assert text == "TARGET    DESCRIPTION\na         the first of all\n(default) \n"


def test_checks_find_what_is_not_right() -> None:
    document, text, found = asked("lint")
    assert document["warnings"] == [
        {
            "ruleName": "JSONArgsRecommended",
            "description": "CMD and ENTRYPOINT in shell form do not pass signals on to the program",
            "detail": "write CMD as a JSON list",
            "location": lines(8, 8),
        }
    ]
    assert document["sources"] == [{"filename": "Dockerfile", "data": SOURCE, "language": "Dockerfile"}]
    assert "\nWARNING: JSONArgsRecommended\n" in text
    assert "   8 | >>> CMD echo x\n" in text
    assert found["result.statuscode"] == b"1"
    sound, text, found = asked("lint", content="FROM busybox\n")
    assert (sound["warnings"], text, found["result.statuscode"]) == ([], "", b"0")


def test_a_line_is_what_ends_with_a_newline() -> None:
    content = "FROM busybox\nRUN echo 'a\x0cb\u2028c'\nCMD echo x\n"
    assert "   3 | >>> CMD echo x\n" in asked("lint", content=content)[1]


def test_checks_of_a_dockerfile_that_is_none_say_where() -> None:
    document, text, found = asked("lint", content="FROM busybox\nRUM x\n")
    assert document["buildError"]["location"] == lines(2, 2)
    assert "unknown instruction 'RUM'" in document["buildError"]["message"]
    assert "   2 | >>> RUM x\n" in text
    assert found["result.statuscode"] == b"1"
    with pytest.raises(InvalidArgument, match="RUM"):
        asked("targets", content="FROM busybox\nRUM x\n")


def test_all_that_may_be_asked_is_listed_and_nothing_else_is_answered() -> None:
    document, _, _ = asked("subrequests.describe")
    for one in document:
        assert answer(one["name"], DOCKERFILE.encode(), "Dockerfile", REQUEST, b"")["version"] == b"1.0.0"
    with pytest.raises(NotImplementedHere, match=r"frontend\.none"):
        asked("none")
