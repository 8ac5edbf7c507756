"""Transactions of every kind, with a ledger of them written in the same transactions.

The ledger is the truth that doesn't come from the binlog. Each writer has tables of its own, so it
knows the version that each change makes; the ledger is everybody's."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pymysql.constants.ER import LOCK_DEADLOCK
from pymysql.err import InterfaceError, OperationalError

from tests.faults.rows import KINDS, WIDER, Key, Row, Table, row_hash
from tests.services_plugin import FreshDatabase

TABLES_PER_WRITER = 2
ROWS_MAX = 6_000
DDL_CHANCE = 0.01
ROLLBACK_CHANCE = 0.1
SAVEPOINT_CHANCE = 0.2
BULK_ROWS_MIN = 4
"""From so many rows on, one statement changes them all."""
SIZES = ((1, 3, 60.0), (4, 20, 25.0), (21, 100, 5.0), (101, 1_000, 0.6), (5_000, 5_000, 0.1))
"""Rows of a transaction, from and to, and how often."""

LEDGER = """create table ledger (
  seq bigint auto_increment primary key, tx varchar(40) not null, tbl varchar(40) not null,
  pk varchar(40) not null, ver int not null, op char(1) not null, row_hash char(32) not null
) default charset utf8mb4"""
BEGUN = "create table begun (file varchar(250), pos bigint, gtids text)"
NOTE = "insert into ledger (tx, tbl, pk, ver, op, row_hash) values (%s, %s, %s, %s, %s, %s)"
COMPRESSION = "set binlog_transaction_compression = %s"
MARKER = "marker"
SAVEPOINT = "part"
LOST = (OperationalError, InterfaceError, OSError)
AWAY_SECONDS_MAX = 120.0
LOOK_SECONDS = 0.1
DAY = 86_400.0


def patterns(database: FreshDatabase) -> list[str]:
    """The tables that a connector has to capture."""
    return [f"{database.name}.w*", f"{database.name}.ledger"]


def place_of(cursor: Any, kind: str) -> tuple[str, int, str]:
    """The binlog's end: file, position, executed GTIDs."""
    cursor.execute(f"show {'binary log' if kind == 'mysql' else 'master'} status")
    file, position = cursor.fetchone()[:2]
    cursor.execute(f"select @@{'gtid_executed' if kind == 'mysql' else 'gtid_binlog_pos'}")
    return str(file), int(position), str(cursor.fetchone()[0]).replace("\n", "")


