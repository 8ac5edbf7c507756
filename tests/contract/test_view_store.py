"""What every view store promises: rows and offsets together, each event once, one builder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import pytest
import sqlalchemy as sql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.codec.types import ValueType
from cdc.errors import Fenced, Unreachable, ViewError
from cdc.model import Offsets, Output
from cdc.views.projection import RowChange, ViewTable
from cdc.views.sqlite import SqliteViewStore
from cdc.views.store import ViewSink

LONG, TEXT = ValueType("long", "long"), ValueType("string", "string")
TOPIC = "orders.v1"
PARTITION = (TOPIC, 0)


def view(name: str = "open_orders", definition: str = "one", **columns: ValueType) -> ViewTable:
    return ViewTable(name, {"id": LONG, **(columns or {"a": TEXT, "b": TEXT})}, ("id",), definition)


class Store(Protocol):
    """A view store that tests can look into."""

    engine: sql.Engine
    table: sql.Table

    def last_offsets(self) -> Offsets: ...
    def apply(self, changes: Sequence[RowChange], offsets: Offsets) -> None: ...
    def close(self) -> None: ...


Opener = Callable[[ViewTable], Store]


@pytest.fixture(params=["sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens a view in the same place each time, as a restarted process does."""
    stores: list[Store] = []

    def opener(table: ViewTable) -> Store:
        stores.append(SqliteViewStore(table, tmp_path / "views.db"))
        return stores[-1]

    yield opener
    for store in stores:
        store.close()


def change(offset: int, key: int, partition: int = 0, **values: Any) -> RowChange:
    return RowChange(TOPIC, partition, offset, (key,), values)


def gone(offset: int, key: int) -> RowChange:
    return RowChange(TOPIC, 0, offset, (key,), None)


def rows(store: Store) -> list[tuple[Any, ...]]:
    with store.engine.connect() as connection:
        query = sql.select(store.table).order_by(store.table.c.id)
        return [tuple(row) for row in connection.execute(query)]


def test_a_new_view_is_empty_and_stands_nowhere(open_store: Opener) -> None:
    store = open_store(view())

    assert store.last_offsets() == {}
    assert ViewSink(store).last_checkpoint() is None
    assert rows(store) == []


def test_rows_and_offsets_are_there_after_a_restart(open_store: Opener) -> None:
    sink = ViewSink(open_store(view()))
    sink.write(Output([change(0, 1, a="x")], {PARTITION: 1, (TOPIC, 1): 9}))
    sink.close()

    again = open_store(view())

    assert rows(again) == [(1, "x", None)]
    assert ViewSink(again).last_checkpoint() == {PARTITION: 1, (TOPIC, 1): 9}


def test_an_upsert_leaves_the_columns_that_it_does_not_name(open_store: Opener) -> None:
    store = open_store(view())
    store.apply([change(0, 1, a="x", b="y"), change(1, 2, a="z")], {PARTITION: 2})

    store.apply([change(2, 1, b="Y"), change(3, 2, a=None)], {PARTITION: 4})

    assert rows(store) == [(1, "x", "Y"), (2, None, None)]


def test_a_row_that_comes_again_after_its_delete_starts_afresh(open_store: Opener) -> None:
    store = open_store(view())
    store.apply([change(0, 1, a="x", b="y")], {PARTITION: 1})

    store.apply([change(1, 1, a="X"), gone(2, 1), change(3, 1, b="Y")], {PARTITION: 4})

    assert rows(store) == [(1, None, "Y")]


def test_a_row_that_is_made_and_deleted_in_one_batch_is_gone(open_store: Opener) -> None:
    store = open_store(view())

    store.apply([change(0, 1, a="x"), gone(1, 1), gone(2, 7)], {PARTITION: 3})

    assert rows(store) == []


def test_a_batch_without_changes_moves_the_offsets(open_store: Opener) -> None:
    store = open_store(view())

    store.apply([], {PARTITION: 5})

    assert store.last_offsets() == {PARTITION: 5}


def test_events_that_are_applied_already_are_left_out(open_store: Opener) -> None:
    store = open_store(view())
    store.apply([change(0, 1, a="old"), change(1, 1, a="new")], {PARTITION: 2})

    store.apply([change(0, 1, a="old")], {PARTITION: 1})
    store.apply([change(1, 1, a="older"), change(2, 2, a="next")], {PARTITION: 3})

    assert rows(store) == [(1, "new", None), (2, "next", None)]
    assert store.last_offsets() == {PARTITION: 3}


def test_partitions_are_replayed_each_for_itself(open_store: Opener) -> None:
    store = open_store(view())
    store.apply([change(7, 1, partition=1, a="x")], {(TOPIC, 1): 8})

    store.apply([change(0, 2, partition=0, a="y")], {PARTITION: 1})

    assert rows(store) == [(1, "x", None), (2, "y", None)]


@pytest.mark.parametrize("moment", ["before the rows", "between rows and offsets", "at the end"])
def test_a_crash_leaves_rows_and_offsets_as_they_were(open_store: Opener, moment: str) -> None:
    store = open_store(view())
    store.apply([change(0, 1, a="x"), change(1, 2, a="y")], {PARTITION: 2})
    before = rows(store)
    words = {
        "before the rows": "DELETE FROM open_orders",
        "between rows and offsets": "INSERT INTO cdc_offsets",
    }

    def crash(*arguments: Any) -> None:
        statement = arguments[2] if len(arguments) > 2 else ""
        if moment not in words or statement.startswith(words[moment]):
            raise ConnectionAbortedError(moment)

    hook = "before_cursor_execute" if moment in words else "commit"
    sql.event.listen(store.engine, hook, crash)
    with pytest.raises(ConnectionAbortedError):
        store.apply([change(2, 1, a="X"), gone(3, 2)], {PARTITION: 4})
    store.close()

    again = open_store(view())
    assert rows(again) == before
    assert again.last_offsets() == {PARTITION: 2}
    again.apply([change(2, 1, a="X"), gone(3, 2)], {PARTITION: 4})
    assert rows(again) == [(1, "X", None)]


