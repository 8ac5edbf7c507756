"""The tables of one database, filled so that each stretch of the binlog holds one table alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pymysql.constants import CLIENT

from cdc.services import DatabaseAddress
from tests.bench.orders import UPDATE, UPDATE_RANGE, Orders
from tests.bench.payloads import Blobs
from tests.bench.place import Place, Stretch
from tests.bench.tables import Rows

if TYPE_CHECKING:
    from pymysql.connections import Connection

DDL = "CREATE TABLE {table} (id BIGINT NOT NULL PRIMARY KEY, version INT NOT NULL, {columns})"
DIGEST = "SELECT COUNT(*), COALESCE(SUM(CRC32({checked})), 0) FROM {table}"
"""What `verify` adds up over the last version of each order."""
ROWS_PER_STATEMENT = 1_000
STATEMENTS_PER_PACKET = 100
SINGLE_VERSIONS = 3
"""An insert and two updates."""


def insert_into(table: str, row: tuple[Any, ...]) -> str:
    """The statement for a row like this one."""
    return f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})"


class Shop:
    """One database on the server under test."""

    def __init__(self, address: DatabaseAddress, database: str) -> None:
        self.address, self.database = address, database
        self._connection: Connection[Any] = address.connect(
            database=database, charset="utf8mb4", client_flag=CLIENT.MULTI_STATEMENTS
        )

    def close(self) -> None:
        self._connection.close()

    def bulk(self, table: str, rows: Rows, count: int, per_transaction: int) -> Stretch:
        """New rows in large transactions, each of several INSERT statements."""
        place = self.create(table, rows)
        self._insert(table, rows, count, per_transaction)
        return self._stretch(place, rows, count)

    def singles(self, table: str, count: int) -> Stretch:
        """A transaction for each change; an order's versions have others' in between."""
        orders = Orders()
        place = self.create(table, orders)
        for first in range(1, count + 1, STATEMENTS_PER_PACKET):
            numbers = range(first, min(first + STATEMENTS_PER_PACKET, count + 1))
            new = [orders.row(number) for number in numbers]
            self._each(insert_into(table, new[0]), new)
            for version in range(2, SINGLE_VERSIONS + 1):
                changed = [orders.update(number, version) for number in numbers]
                self._each(UPDATE.format(table=table), changed)
        return self._stretch(place, orders, count, last_version=SINGLE_VERSIONS)

    def updates(self, table: str, count: int, per_transaction: int) -> Stretch:
        """Updates alone, with full images before and after, in large transactions."""
        orders = Orders()
        made = self.create(table, orders)
        self._insert(table, orders, count, per_transaction)
        place = self._place(table, made.checked)
        for first in range(1, count + 1, per_transaction):
            last = min(first + per_transaction - 1, count)
            self._execute(UPDATE_RANGE.format(table=table), (first, last))
        return self._stretch(place, orders, count, first_version=2, last_version=2)

    def giant(self, table: str, source: str, count: int, copies: int) -> Stretch:
        """All rows of a table of blobs, so many times over, in one transaction."""
        rows = Blobs()
        place = self.create(table, rows)
        self._execute("BEGIN")
        for copy in range(copies):
            copied = f"SELECT id + %s, version, payload FROM {source} ORDER BY id"
            self._execute(f"INSERT INTO {table} {copied}", (copy * count,))
        self._execute("COMMIT")
        return self._stretch(place, rows, count * copies)

    def create(self, table: str, rows: Rows) -> Place:
        """An empty table; the place in the binlog after that."""
        self._execute(DDL.format(table=table, columns=rows.columns))
        return self._place(table, rows.checked)

    def rowless_file(self) -> str:
        """The name of a whole binlog file that holds nothing but the server's own events."""
        file, _ = self._new_file().split(":")
        self._new_file()
        return file

    def digest(self, table: str, rows: Rows) -> tuple[int, int]:
        """Rows of the table, and the sum of their checksums."""
        query = DIGEST.format(checked=rows.checked_sql, table=table)
        ((count, checksums),) = self._execute(query)
        return int(count), int(checksums)

    def _stretch(
        self, place: Place, rows: Rows, count: int, *, first_version: int = 1, last_version: int = 1
    ) -> Stretch:
        end = self._new_file()
        names = [str(row[0]) for row in self._execute("SHOW BINARY LOGS")]
        first, last = (names.index(at.split(":")[0]) for at in (place.start, end))
        digest = self.digest(place.table, rows)
        files = tuple(names[first:last])
        return Stretch(place, count, first_version, last_version, files, digest)

    def _place(self, table: str, checked: Callable[[Any], bytes]) -> Place:
        start = self._new_file()
        ((gtids,),) = self._execute("SELECT @@GLOBAL.gtid_executed")
        return Place(self.database, table, start, str(gtids).replace("\n", ""), checked)

    def _new_file(self) -> str:
        """Begin a new binlog file; its beginning as `file:position`."""
        self._execute("FLUSH BINARY LOGS")
        ((file, position, *_),) = self._execute("SHOW BINARY LOG STATUS")
        return f"{file}:{position}"

    def _insert(self, table: str, rows: Rows, count: int, per_transaction: int) -> None:
        for begin in range(1, count + 1, per_transaction):
            end = min(begin + per_transaction, count + 1)
            self._execute("BEGIN")
            for first in range(begin, end, ROWS_PER_STATEMENT):
                numbers = range(first, min(first + ROWS_PER_STATEMENT, end))
                made = [rows.row(number) for number in numbers]
                with self._connection.cursor() as cursor:
                    cursor.executemany(insert_into(table, made[0]), made)
            self._execute("COMMIT")

    def _each(self, statement: str, arguments: list[tuple[Any, ...]]) -> None:
        """Each a transaction of its own, all in one packet: the round trips are not measured."""
        with self._connection.cursor() as cursor:
            cursor.execute(";".join(cursor.mogrify(statement, each) for each in arguments))
            while cursor.nextset():
                pass

    def _execute(
        self, statement: str, arguments: tuple[Any, ...] | None = None
    ) -> tuple[tuple[Any, ...], ...]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return tuple(cursor.fetchall())