@dataclass
class Workload:
    """Writers in threads of their own for as long as the block runs, then a marker."""

    database: FreshDatabase
    seed: int
    writers: int = 2
    pause_seconds: float = 0.005
    rows_max: int = 5_000
    """Of one transaction."""
    outlives: bool = False
    """Whether writers wait for a server that goes away, and go on with what it kept."""
    ddl_chance: float = DDL_CHANCE
    sizes: Sequence[tuple[int, int, float]] = SIZES
    is_skewed: bool = False
    """Whether each transaction is of another time, up to a day away."""
    compressed_share: float = 0.0
    """So many transactions are one compressed event of the binlog; MySQL alone does that."""
    count: int = 0
    """Transactions that are committed."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tables = [
            [
                Table(f"w{writer}_{n}", bool(n % 2), {f"c{i}": kind for i, kind in _first(n)})
                for n in range(TABLES_PER_WRITER)
            ]
            for writer in range(self.writers)
        ]
        self._dice = [Random(f"{self.seed}/{writer}") for writer in range(self.writers)]
        self._numbers = [0] * self.writers
        self._threads: list[threading.Thread] = []

    @property
    def tables(self) -> Sequence[Table]:
        return [table for own in self._tables for table in own]

    def create(self) -> None:
        """The tables, and the place in the binlog from where on the ledger tells everything."""
        self.database.execute(*(table.create for table in self.tables), LEDGER, BEGUN)
        with self.database.connect() as connection, connection.cursor() as cursor:
            place = place_of(cursor, self.database.server.kind)
            cursor.execute("insert into begun values (%s, %s, %s)", place)

    def __enter__(self) -> Workload:
        self._stop.clear()
        self._threads = [
            threading.Thread(target=self._run, args=(writer,)) for writer in range(self.writers)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._stop.is_set():
            self.end()

    def end(self) -> None:
        """Before the block's end, if need be."""
        self.rest()
        with self.database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(NOTE, (MARKER, "", "", 0, "m", ""))

    def rest(self) -> None:
        """The writers end, without a marker: others go on, perhaps at another server."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self._failures, self._failures

    def write(self, count: int) -> None:
        """So many transactions, here and now; not within the block."""
        wanted = self.count + count
        with self.database.connect(autocommit=False) as connection:
            while self.count < wanted:
                self._transaction(connection, 0)

    def _run(self, writer: int) -> None:
        try:
            connection = self.database.connect(autocommit=False)
            while not self._stop.wait(self.pause_seconds):
                try:
                    self._transaction(connection, writer)
                except LOST:
                    if not self.outlives:
                        raise
                    connection = self._again()
            connection.close()
        except BaseException as failure:  # noqa: BLE001  # it is raised where the load is joined
            self._failures.append(failure)

    def _again(self) -> Any:
        """A connection to the server when it is back."""
        deadline = time.monotonic() + AWAY_SECONDS_MAX
        while True:
            try:
                return self.database.connect(autocommit=False)
            except LOST:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_SECONDS)

    def _was_kept(self, name: str) -> bool:
        """Whether a transaction whose end isn't known was committed."""
        with self._again() as connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from ledger where tx = %s", (name,))
            return bool(cursor.fetchone()[0])

    def _transaction(self, connection: Any, writer: int) -> None:
        self._numbers[writer] += 1
        name = f"{self.seed:x}.{writer}.{self._numbers[writer]}"
        with connection.cursor() as cursor:
            self._change(connection, cursor, writer, name)

    def _change(self, connection: Any, cursor: Any, writer: int, name: str) -> None:
        tables, dice = self._tables[writer], self._dice[writer]
        if self.is_skewed:
            cursor.execute("set timestamp = %s", (time.time() + dice.uniform(-DAY, DAY),))
        if self.compressed_share:
            cursor.execute(COMPRESSION, (dice.random() < self.compressed_share,))
        if dice.random() < self.ddl_chance:
            statement = change_columns(cursor, dice, dice.choice(tables))
            digest = hashlib.md5(statement.encode()).hexdigest()
            cursor.execute(NOTE, (name, "", "", 0, "s", digest))
            connection.commit()
            return
        transaction = Transaction(cursor, dice, tables, name)
        try:
            transaction.run(min(_size(dice, self.sizes), self.rows_max))
            if dice.random() < ROLLBACK_CHANCE:
                connection.rollback()
                transaction.undo()
            else:
                connection.commit()
                self.count += 1
        except LOST as error:
            if error.args and error.args[0] == LOCK_DEADLOCK:
                # What is rolled back leaves gap locks at the ledger's end; then it is itself.
                connection.rollback()
                transaction.undo()
                return
            if not self.outlives or not self._was_kept(name):
                transaction.undo()
            raise


