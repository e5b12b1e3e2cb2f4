"""A build that is asked again word for word: answered without being gone through, and never when something changed."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.building import Told, build, context_of, post_build, run
from tests.engine_process import EngineProcess
from tests.file_server import serving

pytestmark = pytest.mark.usefixtures("busybox")


def visits(engine: EngineProcess) -> int:
    """Another number when a build was gone through, each of which has a directory while it lasts."""
    return (Path(engine.data_root) / "build").stat().st_mtime_ns


def is_recalled(engine: EngineProcess, archive: bytes, **query: Any) -> tuple[bool, Told]:
    """Whether a build was answered without being gone through, and what it told."""
    before = visits(engine)
    told = post_build(engine, archive, **query)
    return visits(engine) == before, told


def known(engine: EngineProcess, files: dict[str, str | bytes], **query: Any) -> tuple[bytes, Told]:
    """A build that is recalled from now on: its archive, and what it tells."""
    archive = context_of(files)
    post_build(engine, archive, **query)
    assert not is_recalled(engine, archive, **query)[0], "its first time found nothing, so it is gone through again"
    recalled, told = is_recalled(engine, archive, **query)
    assert recalled, told
    return archive, told


@pytest.mark.parametrize("query", [{}, {"progress": "events"}, {"q": "1"}], ids=str)
def test_it_tells_what_it_told_when_it_was_gone_through(engine: EngineProcess, query: dict[str, Any]) -> None:
    env = f"ENV A={len(query)}-{'q' in query}"
    dockerfile = f"FROM busybox AS one\n{env}\nRUN echo a\nFROM one\nMAINTAINER me\nCOPY f /\n"
    archive = context_of({"Dockerfile": dockerfile, "f": ""})
    post_build(engine, archive, **query)
    gone_through = post_build(engine, archive, **query)
    recalled, told = is_recalled(engine, archive, **query)
    assert recalled
    assert told.lines == gone_through.lines
    assert any("cached" in str(line) or "Using cache" in str(line) for line in told.lines) or "q" in query


def test_whatever_is_asked_otherwise_is_gone_through(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox AS one\nARG A\nRUN echo $A > /one\nFROM one AS two\nRUN echo two\n"
    archive, told = known(engine, {"Dockerfile": dockerfile, "f": "1"})
    others = ({"target": "one"}, {"buildargs": {"A": "a"}}, {"labels": {"l": "v"}}, {"nocache": "1"}, {"pull": "1"})
    for query in others:
        recalled, other = is_recalled(engine, archive, **query)
        assert not recalled, query
        assert "target" not in query or other.image_id != told.image_id
    for files in ({"Dockerfile": dockerfile, "f": "2"}, {"Dockerfile": f"{dockerfile}#\n", "f": "1"}):
        assert not is_recalled(engine, context_of(files))[0]


def test_names_are_given_all_the_same(engine: EngineProcess) -> None:
    archive, told = known(engine, {"Dockerfile": "FROM busybox\nRUN echo named\n"})
    recalled, named = is_recalled(engine, archive, t=["recalled:1", "recalled:2"])
    assert (recalled, named.lines[-1]) == (True, {"stream": "Successfully tagged recalled:2\n"})
    for name in ("recalled:1", "recalled:2"):
        assert engine.json("GET", f"/images/{name}/json")["Id"] == told.image_id


def test_a_base_whose_name_means_another_image_now_is_built_on(engine: EngineProcess) -> None:
    for name in ("old", "new"):
        build(engine, {"Dockerfile": f"FROM busybox\nRUN echo {name} > /version\n"}, t=f"recall-{name}")
    engine.json("POST", "/images/recall-old/tag?repo=recall-base", expect=201)
    archive, told = known(engine, {"Dockerfile": "FROM recall-base\nRUN cp /version /seen\n"})
    engine.json("POST", "/images/recall-new/tag?repo=recall-base", expect=201)
    recalled, other = is_recalled(engine, archive)
    assert (recalled, other.image_id != told.image_id) == (False, True)
    assert run(engine, other.image_id, "cat", "/seen").strip() == "new"


def test_an_image_that_was_removed_is_built_again(engine: EngineProcess) -> None:
    archive, told = known(engine, {"Dockerfile": "FROM busybox\nRUN echo gone > /f\n"}, t="recall-gone")
    engine.json("DELETE", "/images/recall-gone", expect=200)
    recalled, again = is_recalled(engine, archive, t="recall-gone")
    assert not recalled
    assert run(engine, again.image_id, "cat", "/f").strip() == "gone"
    engine.json("POST", "/build/prune?all=1", expect=200)
    assert engine.request("GET", f"/images/{told.image_id}/json")[0] in {200, 404}
    assert run(engine, post_build(engine, archive).image_id, "cat", "/f").strip() == "gone"


def test_a_layer_that_is_lost_is_made_again(engine: EngineProcess, tmp_path: Path) -> None:
    archive, told = known(engine, {"Dockerfile": "FROM busybox\nRUN echo lost > /f\n"})
    top = engine.json("GET", f"/images/{told.image_id}/json")["RootFS"]["Layers"][-1]
    next(Path(engine.data_root, "layers").rglob(top.removeprefix("sha256:"))).rename(tmp_path / "lost")
    recalled, again = is_recalled(engine, archive)
    assert not recalled
    assert run(engine, again.image_id, "cat", "/f").strip() == "lost"


def test_a_step_that_gave_something_else_since_counts_even_if_it_is_not_new(engine: EngineProcess) -> None:
    turn = "if rm /c/was; then echo even; else touch /c/was; echo odd; fi > /f"
    files: dict[str, str | bytes] = {"Dockerfile": f"FROM busybox\nRUN --mount=type=cache,id=turns,target=/c {turn}\n"}
    archive, odd = known(engine, files)
    assert post_build(engine, archive, nocache="1").image_id != odd.image_id
    post_build(engine, archive)
    assert is_recalled(engine, archive)[0]
    assert post_build(engine, archive, nocache="1").image_id == odd.image_id
    assert post_build(engine, archive).image_id == odd.image_id


@pytest.fixture
def served() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of a file by HTTP, and its content."""
    files = {"/f": b"first"}
    with serving(files) as address:
        yield f"{address}/f", files


