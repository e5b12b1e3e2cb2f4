"""What is built again and what is not: the cache by content, after a restart, and never by mistake."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.building import Told, build, context_of, layers_of, post_build, run
from tests.engine_process import EngineProcess, UnixConnection
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("busybox")

DOCKERFILE = "FROM busybox\nENV A=1\nRUN echo a > /a\nCOPY d /d\nRUN cat /d/f\nCMD ls\n"


def test_the_same_build_gives_the_same_image_without_running_anything(engine: EngineProcess) -> None:
    files = {"Dockerfile": DOCKERFILE, "d/f": "same"}
    first = build(engine, files)
    again = build(engine, files)
    assert again.image_id == first.image_id
    assert again.cached() == [True] * 5


def test_times_of_files_do_not_matter_and_contents_and_modes_do(engine: EngineProcess) -> None:
    files = {"Dockerfile": DOCKERFILE, "d/f": "content"}
    build(engine, files)
    later = post_build(engine, context_of(files, mtime=1_700_000_000))
    assert later.cached() == [True] * 5
    changed = build(engine, {**files, "d/f": "CONTENT"})
    assert changed.cached() == [True, True, False, False, False]
    executable = build(engine, {**files, "d/f": "#!content"})
    assert executable.cached() == [True, True, False, False, False]


def test_what_a_build_puts_around_its_commands_counts(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nRUN cat /etc/hosts; ulimit -n\n"}
    build(engine, files, extrahosts=["a:1.2.3.4"])
    assert build(engine, files, extrahosts=["a:1.2.3.4"]).cached() == [True]
    moved = build(engine, files, extrahosts=["a:1.2.3.5"])
    assert moved.cached() == [False]
    assert "1.2.3.5" in moved.text
    limits = json.dumps([{"Name": "nofile", "Soft": 77, "Hard": 77}])
    limited = build(engine, files, ulimits=limits)
    assert limited.cached() == [False]
    assert "\n77\n" in limited.text
    assert build(engine, files, ulimits=limits).cached() == [True]


def test_the_cache_is_there_after_a_restart(engine: EngineProcess) -> None:
    files = {"Dockerfile": DOCKERFILE, "d/f": "for later"}
    first = build(engine, files)
    engine.stop()
    engine.start()
    again = build(engine, files)
    assert again.image_id == first.image_id


def test_no_cache_builds_all_anew_and_a_filter_only_its_stage(engine: EngineProcess) -> None:
    files = {"Dockerfile": DOCKERFILE, "d/f": "x"}
    build(engine, files)
    assert build(engine, files, nocache="1").cached() == [False] * 5
    stages = "FROM busybox AS one\nRUN echo 1\nFROM busybox AS two\nRUN echo 2\nCOPY --from=one /bin/true /t\n"
    build(engine, {"Dockerfile": stages})
    anew = build(engine, {"Dockerfile": stages}, nocachefilter=["TWO", "three"])
    assert anew.cached() == [True, False, False]
    assert "[Warning] no stage is called three, which is to be built anew\n" in anew.text
    assert "called two" not in anew.text


def test_a_command_is_found_again_only_with_the_same_arguments(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nARG X\nRUN echo $X > /x\n"}
    build(engine, files, buildargs={"X": "1"})
    assert build(engine, files, buildargs={"X": "2"}).cached() == [True, False]
    assert build(engine, files, buildargs={"X": "1"}).cached() == [True, True]


def test_proxies_do_not_count(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nRUN echo proxy=$HTTP_PROXY\n"}
    first = build(engine, files, buildargs={"HTTP_PROXY": "http://one.invalid"})
    assert "proxy=http://one.invalid\n" in first.text
    assert build(engine, files, buildargs={"HTTP_PROXY": "http://two.invalid"}).cached() == [True]
    assert "HTTP_PROXY" not in run(engine, first.image_id, "env")


def test_a_command_is_not_repeated_for_a_base_that_differs_in_its_history_alone(engine: EngineProcess) -> None:
    build(engine, {"Dockerfile": "FROM busybox\nLABEL a=1\n"}, t="same", nocache="1")
    build(engine, {"Dockerfile": "FROM same\nRUN cat /proc/sys/kernel/random/uuid > /u\n"}, t="first")
    build(engine, {"Dockerfile": "FROM busybox\nLABEL a=1\n"}, t="same", nocache="1")
    build(engine, {"Dockerfile": "FROM same\nRUN cat /proc/sys/kernel/random/uuid > /u\n"}, t="second")
    assert run(engine, "first", "cat", "/u") == run(engine, "second", "cat", "/u")


@pytest.mark.parametrize(
    "difference",
    ["HEALTHCHECK CMD true", "ENV X=1", "USER 5", "LABEL x=y", "WORKDIR /tmp", 'SHELL ["/bin/ash", "-c"]'],
)
def test_what_another_configuration_built_is_never_taken(engine: EngineProcess, difference: str) -> None:
    """CVE-2024-24557: the whole configuration is in the key."""
    build(engine, {"Dockerfile": "FROM busybox\nRUN echo poisoned\nCMD x\n"})
    told = build(engine, {"Dockerfile": f"FROM busybox\n{difference}\nRUN echo poisoned\nCMD x\n"}, forcerm="1")
    assert told.cached()[-2:] == [False, False] or difference in told.text
    assert "poisoned\n" in told.text


def test_an_image_that_came_from_elsewhere_is_never_taken_for_a_step(engine: EngineProcess) -> None:
    """CVE-2024-24557: one that pretends to be what a step of `FROM scratch` makes is only an image."""
    honest = {"Dockerfile": "FROM scratch\nCOPY f /f\nCMD x\n", "f": "honest"}
    now = {"SOURCE_DATE_EPOCH": "now"}
    made = build(engine, honest, t="made", buildargs=now)
    _, archive = engine.request("GET", "/images/made/get")
    engine.json("DELETE", "/images/made?force=1")
    connection = UnixConnection(engine.socket)
    connection.request("POST", "/images/load", archive, {"Content-Type": "application/x-tar"})
    assert b"Loaded image" in connection.getresponse().read()
    connection.close()
    again = build(engine, honest, buildargs=now)
    assert engine.request("GET", f"/images/{made.image_id}/json")[0] == 200
    assert again.cached() == [False, False]


def test_an_image_that_is_removed_is_not_found_again(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nRUN echo fleeting\n"}
    build(engine, files, t="fleeting", nocache="1")
    engine.json("DELETE", "/images/fleeting?force=1")
    assert build(engine, files).cached() == [False]


def test_a_prune_removes_what_no_image_is_made_of_and_unused_caches(engine: EngineProcess) -> None:
    mount = "--mount=type=cache,id=pruned,target=/c"
    kept = {"Dockerfile": f"FROM busybox\nRUN {mount} echo kept > /c/f; echo kept > /kept\n"}
    build(engine, kept, t="kept")
    loose = build(engine, {"Dockerfile": "FROM busybox\nRUN echo loose > /loose\nRUN echo more > /more\n"})
    assert "mount pruned" in [one["Description"] for one in engine.json("GET", "/system/df")["BuildCache"]]
    pruned = engine.json("POST", "/build/prune")
    assert loose.image_id in pruned["CachesDeleted"]
    assert pruned["SpaceReclaimed"] > 0
    assert engine.json("GET", "/system/df")["BuildCache"] == []
    assert engine.request("GET", f"/images/{loose.image_id}/json")[0] == 404
    assert build(engine, kept).cached() == [True]


def pruned(engine: EngineProcess, filters: dict[str, str] | None = None, keep: int = 0) -> list[str]:
    given = {name: [value] for name, value in (filters or {}).items()}
    query = urlencode({"filters": json.dumps(given), "keep-storage": keep})
    return list(engine.json("POST", f"/build/prune?{query}")["CachesDeleted"] or [])


def test_a_prune_takes_what_is_meant_alone(engine: EngineProcess) -> None:
    engine.json("POST", "/build/prune")
    dockerfile = "FROM busybox\nRUN --mount=type=cache,id=meant,target=/c echo 1 > /1\nRUN echo 2 > /2\n"
    step = build(engine, {"Dockerfile": dockerfile}).image_id
    (cache,) = (one["ID"] for one in engine.json("GET", "/system/df")["BuildCache"])
    first = engine.json("GET", f"/images/{step}/json")["Parent"]
    for name, value in (("id", "no"), ("inuse", "true"), ("until", "1h"), ("private", "false"), ("type", "x")):
        assert pruned(engine, {name: value}) == []
    assert pruned(engine, {"parent": first}) == [step]
    assert pruned(engine, {"type": "exec.cachemount"}) == [cache]
    assert pruned(engine, {"id": f"^{first[:20]}", "private": "true"}) == [first]
    engine.json("POST", "/build/prune?filters=%7B%22id%22%3A%5B%22a%22%2C%22b%22%5D%7D", expect=400)
    engine.json("POST", "/build/prune?filters=%7B%22shared%22%3A%5B%22a%22%5D%7D", expect=400)


def test_a_prune_may_leave_what_was_of_use_last(engine: EngineProcess) -> None:
    engine.json("POST", "/build/prune")
    steps = [
        build(engine, {"Dockerfile": f"FROM busybox\nRUN head -c 1000000 /dev/zero > /{name}\n"}).image_id
        for name in ("old", "new", "newest")
    ]
    again = build(engine, {"Dockerfile": "FROM busybox\nRUN head -c 1000000 /dev/zero > /old\n"})
    assert again.cached() == [True]
    assert pruned(engine, keep=3_100_000) == []
    assert pruned(engine, keep=2_500_000) == [steps[1]]
    assert pruned(engine, keep=1_000_000) == [steps[2]]
    assert pruned(engine) == [steps[0]]


def test_a_cache_is_removed_by_its_name(engine: EngineProcess) -> None:
    build(engine, {"Dockerfile": "FROM busybox\nRUN --mount=type=cache,target=/var/named touch /var/named/f\n"})
    engine.json("DELETE", "/build/caches/%2Fvar%2Fnamed", expect=204)
    engine.json("DELETE", "/build/caches/%2Fvar%2Fnamed", expect=404)


def test_images_of_a_build_that_goes_on_are_not_pruned(engine: EngineProcess) -> None:
    mount = "--mount=type=cache,id=gate,target=/g"
    wait = "touch /g/reached; i=0; until test -e /g/go; do sleep 0.05; i=$((i+1)); test $i -lt 600; done"
    found: list[Told] = []
    dockerfile = f"FROM busybox\nRUN echo before > /before\nRUN {mount} {wait}\nRUN cat /before\n"
    thread = threading.Thread(target=lambda: found.append(build(engine, {"Dockerfile": dockerfile}, nocache="1")))
    thread.start()
    caches = Path(engine.data_root, "caches")
    until(lambda: any(caches.glob("*/data/reached")), 30)
    engine.json("POST", "/images/prune")
    engine.json("POST", "/build/prune")
    (gate,) = caches.glob("*/data/reached")
    (gate.parent / "go").touch()
    thread.join()
    assert not found[0].error


def test_cache_from_lets_only_the_named_images_count(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nENV A=from\nRUN echo 1 > /1\nRUN echo 2 > /2\n"}
    build(engine, files, t="source")
    assert build(engine, files, cachefrom='["source"]').cached() == [True, True, True]
    assert build(engine, files, cachefrom='["no-such-image"]').cached() == [False, False, False]


def test_cache_from_takes_the_steps_of_an_image_that_came_without_its_parents(engine: EngineProcess) -> None:
    files = {"Dockerfile": "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /u\nCOPY f /f\n", "f": "x"}
    build(engine, files, t="travelled", nocache="1")
    uuid = run(engine, "travelled", "cat", "/u")
    _, archive = engine.request("GET", "/images/travelled/get")
    engine.json("DELETE", "/images/travelled?force=1")
    connection = UnixConnection(engine.socket)
    connection.request("POST", "/images/load", archive, {"Content-Type": "application/x-tar"})
    assert b"Loaded image" in connection.getresponse().read()
    connection.close()
    again = build(engine, files, cachefrom='["travelled"]')
    assert again.cached() == [True, True]
    assert run(engine, again.image_id, "cat", "/u") == uuid


def test_squash_makes_one_layer_of_the_last_stage(engine: EngineProcess) -> None:
    dockerfile = """FROM busybox
