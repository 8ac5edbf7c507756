"""Changes that can't be published: each stops capture with its place, or is counted if accepted.

Never passed in silence (invariant 2). What `source.accept` names is counted as dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from cdc.capture import binlog
from cdc.capture.dead_changes import DeadChanges, Place
from cdc.capture.prepared_rows import PreparedRow
from cdc.dead_letters import LEFT_OUT_COLUMNS, STATEMENT_ROWS
from cdc.errors import DecodeError
from cdc.findings import listed
from cdc.model import Revision

STATEMENT_SHOWN_MAX = 100
"""Characters of a statement in a message."""


class AbsentColumn(Protocol):
    """A column that row images leave out, though their change events show it."""

    name: str
    absent: bytes | None
    """What can stand for it; None: nothing."""


class Unpublishable:
    """Decides by what the configuration accepts."""

    def __init__(
        self,
        accept: Collection[str],
        dropped: Counter[tuple[str, str]],
        dead_changes: DeadChanges,
    ) -> None:
        self._accept, self._dropped = frozenset(accept), dropped
        self._dead_changes = dead_changes

    def _stop_or_count(self, name: str, table: str, message: str, hint: str) -> None:
        if name not in self._accept:
            raise DecodeError(
                message, hint=f"{hint}; to go on without these changes: source.accept: [{name}]"
            )
        self._dropped[table, f"{name} is in source.accept"] += 1

    def left_out(self, table: str, columns: Sequence[AbsentColumn]) -> DecodeError | None:
        """Row images of a session with a `binlog_row_image` other than FULL: what is wrong with
        them, if anything is."""
        is_accepted = "row_image_not_full" in self._accept
        lost = [one for one in columns if one.absent is None or not is_accepted]
        if not lost:
            return None
        names = list(dict.fromkeys(one.name for one in lost))
        hint = (
            "a session wrote it with binlog_row_image other than FULL; set it to FULL everywhere,"
            " then begin after this place and compare the table"
        )
        if all(one.absent is not None for one in lost):
            hint += "; to go on with placeholders for them: source.accept: [row_image_not_full]"
        word = "column" if len(names) == 1 else "columns"
        return DecodeError(
            f"a row of {table} comes without its {word} {listed(names)}",
            hint=hint,
            kind=LEFT_OUT_COLUMNS,
        )

    def rows_as_text(self, text: str, database: str, place: str, transaction: str) -> None:
        """A session with a `binlog_format` other than ROW changed rows."""
        name = STATEMENT_ROWS
        if name in self._accept:
            self._dropped[database, f"{name} is in source.accept"] += 1
            return
        file, _, pos = place.rpartition(":")
        error = DecodeError(
            f"a session wrote {(text.split(None, 1) or [''])[0].upper()} as a statement, not"
            f" as rows, at {place} in database {database}",
            hint="SET PERSIST binlog_format=ROW and forbid sessions to change it; the rows of this"
            " statement are not in the binlog: begin after this place and compare the tables; to go"
            f" on without these changes: source.accept: [{name}]",
            kind=name,
        )
        self._dead_changes.statement(text, database, Place(transaction, file, int(pos)), error)

    def prepared(self, row: PreparedRow, numbered: Revision, transaction: str) -> None:
        """A row that was kept since XA PREPARE is to be published."""
        self._dead_changes.check_prepared(row, numbered, transaction)

    def truncated(self, bound: Any, numbered: Revision) -> None:
        """TRUNCATE of a captured table, whose event is to be published."""
        self._dead_changes.check_truncate(bound, numbered)

    def truncate_of_any(self, text: str, place: str) -> None:
        """TRUNCATE of a table whose name can't be read."""
        self._stop_or_count(
            "statement_rows",
            "",
            f"{text[:STATEMENT_SHOWN_MAX]!r} at {place}: which table it empties can't be told",
            "find it in mysqlbinlog, begin after this place and compare the table",
        )

    def rolled_back(self, text: str, database: str, place: str) -> None:
        """ROLLBACK, or ROLLBACK TO, behind rows that may be published already."""
        self._stop_or_count(
            "rolled_back_rows",
            database,
            f"{text[:STATEMENT_SHOWN_MAX]} of a transaction with rows at {place}: rows that"
            " didn't stay may have been published",
            "a session made temporary tables or changed tables without transactions in it, under a"
            " binlog_format other than ROW; begin after this place and compare its tables",
        )

    def prepared_before_start(self, xid: str, place: str) -> None:
        """XA COMMIT of what was prepared before this reading began."""
        self._stop_or_count(
            "prepared_before_start",
            "",
            f"XA COMMIT of {xid} at {place}: its rows came with its XA PREPARE, before the place"
            " where this reading began",
            "begin before its XA PREPARE, or compare the tables that it changed",
        )

    def incident(self, place: str) -> None:
        self._stop_or_count(
            "incident",
            "",
            f"the source reports an INCIDENT at {place}: it lost changes itself",
            "compare the tables with their source of truth, then begin after this place",
        )

    def unknown_event(self, kind: int, place: str) -> None:
        """An event that isn't flagged ignorable."""
        self._stop_or_count(
            "unknown_events",
            "",
            f"{binlog.name_of(kind)} at {place} can't be read by this version of cdc, and its"
            " server says that it must not be ignored",
            "take a newer version, or begin after this place",
        )