@pytest.mark.parametrize("words", ["ADD {} /f", "ARG FROM={}\nADD $FROM /f"], ids=["written", "in a variable"])
def test_what_is_fetched_is_looked_at_each_time(
    engine: EngineProcess, served: tuple[str, dict[str, bytes]], words: str
) -> None:
    address, files = served
    archive = context_of({"Dockerfile": f"FROM busybox\n{words.format(address)}\n"})
    for content in (b"first", b"first", b"first", b"second"):
        files["/f"] = content
        recalled, told = is_recalled(engine, archive)
        assert not recalled
        assert run(engine, told.image_id, "cat", "/f").encode() == content


def test_what_a_base_triggers_is_gone_through(engine: EngineProcess) -> None:
    build(engine, {"Dockerfile": "FROM busybox\nONBUILD RUN echo triggered\n"}, t="recall-onbuild")
    archive = context_of({"Dockerfile": "FROM recall-onbuild\nRUN echo after\n"})
    for _ in range(3):
        assert not is_recalled(engine, archive)[0]


def test_a_recalled_build_keeps_its_steps_from_being_pruned(engine: EngineProcess) -> None:
    other, kept = (known(engine, {"Dockerfile": f"FROM busybox\nRUN echo {name}\n"}) for name in ("other", "kept"))
    time.sleep(1.1)  # a moment of prune's is a whole second
    since = int(time.time())
    time.sleep(1.1)
    assert is_recalled(engine, kept[0])[0]
    engine.json("POST", f'/build/prune?filters={{"until":["{since}"]}}', expect=200)
    found = [engine.request("GET", f"/images/{told.image_id}/json")[0] for _, told in (kept, other)]
    assert found == [200, 404]


def test_what_has_secrets_is_gone_through(engine: EngineProcess) -> None:
    archive = context_of({"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=s true\n"})
    for _ in range(3):
        before = visits(engine)
        told = post_build(engine, archive, {"X-Sampan-Secrets": b64encode(b'{"s": "YQ=="}').decode()})
        assert (told.error, visits(engine) == before) == ({}, False)