RUN mkdir -p /d/sub && echo 1 > /d/one && echo 2 > /d/sub/two && ln /d/one /d/same
RUN rm -r /d/sub /bin/vi && echo 3 > /d/three && chmod 700 /d
RUN mkdir /d/sub && echo 4 > /d/sub/four && rm /d/one
"""
    plain = build(engine, {"Dockerfile": dockerfile})
    told = build(engine, {"Dockerfile": dockerfile}, squash="1", t="squashed")
    show = ("sh", "-c", "find /d | sort; cat /d/*e /d/sub/*; stat -c %a /d; ls /bin/vi")
    assert run(engine, "squashed", *show) == run(engine, plain.image_id, *show)
    layers = layers_of(engine, "squashed")
    assert len(layers) == 2
    assert "bin/.wh.vi" in layers[1]
    assert "d/sub/two" not in layers[1]
    assert (
        engine.json("GET", "/images/squashed/json")["RootFS"]["Layers"][0]
        == (engine.json("GET", "/images/busybox/json")["RootFS"]["Layers"][0])
    )
    assert not told.error
    assert engine.json("GET", "/images/squashed/json")["Parent"] == ""
    assert [one["Id"] for one in engine.json("GET", "/images/squashed/history")][1:] == ["<missing>"] * 4


def test_the_same_inputs_give_the_same_image_when_the_time_is_given(engine: EngineProcess) -> None:
    dockerfile = "FROM busybox\nRUN mkdir /d && date > /dev/null && touch /d/f\nCOPY f /f\nWORKDIR /w\n"
    ids = set()
    for mtime in (1_700_000_000, 1_800_000_000):
        archive = context_of({"Dockerfile": dockerfile, "f": "x"}, mtime=mtime)
        told = post_build(engine, archive, nocache="1", buildargs={"SOURCE_DATE_EPOCH": "1600000000"})
        ids.add(told.image_id)
    assert len(ids) == 1
    found = engine.json("GET", f"/images/{ids.pop()}/json")
    assert found["Created"] == "2020-09-13T12:26:40Z"
    newest = max(entry.mtime for layer in layers_of(engine, found["Id"])[1:] for entry in layer.values())
    assert newest == 1_600_000_000


def test_the_same_inputs_give_the_same_image_without_being_told_a_time(engine: EngineProcess) -> None:
    dockerfile = (
        "FROM busybox\nENV A=1\nRUN mkdir /d && touch /d/f\nCOPY f /e/f\nWORKDIR /w\nRUN echo $SOURCE_DATE_EPOCH > /t\n"
    )
    newest = int(time.time()) - 60  # later than the base, and not in the future, which no clock of a step has reached
    archive = context_of({"Dockerfile": dockerfile, "f": "x", "unused": ""}, mtime=newest)
    first = post_build(engine, archive)
    engine.json("POST", "/images/prune?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D")
    again = post_build(engine, archive, nocache="1")
    assert again.image_id == first.image_id
    above = layers_of(engine, first.image_id)[1:]
    assert max(entry.mtime for layer in above for entry in layer.values()) == newest
    assert run(engine, first.image_id, "cat", "/t") == str(newest)


def test_what_a_command_writes_is_as_old_as_what_it_was_made_of(engine: EngineProcess) -> None:
    base = engine.json("GET", "/images/busybox/json")
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN mkdir /d && touch /d/f\n", "f": "newer, and not copied"})
    (made,) = layers_of(engine, told.image_id)[1:]
    assert timestamp(max(entry.mtime for entry in made.values())) == base["Created"][:19]


def test_people_see_when_an_image_was_built_whatever_its_config_says(engine: EngineProcess) -> None:
    begun = int(time.time())
    told = build(engine, {"Dockerfile": "FROM busybox\nLABEL when=now\n"}, t="dated")
    (listed,) = engine.json("GET", "/images/json?filters=%7B%22reference%22%3A%5B%22dated%22%5D%7D")
    assert begun <= listed["Created"] <= time.time()
    assert engine.json("GET", "/images/dated/json")["Created"][:19] == timestamp(listed["Created"])
    base = engine.json("GET", "/images/busybox/json")
    assert timestamp(engine.json("GET", "/images/dated/history")[0]["Created"]) == base["Created"][:19]
    engine.stop()
    engine.start()
    assert engine.json("GET", "/images/dated/json")["Id"] == told.image_id
    assert engine.json("GET", "/images/dated/json")["Created"][:19] == timestamp(listed["Created"])


def test_the_time_of_the_build_itself_is_written_on_request(engine: EngineProcess) -> None:
    begun = int(time.time())
    told = build(engine, {"Dockerfile": "FROM busybox\nRUN touch /f\n"}, buildargs={"SOURCE_DATE_EPOCH": "now"})
    (made,) = layers_of(engine, told.image_id)[1:]
    assert made["f"].mtime >= begun
    assert engine.json("GET", f"/images/{told.image_id}/history")[0]["Created"] >= begun


def timestamp(seconds: float) -> str:
    """As the API begins a time."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S")
