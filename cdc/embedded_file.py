"""The SQLite file that holds the embedded log and registry: connections and transactions.

What survives: `synchronous=FULL` in WAL mode syncs the log of SQLite before a commit becomes
visible, so no reader, in this process or another, ever sees a record that a power loss takes
back. `NORMAL` would lose the last transactions whole, which this file would stand, as records
and checkpoint go together; but a view or another log that had read them would be ahead of it.
The price is one sync per transaction, little when batches are large.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdc.errors import CdcError, LogError, Unreachable
from cdc.ports import Seam, untouched

FORMAT = 1
"""Number of the tables' form, kept as `user_version`."""

PAGE_BYTES = 8192
WAL_PAGES_MAX = 2000
"""Pages in the write-ahead log before a commit moves them into the file."""
WAL_KEPT_BYTES = 64 * 1024 * 1024
LOCK_POLL_SECONDS_MIN = 0.0005
LOCK_POLL_SECONDS_MAX = 0.008

# A record's place is its partition's id and its offset in one integer, so that a partition is
# one range of the table and needs no index.
OFFSET_BITS = 36
OFFSET_MASK = (1 << OFFSET_BITS) - 1

_TABLES = f"""
create table topics (
    id integer primary key,
    name text not null unique,
    retention_ms integer not null,  -- -1: for ever
    compacted integer not null
) strict;
create table partitions (
    id integer primary key,
    topic integer not null references topics,
    number integer not null,
    next integer not null,          -- the offset after the last record
    first integer not null,         -- the first offset that retention left
    cleaned integer not null,       -- compaction is done up to here
    unique (topic, number)
) strict;
create table records (
    place integer primary key,      -- partition id << {OFFSET_BITS} | offset
    timestamp_ms integer not null,
    key blob,
    headers blob,
    value blob                      -- last, so that the rest is read without it
) strict;
create table last_by_key (          -- of compacted topics, as far as they are cleaned
    partition integer not null,
    key blob not null,
    place integer not null,
    primary key (partition, key)
) strict, without rowid;
create table writers (
    name text primary key,
    epoch integer not null,
    checkpoint blob
) strict, without rowid;
create table groups (
    name text primary key,
    version integer not null        -- changes when who reads what may have changed
) strict, without rowid;
create table members (
    id integer primary key autoincrement,
    member_group text not null references groups,
    topics text not null,           -- a JSON list
    lease_until_ms integer not null
) strict;
create table claims (
    member_group text not null,
    partition integer not null,
    member integer not null,
    primary key (member_group, partition)
) strict, without rowid;
create table group_offsets (
    member_group text not null,
    partition integer not null,
    next integer not null,
    primary key (member_group, partition)
) strict, without rowid;
create table schemas (
    id integer primary key autoincrement,
    fingerprint blob not null unique,
    schema text not null            -- a JSON value
) strict;
create table subjects (
    subject text not null,
    version integer not null,
    schema integer not null references schemas,
    primary key (subject, version),
    unique (subject, schema)
) strict, without rowid;
pragma user_version = {FORMAT};
"""


class EmbeddedFile:
    """One connection to the file; threads take turns on it, processes by SQLite's lock."""

    def __init__(self, path: Path, *, wait_seconds: float, seam: Seam = untouched) -> None:
        self.path = path
        self._wait_seconds = wait_seconds
        self._turn = threading.RLock()
        self._version = -1
        with self._errors("opening"):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Waiting for the lock is our own: SQLite's waits up to 100 ms between two tries.
            self.connection: sqlite3.Connection = seam(
                sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            )
        try:
            self._prepare()
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self) -> None:
        execute = self.connection.execute
        with self._errors("opening"):
            self._check_empty_or_ours()
            execute(f"pragma page_size = {PAGE_BYTES}")
            self._patiently("opening", "pragma journal_mode = wal")
            execute("pragma synchronous = full")
            execute(f"pragma wal_autocheckpoint = {WAL_PAGES_MAX}")
            execute(f"pragma journal_size_limit = {WAL_KEPT_BYTES}")
            # A file that is ready is opened without its lock, which a writer may hold for long.
            if self._format() == 0:
                with self.transaction("opening"):
                    if self._format() == 0:
                        for statement in _TABLES.split(";\n"):
                            execute(statement)
        if (found := self._format()) != FORMAT:
            raise LogError(
                f"{self.path} has format {found}, this version reads {FORMAT}",
                hint="use the version of cdc that wrote it, or another file",
            )

    def _check_empty_or_ours(self) -> None:
        # One statement, so that a file in the making isn't seen half made.
        ((found, tables),) = self._patiently(
            "opening",
            "select user_version, (select count(*) from sqlite_master) from pragma_user_version",
        )
        if found == 0 and tables:
            raise LogError(
                f"opening: {self.path} is the database of something else",
                hint="give the embedded log a file of its own",
            )

    def _format(self) -> int:
        ((found,),) = self._patiently("opening", "pragma user_version")
        return int(found)

    @contextmanager
    def transaction(self, doing: str) -> Iterator[sqlite3.Connection]:
        """A write transaction: all of the block or nothing."""
        with self._turn, self._errors(doing):
            self._patiently(doing, "begin immediate")
            try:
                yield self.connection
                self._patiently(doing, "commit")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("rollback")
                raise

    def rows(self, doing: str, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query on committed data."""
        with self._turn, self._errors(doing):
            return self._patiently(doing, statement, values)

    def scan(self, doing: str, statement: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """The rows of a query one by one; to be closed."""
        with self._turn, self._errors(doing):
            yield from self.connection.execute(statement, values)

    def has_changed(self) -> bool:
        """Whether another connection committed since the last call; cheap enough to ask often."""
        with self._turn, self._errors("watching"):
            (version,) = self.connection.execute("pragma data_version").fetchone()
        changed = bool(version != self._version)
        self._version = version
        return changed

    def close(self) -> None:
        with self._turn:
            self.connection.close()

    def _patiently(self, doing: str, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run what may need SQLite's lock, waiting for it within the bound."""
        deadline = time.monotonic() + self._wait_seconds
        pause = LOCK_POLL_SECONDS_MIN
        while True:
            try:
                return self.connection.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                if time.monotonic() > deadline:
                    raise Unreachable(
                        f"{doing}: {self.path} was locked for {self._wait_seconds:g} s",
                        hint="another process holds a transaction open; find and end it",
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, LOCK_POLL_SECONDS_MAX)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except CdcError:
            raise
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                raise Unreachable(f"{doing}: {self.path} is locked") from error
            raise LogError(
                f"{doing}: {self.path}: {error}",
                hint="check the disk's free space, the file's rights and that its folder is on a"
                " local disk",
            ) from error
        except (sqlite3.DatabaseError, OSError) as error:
            raise LogError(
                f"{doing}: {self.path}: {error}",
                hint="this isn't the file of an embedded log, or it is damaged; use another",
            ) from error


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
