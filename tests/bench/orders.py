"""The table of orders that is measured with, and how it is filled: real, varied payloads."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pymysql.constants import CLIENT

from cdc.services import DatabaseAddress

if TYPE_CHECKING:
    from pymysql.connections import Connection

DDL = """
CREATE TABLE {table} (
  id BIGINT NOT NULL PRIMARY KEY,
  version INT NOT NULL,
  customer_id INT UNSIGNED NOT NULL,
  status ENUM('placed', 'paid', 'shipped', 'cancelled') NOT NULL,
  item_count SMALLINT NOT NULL,
  total DECIMAL(12,2) NOT NULL,
  currency CHAR(3) NOT NULL,
  email VARCHAR(120) NOT NULL,
  note VARCHAR(255) NULL,
  created_at DATETIME(3) NOT NULL,
  updated_at TIMESTAMP(6) NOT NULL
) CHARACTER SET utf8mb4
"""
INSERT = "INSERT INTO {table} VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
UPDATE = (
    "UPDATE {table} SET version = %s, status = %s, total = total + %s, note = %s,"
    " updated_at = %s WHERE id = %s"
)
DIGEST = "SELECT COUNT(*), COALESCE(SUM(CRC32(CONCAT(email, '|', COALESCE(note, '')))), 0) FROM "
"""What `verify.digest` adds up over the last version of each order."""

ROWS_PER_STATEMENT = 1_000
STATEMENTS_PER_PACKET = 100
VERSIONS = 3
"""An insert and two updates."""
STATUSES = ("placed", "paid", "shipped")
NULL_NOTES = 0.1
TEXT = (
    "please leave the parcel at the back door ring twice gift wrap blue ribbon fragile glass"
    " second floor neighbour invoice company Zürich Łódź Ångström café 東京 отправить voilà"
    " late delivery evening only call before arriving no substitutes returns accepted"
)
WORDS = TEXT.split()
EPOCH = datetime(2024, 1, 1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the binlog that holds the changes of one table and nothing else of ours."""

    database: str
    table: str
    orders: int
    versions: int
    """How many changes each order has in this stretch; the first is an insert."""
    start: str
    """`file:position`, as `source.start` takes it."""
    files: tuple[str, ...]
    """Whole binlog files, in order."""
    digest: tuple[int, int]
    """Rows at its end, and the sum of their checksums, as the server says."""

    @property
    def changes(self) -> int:
        return self.orders * self.versions


class Orders:
    """Rows with payloads that differ, the same at every run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def row(self, number: int) -> tuple[Any, ...]:
        """A new order, in version 1."""
        chance = self._random
        created = EPOCH + timedelta(milliseconds=number * 977)
        return (
            number,
            1,
            chance.randrange(1, 4_000_000_000),
            "placed",
            chance.randrange(1, 40),
            f"{chance.randrange(100, 99_999_999) / 100:.2f}",
            chance.choice(("EUR", "USD", "CHF", "JPY")),
            f"{chance.choice(WORDS)}.{chance.getrandbits(40):x}@example.org",
            self._note(),
            created,
            created + timedelta(microseconds=chance.randrange(1_000_000)),
        )

    def update(self, number: int, version: int) -> tuple[Any, ...]:
        """What makes this version of the one before."""
        updated = EPOCH + timedelta(milliseconds=number * 977, days=version)
        status = STATUSES[(version - 1) % len(STATUSES)]
        return version, status, self._random.randrange(100), self._note(), updated, number

    def _note(self) -> str | None:
        chance = self._random
        if chance.random() < NULL_NOTES:
            return None
        return " ".join(chance.choices(WORDS, k=chance.randrange(3, 18)))


class Shop:
    """One database of orders on the server under test."""

    def __init__(self, address: DatabaseAddress, database: str) -> None:
        self.address, self.database = address, database
        self._connection: Connection[Any] = address.connect(
            database=database, charset="utf8mb4", client_flag=CLIENT.MULTI_STATEMENTS
        )

    def close(self) -> None:
        self._connection.close()

    def bulk(self, rows: int, rows_per_transaction: int, table: str = "orders") -> Stretch:
        """New orders in large transactions, each of several INSERT statements."""
        orders = Orders()

        def load() -> None:
            for begin in range(1, rows + 1, rows_per_transaction):
                end = min(begin + rows_per_transaction, rows + 1)
                self._execute("BEGIN")
                for first in range(begin, end, ROWS_PER_STATEMENT):
                    numbers = range(first, min(first + ROWS_PER_STATEMENT, end))
                    self._insert(table, [orders.row(number) for number in numbers])
                self._execute("COMMIT")

        return self._stretch(table, rows, 1, load)

    def singles(self, orders_count: int, table: str = "single_orders") -> Stretch:
        """A transaction for each change; an order's versions have others' in between."""
        orders = Orders()

        def load() -> None:
            for first in range(1, orders_count + 1, STATEMENTS_PER_PACKET):
                numbers = range(first, min(first + STATEMENTS_PER_PACKET, orders_count + 1))
                insert, update = INSERT.format(table=table), UPDATE.format(table=table)
                self._each(insert, [orders.row(number) for number in numbers])
                for version in range(2, VERSIONS + 1):
                    self._each(update, [orders.update(number, version) for number in numbers])

        return self._stretch(table, orders_count, VERSIONS, load)

    def create(self, table: str) -> str:
        """An empty table of orders; the place in the binlog after that."""
        self._execute(DDL.format(table=table))
        return self._new_file()

    def rowless_file(self) -> str:
        """The name of a whole binlog file that holds nothing but the server's own events."""
        file, _ = self._new_file().split(":")
        self._new_file()
        return file

    def digest(self, table: str) -> tuple[int, int]:
        """Rows of the table, and the sum of their checksums."""
        ((count, checksums),) = self._execute(DIGEST + table)
        return int(count), int(checksums)

    def _stretch(self, table: str, orders: int, versions: int, load: Any) -> Stretch:
        start = self.create(table)
        load()
        end = self._new_file()
        names = [str(row[0]) for row in self._execute("SHOW BINARY LOGS")]
        files = names[names.index(start.split(":")[0]) : names.index(end.split(":")[0])]
        digest = self.digest(table)
        return Stretch(self.database, table, orders, versions, start, tuple(files), digest)

    def _new_file(self) -> str:
        """Begin a new binlog file; its beginning as `file:position`."""
        self._execute("FLUSH BINARY LOGS")
        ((file, position, *_),) = self._execute("SHOW BINARY LOG STATUS")
        return f"{file}:{position}"

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(INSERT.format(table=table), rows)

    def _each(self, statement: str, arguments: list[tuple[Any, ...]]) -> None:
        """Each a transaction of its own, all in one packet: the round trips are not measured."""
        with self._connection.cursor() as cursor:
            cursor.execute(";".join(cursor.mogrify(statement, each) for each in arguments))
            while cursor.nextset():
                pass

    def _execute(self, statement: str) -> tuple[tuple[Any, ...], ...]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return tuple(cursor.fetchall())


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
    orders, statement = Orders(), INSERT.format(table=table)
    with address.connect(database=database, charset="utf8mb4") as connection:
        cursor = connection.cursor()
        begun = time.monotonic()
        for number in range(1, count + 1):
            query = cursor.mogrify(statement, orders.row(number))
            time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            sent = time.monotonic()
            cursor.execute(query)
            yield Commit(number, sent, time.monotonic())
