"""What was read lately: kept while it is true, and not kept for ever."""

from __future__ import annotations

import sqlite3

import pytest

from sampan.errors import NotFound
from sampan.image.memo import Memo
from sampan.image.records import Base, ImageRecords, transaction
from sampan.image.root_records import Root, RootRecords
from sampan.oci.image_spec import ImageConfig, RootFs, encode

CONFIG = encode(ImageConfig(rootfs=RootFs()))


@pytest.fixture
def connection() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def reads_of(connection: sqlite3.Connection) -> list[str]:
    """The statements that are executed from here on."""
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    return seen


def test_an_image_is_read_once(connection: sqlite3.Connection) -> None:
    records = ImageRecords(connection)
    image = records.add(CONFIG, size=1)
    seen = reads_of(connection)
    assert records.get(image.id) is image
    assert seen == []


def test_an_image_that_was_tagged_or_removed_is_not_what_it_was(connection: sqlite3.Connection) -> None:
    records = ImageRecords(connection)
    image = records.add(CONFIG, size=1)
    records.touch(image.id)
    assert records.get(image.id).tagged_s is not None
    records.remove(image.id)
    with pytest.raises(NotFound):
        records.get(image.id)


def test_what_a_transaction_takes_back_was_never_there(connection: sqlite3.Connection) -> None:
    records, roots = ImageRecords(connection), RootRecords(connection)
    roots.add(Root("1", "old", Base.NOTHING, ()))
    found = []

    def fail() -> None:
        with transaction(connection):
            found.append(records.add(CONFIG, size=1))
            assert records.get(found[0].id) == found[0]
            roots.add(Root("1", "new", Base.NOTHING, ()))
            raise OSError

    with pytest.raises(OSError):
        fail()
    with pytest.raises(NotFound):
        records.get(found[0].id)
    root = roots.get("1")
    assert root is not None
    assert root.image_id == "old"


def test_a_root_that_was_removed_is_not_found(connection: sqlite3.Connection) -> None:
    roots = RootRecords(connection)
    root = Root("1", "image", Base.NOTHING, ("a",))
    roots.add(root)
    seen = reads_of(connection)
    assert roots.get("1") is root
    assert seen == []
    roots.remove("1")
    assert roots.get("1") is None


def test_the_first_goes_when_there_are_too_many() -> None:
    memo = Memo[int]()
    for number in range(33):
        memo.put(str(number), number)
    assert memo.get("0") is None
    assert [memo.get(str(number)) for number in range(1, 33)] == list(range(1, 33))
