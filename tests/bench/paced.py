"""New orders at a steady rate, by a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from cdc.services import DatabaseAddress
from tests.bench.orders import Orders
from tests.bench.shop import insert_into


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit, by this machine's monotonic clock."""

    number: int
    sent: float
    returned: float


def paced_commits(
    address: DatabaseAddress, database: str, table: str, count: int, per_second: int
) -> list[Commit]:
    """One new order a transaction, evenly over time; meant for a process of its own."""
    return list(_paced(address, database, table, count, per_second))


def _paced(
    address: DatabaseAddress, database: str, table: str, count: int, per_second: int
) -> Iterator[Commit]:
    orders = Orders()
    with address.connect(database=database, charset="utf8mb4") as connection:
        cursor = connection.cursor()
        begun = time.monotonic()
        for number in range(1, count + 1):
            row = orders.row(number)
            query = cursor.mogrify(insert_into(table, row), row)
            time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            sent = time.monotonic()
            cursor.execute(query)
            yield Commit(number, sent, time.monotonic())
