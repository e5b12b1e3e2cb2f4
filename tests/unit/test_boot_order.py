from __future__ import annotations

import pytest

from sampan.engine.boot_order import COMPLETED, DEPENDS_ON, HEALTHY, PROJECT, SERVICE, Need, boot_order, starts_at_boot
from sampan.engine.config import ContainerConfig, HostConfig, ProcessConfig, RestartPolicy
from sampan.engine.container import ContainerRecord, Created, Dead, Exited, Paused, Removing, Restarting, Running, State


def _record(
    service: str, depends_on: str = "", *, project: str = "shop", made: int = 0, host: HostConfig | None = None
) -> ContainerRecord:
    labels = {PROJECT: project, SERVICE: service} | ({DEPENDS_ON: depends_on} if depends_on else {})
    config = ContainerConfig(process=ProcessConfig(labels=labels), host=host or HostConfig())
    return ContainerRecord(id=f"{project}-{service}", name=service, created_at_ns=made, image_id="", config=config)


def _order(*records: ContainerRecord) -> list[str]:
    return [start.record.name for start in boot_order(records)]


def test_what_is_depended_on_comes_first() -> None:
    web = _record("web", "api:service_started:false", made=1)
    api = _record("api", "db:service_healthy:false,cache:service_started:false", made=2)
    assert _order(web, api, _record("cache", made=4), _record("db", made=3)) == ["db", "cache", "api", "web"]


def test_each_dependency_keeps_its_condition() -> None:
    label = "db:service_healthy:false,cache:service_started:false,seed:service_completed_successfully:true"
    api = _record("api", label, made=1)
    starts = boot_order([api, *(_record(name, made=number) for number, name in enumerate(("db", "cache", "seed"), 2))])
    assert {start.record.name: start.needs for start in starts} == {
        "db": (),
        "cache": (),
        "seed": (),
        "api": (Need("shop-db", HEALTHY), Need("shop-cache"), Need("shop-seed", COMPLETED)),
    }


def test_the_owner_of_a_namespace_comes_before_who_joins_it() -> None:
    by_name = _record("a", made=1, host=HostConfig(network_mode="container:c"))
    by_id = _record("b", made=2, host=HostConfig(pid_mode="container:shop-c"))
    starts = boot_order([by_name, by_id, _record("c", made=3)])
    assert [start.record.name for start in starts] == ["c", "a", "b"]
    assert starts[1].needs == starts[2].needs == (Need("shop-c"),)


def test_without_dependencies_it_is_the_order_of_creation() -> None:
    assert _order(_record("b", made=2), _record("a", made=3), _record("c", made=1)) == ["c", "b", "a"]


def test_a_service_of_another_project_is_another() -> None:
    mine = _record("web", "db:service_started:false", made=1)
    theirs = _record("db", project="other", made=2)
    assert _order(mine, theirs) == ["web", "db"]


def test_a_circle_ends_and_nobody_needs_who_comes_later() -> None:
    first = _record("first", "second:service_started:false", made=1)
    second = _record("second", "first:service_started:false", made=2)
    assert [(start.record.name, start.needs) for start in boot_order([first, second])] == [
        ("second", ()),
        ("first", (Need("shop-second"),)),
    ]


RUNNING = Running(1, 2, 3)
EXITED = Exited(1, 2, 3)


@pytest.mark.parametrize(
    ("policy", "state", "stopped", "starts"),
    [
        ("always", RUNNING, False, True),
        ("always", EXITED, True, True),
        ("always", Created(), False, False),
        ("always", Removing(), False, False),
        ("always", Dead("it"), False, False),
        ("unless-stopped", Paused(RUNNING), False, True),
        ("unless-stopped", EXITED, False, True),
        ("unless-stopped", EXITED, True, False),
        ("unless-stopped", RUNNING, True, False),
        ("on-failure", RUNNING, False, True),
        ("on-failure", Restarting(EXITED, 4), False, True),
        ("on-failure", EXITED, False, False),
        ("no", RUNNING, False, False),
        ("", RUNNING, False, False),
    ],
)
def test_policies_decide_who_starts_at_a_boot(policy: str, state: State, *, stopped: bool, starts: bool) -> None:
    config = ContainerConfig(host=HostConfig(restart_policy=RestartPolicy(policy)))
    record = ContainerRecord(
        id="c", name="c", created_at_ns=1, image_id="", config=config, stopped_by_user=stopped, state=state
    )
    assert starts_at_boot(record) is starts


@pytest.mark.parametrize(("count", "starts"), [(2, True), (3, False)])
def test_a_boot_is_a_failure_that_counts_against_the_retries(count: int, *, starts: bool) -> None:
    config = ContainerConfig(host=HostConfig(restart_policy=RestartPolicy("on-failure", 3)))
    record = ContainerRecord(
        id="c", name="c", created_at_ns=1, image_id="", config=config, restart_count=count, state=RUNNING
    )
    assert starts_at_boot(record) is starts