def test_a_builder_that_another_one_overtook_writes_nothing(open_store: Opener) -> None:
    old, new = open_store(view()), open_store(view())
    new.apply([change(0, 1, a="new")], {PARTITION: 1})

    # One that has not written yet goes on behind it, when it is tried again.
    with pytest.raises(Unreachable, match="another builder writes view open_orders"):
        old.apply([change(0, 1, a="old"), change(1, 2, a="old")], {PARTITION: 2})

    assert rows(new) == [(1, "new", None)]
    assert new.last_offsets() == {PARTITION: 1}


def test_a_fenced_builder_goes_on_from_the_store(open_store: Opener) -> None:
    old, new = open_store(view()), open_store(view())
    old.apply([change(0, 1, a="a")], {PARTITION: 1})
    new.last_offsets()
    new.apply([change(1, 1, a="b")], {PARTITION: 2})
    with pytest.raises(Fenced):
        old.apply([change(1, 1, a="c")], {PARTITION: 2})

    assert old.last_offsets() == {PARTITION: 2}
    old.apply([change(2, 1, a="d")], {PARTITION: 3})

    assert rows(old) == [(1, "d", None)]


def test_views_in_one_place_do_not_touch_each_other(open_store: Opener) -> None:
    one, two = open_store(view("one")), open_store(view("two"))

    one.apply([change(0, 1, a="x")], {PARTITION: 1})
    two.apply([change(0, 1, a="y")], {PARTITION: 9})

    assert (rows(one), rows(two)) == ([(1, "x", None)], [(1, "y", None)])
    assert (one.last_offsets(), two.last_offsets()) == ({PARTITION: 1}, {PARTITION: 9})


def test_a_view_that_was_declared_otherwise_is_refused(open_store: Opener) -> None:
    open_store(view(definition="one"))

    with pytest.raises(ViewError, match="built by another declaration") as raised:
        open_store(view(definition="two"))

    assert "give the view a new name" in raised.value.hint


VALUES = [
    (ValueType("decimal", "bytes", precision=65, scale=30),
     Decimal("12345678901234567890123456789012345.000000000000000000000000000001")),
    (ValueType("decimal", "bytes", precision=10, scale=2), Decimal("-0.50")),
    (ValueType("timestamp-micros", "long"), datetime(2024, 2, 29, 1, 2, 3, 456789, tzinfo=UTC)),
    (ValueType("timestamp-millis", "long"), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    (ValueType("local-timestamp-micros", "long"), datetime(9999, 12, 31, 23, 59, 59, 999999)),
    (ValueType("date", "int"), date(1000, 1, 1)),
    (ValueType("time-micros", "long"), time(23, 59, 59, 999999)),
    (ValueType("long", "long"), -(2**63)),
    (ValueType("double", "double"), 0.1),
    (ValueType("boolean", "boolean"), True),
    (ValueType("bytes", "bytes"), b"\x00\xff"),
    (TEXT, "Ünï\0'\"😀"),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "value"), VALUES, ids=lambda one: str(one)[:40])
def test_a_value_comes_back_as_it_was(open_store: Opener, type_: ValueType, value: Any) -> None:
    store = open_store(view(value=type_))

    store.apply([change(0, 1, value=value), change(1, 2, value=None)], {PARTITION: 2})

    assert rows(store) == [(1, value), (2, None)]


def test_a_uuid_is_kept_as_text(open_store: Opener) -> None:
    store = open_store(view(value=ValueType("uuid", "string")))
    value = UUID("01234567-89ab-cdef-0123-456789abcdef")

    store.apply([change(0, 1, value=value)], {PARTITION: 1})

    assert rows(store) == [(1, str(value))]


def test_a_value_that_the_column_cannot_hold_is_refused_whole(open_store: Opener) -> None:
    store = open_store(view(value=ValueType("decimal", "bytes", precision=10, scale=2)))

    with pytest.raises(ViewError, match="can't write view open_orders") as raised:
        store.apply([change(0, 1, value=Decimal("0.123456"))], {PARTITION: 1})

    assert "0.123456" not in f"{raised.value} {raised.value.__cause__}"
    assert (rows(store), store.last_offsets()) == ([], {})


numbers = count()
events = st.lists(
    st.tuples(st.integers(1, 3), st.none() | st.dictionaries(st.sampled_from("ab"), st.text("xy")))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(events=events, data=st.data())
def test_any_cut_into_batches_gives_what_a_dictionary_gives(
    open_store: Opener, events: list[Any], data: st.DataObject
) -> None:
    store = open_store(view(f"view_{next(numbers)}"))
    expected: dict[int, dict[str, Any]] = {}
    for key, values in events:
        if values is None:
            expected.pop(key, None)
        else:
            expected.setdefault(key, {"a": None, "b": None}).update(values)

    start = 0
    while start < len(events):
        end = data.draw(st.integers(start + 1, len(events)))
        again = data.draw(st.integers(0, start))  # a batch may begin with what is applied already
        batch = [
            RowChange(TOPIC, 0, offset, (key,), values)
            for offset, (key, values) in enumerate(events[again:end], again)
        ]
        store.apply(batch, {PARTITION: end})
        start = end

    assert rows(store) == [(key, one["a"], one["b"]) for key, one in sorted(expected.items())]
