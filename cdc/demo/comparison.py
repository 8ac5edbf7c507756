"""The view against an SQL query over the source tables: row by row, with exact types."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdc.demo.shop import statements_of

if TYPE_CHECKING:
    from pymysql.connections import Connection

VIEW = "order_overview"
DIFFERENCES_MAX = 5
"""So many differing rows are shown; all are counted."""

Value = int | float | str | bytes | None
Row = tuple[Value, ...]
Pair = tuple[Row | None, Row | None]
"""Expected and found; None where a side lacks the row."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's content, its first column the key; values as a view's store keeps them."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that isn't the same on both sides; None where a side lacks it."""

    expected: Row | None
    found: Row | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing."""

    columns: tuple[str, ...]
    row_count: int
    """Rows that the query gives."""
    difference_count: int
    differences: tuple[Difference, ...]
    """The first ones."""

    @property
    def is_equal(self) -> bool:
        return self.difference_count == 0


def query() -> str:
    """The SQL query that says what the view must hold."""
    (statement,) = statements_of("order_overview.sql")
    return statement


def queried_rows(connection: Connection[Any]) -> Rows:
    """What the query gives now, moments in UTC."""
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(query())
        columns = tuple(column[0] for column in cursor.description)
        return Rows(columns, tuple(tuple(map(as_kept, row)) for row in cursor.fetchall()))


def as_kept(value: Any) -> Value:
    """A value of MySQL's client in the form in which views keep it."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="microseconds")
    assert value is None or isinstance(value, int | float | str | bytes)
    return value


def view_rows(path: Path) -> Rows:
    """What the view holds now."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        cursor = connection.execute(f"SELECT * FROM {VIEW}")  # noqa: S608  # a constant
        columns = tuple(column[0] for column in cursor.description)
        return Rows(columns, tuple(cursor))


def compare(expected: Rows, found: Rows) -> Comparison:
    """Every row and every column, values and their types; the order of rows does not count."""
    if set(expected.columns) != set(found.columns):
        # Then no row can be the same.
        differing: list[Pair] = [(row, None) for row in expected.rows]
        differing += [(None, row) for row in found.rows]
        return _comparison(expected, differing or [(None, None)])
    places = [found.columns.index(column) for column in expected.columns]
    rows = [tuple(row[place] for place in places) for row in found.rows]
    found_by_key = {row[0]: row for row in rows}
    assert len(found_by_key) == len(rows), "the first column is the key"
    pairs: list[Pair] = [(row, found_by_key.pop(row[0], None)) for row in expected.rows]
    pairs += [(None, row) for row in found_by_key.values()]
    return _comparison(expected, [pair for pair in pairs if not _is_same(*pair)])


def _comparison(expected: Rows, differing: Sequence[Pair]) -> Comparison:
    shown = tuple(Difference(*pair) for pair in differing[:DIFFERENCES_MAX])
    return Comparison(expected.columns, len(expected.rows), len(differing), shown)


def _is_same(one: Row | None, other: Row | None) -> bool:
    if one is None or other is None:
        return False
    pairs = zip(one, other, strict=True)
    # The type too: 1 and 1.0 and "1" are three things to whoever reads the view.
    return all(type(a) is type(b) and a == b for a, b in pairs)
