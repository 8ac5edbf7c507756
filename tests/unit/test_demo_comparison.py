"""A view is equal to a query only where every row and every value, with its type, is the same."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from cdc.demo.comparison import DIFFERENCES_MAX, Difference, Rows, as_kept, compare, view_rows

COLUMNS = ("order_id", "total", "carrier")
QUERIED = Rows(COLUMNS, ((1, "12.50", None), (2, "3.00", "DHL")))


def test_the_same_rows_in_another_order_and_column_order_are_equal() -> None:
    view = Rows(("order_id", "carrier", "total"), ((2, "DHL", "3.00"), (1, None, "12.50")))

    result = compare(QUERIED, view)

    assert result.is_equal
    assert result.row_count == 2


@pytest.mark.parametrize(
    "row",
    [
        pytest.param((2, "3.01", "DHL"), id="another value"),
        pytest.param((2, "3.0", "DHL"), id="a digit less"),
        pytest.param((2, 3.0, "DHL"), id="a number in place of a text"),
        pytest.param((2, "3.00", None), id="null in place of a value"),
        pytest.param((2, "3.00", ""), id="an empty text in place of a value"),
        pytest.param((2.0, "3.00", "DHL"), id="a key of another type"),
    ],
)
def test_a_row_with_another_value_or_type_is_shown_from_both_sides(
    row: tuple[object, ...],
) -> None:
    result = compare(QUERIED, Rows(COLUMNS, (QUERIED.rows[0], row)))  # type: ignore[arg-type]

    assert not result.is_equal
    assert result.differences == (Difference(QUERIED.rows[1], row),)  # type: ignore[arg-type]


def test_a_row_that_the_view_lacks_is_a_difference() -> None:
    assert compare(QUERIED, Rows(COLUMNS, QUERIED.rows[:1])).differences == (
        Difference(QUERIED.rows[1], None),
    )


def test_a_row_that_only_the_view_has_is_a_difference() -> None:
    more = (3, "1.00", None)

    assert compare(QUERIED, Rows(COLUMNS, (*QUERIED.rows, more))).differences == (
        Difference(None, more),
    )


def test_a_column_too_many_makes_all_rows_differ() -> None:
    view = Rows((*COLUMNS, "more"), tuple((*row, 1) for row in QUERIED.rows))

    assert not compare(QUERIED, view).is_equal
    assert not compare(Rows(COLUMNS, ()), Rows((*COLUMNS, "more"), ())).is_equal


def test_all_differences_are_counted_and_the_first_are_shown() -> None:
    count = DIFFERENCES_MAX + 3
    queried = Rows(("id",), tuple((number,) for number in range(count)))

    result = compare(queried, Rows(("id",), ()))

    assert (result.difference_count, len(result.differences)) == (count, DIFFERENCES_MAX)


def test_the_clients_values_take_the_form_that_views_keep() -> None:
    assert as_kept(Decimal("0.00")) == "0.00"
    assert as_kept(Decimal("1E+3")) == "1000"
    assert as_kept(datetime(2024, 12, 31, 23, 59)) == "2024-12-31 23:59:00.000000"
    assert as_kept(7) == 7
    assert as_kept(None) is None


def test_a_views_rows_are_read_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "views.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table order_overview (order_id integer, total text)")
        connection.execute("insert into order_overview values (1, '1.50')")
    connection.close()

    assert view_rows(path) == Rows(("order_id", "total"), ((1, "1.50"),))