class Transaction:
    """Steps of one transaction, each followed by its entries in the ledger."""

    def __init__(self, cursor: Any, dice: Random, tables: Sequence[Table], name: str) -> None:
        self._cursor, self._dice, self._tables, self._name = cursor, dice, tables, name
        self._was: list[tuple[Table, Key, Row | None, int | None]] = []
        self._entries: list[tuple[str, str, str, int, str, str]] = []

    def run(self, rows: int) -> None:
        """Change so many rows."""
        dice, left = self._dice, rows
        while left > 0:
            # Not before the first step: a savepoint alone would be a transaction in the binlog.
            has_savepoint = bool(self._was) and dice.random() < SAVEPOINT_CHANCE
            mark = len(self._was)
            if has_savepoint:
                self._cursor.execute(f"savepoint {SAVEPOINT}")
            count = left if left > BULK_ROWS_MIN and dice.random() < 0.5 else dice.randint(1, left)
            self._step(count)
            left -= count
            if has_savepoint and dice.random() < 0.5:
                self._cursor.execute(f"rollback to savepoint {SAVEPOINT}")
                self.undo(mark)

    def undo(self, mark: int = 0) -> None:
        """What is known of the rows is again what it was."""
        while len(self._was) > mark:
            table, key, row, version = self._was.pop()
            for known, value in ((table.rows, row), (table.versions, version)):
                if value is None:
                    known.pop(key, None)
                else:
                    known[key] = value  # type: ignore[index]

    def _step(self, count: int) -> None:
        dice = self._dice
        table = dice.choice(self._tables)
        act = dice.random()
        if len(table.rows) < 10 or (act < 0.45 and len(table.rows) + count <= ROWS_MAX):
            self._insert(table, count)
        elif act < 0.8:
            self._update(table, self._some(table, count))
        elif act < 0.92:
            self._delete(table, self._some(table, count))
        else:
            self._change_keys(table)
        self._cursor.executemany(NOTE, self._entries)
        self._entries.clear()

    def _some(self, table: Table, count: int) -> list[Key]:
        return self._dice.sample(list(table.rows), min(count, len(table.rows)))

    def _insert(self, table: Table, count: int) -> None:
        keys = {table.new_key(self._dice): None for _ in range(count)}
        rows = [self._made(table, key, table.values(self._dice), "c") for key in keys]
        self._cursor.executemany(*_insertion(table, rows))

    def _update(self, table: Table, keys: Sequence[Key]) -> None:
        rows = []
        for key in keys:
            fresh = table.values(self._dice)
            kept = {name for name in fresh if self._dice.random() < 0.5}
            before = table.rows[key]
            values = {name: before[name] if name in kept else fresh[name] for name in fresh}
            rows.append(self._made(table, key, values, "u"))
        if len(rows) >= BULK_ROWS_MIN:
            statement, parameters = _insertion(table, rows)
            names = [name for name in rows[0] if name != "id"]
            sets = ", ".join(f"{name} = values({name})" for name in names)
            self._cursor.executemany(f"{statement} on duplicate key update {sets}", parameters)
            return
        for key, row in zip(keys, rows, strict=True):
            self._write(table, key, row)

    def _delete(self, table: Table, keys: Sequence[Key]) -> None:
        for key in keys:
            self._gone(table, key)
        marks = ", ".join(["%s"] * len(keys))
        self._cursor.execute(f"delete from {table.name} where id in ({marks})", list(keys))

    def _change_keys(self, table: Table) -> None:
        """A row gets another key, or two rows exchange theirs."""
        first, second = self._some(table, 2)
        free = table.new_key(self._dice)
        if self._dice.random() < 0.5:
            self._move(table, first, free)
            return
        for old, new in ((first, free), (second, first), (free, second)):
            self._move(table, old, new)

    def _move(self, table: Table, old: Key, new: Key) -> None:
        values = {name: table.rows[old][name] for name in table.columns}
        self._gone(table, old)
        self._write(table, old, self._made(table, new, values, "c"))

    def _write(self, table: Table, key: Key, row: Row) -> None:
        names = list(row)
        sets = ", ".join(f"{name} = %s" for name in names)
        self._cursor.execute(
            f"update {table.name} set {sets} where id = %s", [*table.parameters(row, names), key]
        )

    def _made(self, table: Table, key: Key, values: Row, op: str) -> Row:
        """The row in its next version, noted."""
        version = self._next_version(table, key)
        row: Row = {"id": key, "ver": version, "tx": self._name, **values}
        digest = row_hash(row)
        row["h"] = digest
        table.rows[key] = row
        self._entries.append((self._name, table.name, str(key), version, op, digest))
        return row

    def _gone(self, table: Table, key: Key) -> None:
        """Without the row; its end is a version too."""
        version = self._next_version(table, key)
        digest = str(table.rows.pop(key)["h"])
        self._entries.append((self._name, table.name, str(key), version, "d", digest))

    def _next_version(self, table: Table, key: Key) -> int:
        self._was.append((table, key, table.rows.get(key), table.versions.get(key)))
        version = table.versions[key] = table.versions.get(key, 0) + 1
        return version


def change_columns(cursor: Any, dice: Random, table: Table) -> str:
    """Adds, drops or widens a column; the statement."""
    act = dice.choice(("add", "drop", "modify"))
    narrow = [name for name, kind in table.columns.items() if kind in WIDER]
    if act == "drop" and len(table.columns) > 2:
        name = dice.choice(list(table.columns))
        change = f"drop column {name}"
        del table.columns[name]
        for row in table.rows.values():
            del row[name]
    elif act == "modify" and narrow:
        name = dice.choice(narrow)
        table.columns[name] = WIDER[table.columns[name]]
        change = f"modify {name} {table.columns[name]} null"
    else:
        table.added += 1
        name, kind = f"a{table.added}", dice.choice(list(KINDS))
        place = dice.choice(("", " first", " after ver"))
        change = f"add column {name} {kind} null{place}"
        table.columns[name] = kind
        for row in table.rows.values():
            row[name] = None
    statement = f"alter table {table.name} {change}"
    cursor.execute(statement)
    return statement


def _insertion(table: Table, rows: Sequence[Row]) -> tuple[str, list[list[Any]]]:
    names = list(rows[0])
    marks = ", ".join(["%s"] * len(names))
    statement = f"insert into {table.name} ({', '.join(names)}) values ({marks})"
    return statement, [table.parameters(row, names) for row in rows]


def _first(table: int) -> list[tuple[int, str]]:
    """The columns that a table begins with."""
    kinds = list(KINDS)
    return list(enumerate(kinds[table:] if table else kinds))


def _size(dice: Random, sizes: Sequence[tuple[int, int, float]]) -> int:
    low, high, _ = dice.choices(sizes, [weight for *_, weight in sizes])[0]
    return dice.randint(low, high)
