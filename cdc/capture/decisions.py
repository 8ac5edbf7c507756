"""What was decided on a table's description, and where: kept in the log beside the checkpoint.

A decision that was written down is never made again: a restart, a replay from an earlier place
and a batch that is done twice meet it at the same transaction and give the same schemas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.description import Description
from cdc.capture.gtid import MariadbGtidList, MysqlGtidSet
from cdc.errors import SourceError
from cdc.model import Record

FORMAT_VERSION: Final = 1

TableName = tuple[str, str]
"""Database and table."""

Why = Literal["catalogue", "ddl", "unknown", "dropped"]

_MYSQL_GTID = re.compile(r"(?P<source>[0-9a-f-]{36}(?::[a-z_]\w*)?):(?P<number>\d+)\Z")
_MARIADB_GTID = re.compile(r"\d+-\d+-\d+\Z")
_NUMBER = re.compile(r"\d+\Z")


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds for a table from a transaction on, until the next decision on it."""

    table: TableName
    transaction: str
    """The one that it was made in: its GTID, else file:position of its begin."""
    description: Description | None
    why: Why
    """catalogue: a reading that holds here; ddl: carried forward; unknown: the schema is plain."""
    is_final: bool = True
    """False: nothing could be known yet; it is to be tried again further on."""
    logical: tuple[tuple[str, str], ...] = ()
    """Without a description: columns and their types that may look like BINARY (`addresses`)."""

    def record(self, topic: str) -> Record:
        """The form that is kept: one record of a compacted topic, never overwritten by another."""
        value = {
            "version": FORMAT_VERSION,
            "why": self.why,
            "is_final": self.is_final,
            "logical": self.logical,
            "description": None if self.description is None else self.description.to_json(),
        }
        return Record(topic, 0, orjson.dumps([*self.table, self.transaction]), orjson.dumps(value))

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes | None) -> Decision:
        """The decision in a record; SourceError if it is damaged or of another version."""
        try:
            database, table, transaction = orjson.loads(key or b"")
            fields: dict[str, Any] = orjson.loads(value or b"")
            if fields["version"] == FORMAT_VERSION:
                found = fields["description"]
                return cls(
                    (database, table),
                    transaction,
                    None if found is None else Description.from_json(found),
                    fields["why"],
                    fields["is_final"],
                    tuple((name, kind) for name, kind in fields["logical"]),
                )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            pass
        raise SourceError(
            f"a stored description can't be read: {(key or b'')[:200]!r}",
            hint="it was written by another version of cdc, or is damaged; run that version, or"
            " begin anew under another connector name",
        )


class Decisions:
    """All decisions, in force or still ahead of the stream."""

    def __init__(self, stored: Iterable[Decision] = ()) -> None:
        """`stored` in the order in which they were made."""
        self._stored = list(stored)
        self._in_force: dict[TableName, Decision] = {}
        self._ahead: dict[str, dict[TableName, Decision]] = {}
        """By transaction."""

    def start(self, checkpoint: Checkpoint) -> None:
        """The stream begins here: what was decided before it is in force."""
        is_before = _Order(checkpoint).is_before
        self._in_force, self._ahead = {}, {}
        for decision in self._stored:
            if is_before(decision.transaction):
                self._in_force[decision.table] = decision
            else:
                self._ahead.setdefault(decision.transaction, {})[decision.table] = decision

    def in_force(self, table: TableName) -> Decision | None:
        return self._in_force.get(table)

    def tables(self) -> list[TableName]:
        """All tables that something is decided on."""
        return list(self._in_force)

    @property
    def has_ahead(self) -> bool:
        return bool(self._ahead)

    def ahead_in(self, transaction: str) -> list[TableName]:
        """The tables that a decision was made on in this transaction, at an earlier reading."""
        return list(self._ahead.get(transaction, ()))

    def take_ahead(self, table: TableName, transaction: str) -> Decision | None:
        """The decision of an earlier reading that comes into force here."""
        decision = self._ahead.get(transaction, {}).pop(table, None)
        if decision is not None:
            self._in_force[table] = decision
            if not self._ahead[transaction]:
                del self._ahead[transaction]
        return decision

    def withdraw(self, table: TableName) -> None:
        """The table's decision no longer holds, and no other does yet."""
        self._in_force.pop(table, None)

    def put(self, decision: Decision) -> None:
        """A new decision; kept for a later start as well."""
        self._stored.append(decision)
        self._in_force[decision.table] = decision


class _Order:
    """Which transactions are wholly before a checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        is_mysql = checkpoint.flavor == "mysql"
        self._mysql = MysqlGtidSet.parse(checkpoint.gtid_set) if is_mysql else MysqlGtidSet()
        self._mariadb = MariadbGtidList.parse("" if is_mysql else checkpoint.gtid_set)

    def is_before(self, transaction: str) -> bool:
        if transaction == self._checkpoint.transaction:
            return False  # it is read again from its begin
        if _MYSQL_GTID.match(transaction):
            return self._mysql.contains(MysqlGtidSet.parse(transaction))
        if _MARIADB_GTID.match(transaction):
            return self._mariadb.contains(MariadbGtidList.parse(transaction))
        file, _, pos = transaction.rpartition(":")
        return place_order(file, int(pos)) < place_order(
            self._checkpoint.file, self._checkpoint.pos
        )


def place_order(file: str, pos: int) -> tuple[int, int]:
    """Sorts places of one server's binlog."""
    number = _NUMBER.search(file)
    return int(number[0]) if number else 0, pos
