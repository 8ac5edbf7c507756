# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""The tables that TABLE_MAP events announce, each bound to what makes change events of its rows.

A table is bound once for each raw TABLE_MAP, and anew when another description of it holds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cython

from cdc.capture import shapes
from cdc.capture.knowledge import NEVER, Place
from cdc.capture.lineage import POSITION_MAX
from cdc.capture.schema_changes import Said
from cdc.capture.shapes import parse_table_map, table_of

if cython.compiled:
    from cython.cimports.cdc.capture.block_writer import BlockWriter
    from cython.cimports.cdc.capture.bound_table import BoundTable
    from cython.cimports.cdc.capture.cursor import Cursor, uint
    from cython.cimports.cdc.capture.transaction import Transaction
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
    from cython.cimports.libc.string import memcmp
else:
    from cdc.capture.block_writer import BlockWriter
    from cdc.capture.bound_table import BoundTable
    from cdc.capture.cursor import Cursor, uint
    from cdc.capture.transaction import Transaction

TABLE_MAPS_MAX = 10_000
"""Plans kept by the raw bytes of their TABLE_MAP, and ids at a time; see below."""
COLUMNS_MAX = 200_000
"""Columns of all plans that are kept, of some 600 bytes each; beyond it all are forgotten."""
DUMMY_TABLE_ID = cython.declare(cython.longlong, 0xFFFFFF)


@cython.cclass
class Tables:
    """What the binder knows of the tables in the stream, kept at hand."""

    def __init__(
        self, binder: Any, block: BlockWriter, transaction: Transaction, cursor: Cursor
    ) -> None:
        self.binder, self.block = binder, block
        self.transaction, self.cursor = transaction, cursor
        self.substituted = Counter[tuple[str, str]]()
        self.by_map: dict[bytes, BoundTable] = {}
        self.waits_until = NEVER
        """The position from which on the binder is to be told of each transaction: some table's
        description is due then."""
        self.forget_all()

    def start(self, checkpoint: Any) -> None:
        """Begin at a checkpoint."""
        self.flavor = checkpoint.flavor
        self.binder.start(checkpoint)
        self.look_when()
        self.forget_all()

    def substitutions(self) -> dict[tuple[str, str], int]:
        """(table, column) → values that were substituted as documented (invariant 2)."""
        for bound in self.by_map.values():
            for column in bound.plan.read_columns:
                if column.substitutions:
                    self.substituted[bound.name, column.name] += column.substitutions
                    column.substitutions = 0  # the plan may be forgotten, the count may not
        return dict(self.substituted)  # compiled, a subclass of dict would be refused

    def look_when(self) -> None:
        """The binder may be waiting for another place, or the stream is in another file."""
        self.waits_until = self.binder.waits_until(self.cursor.file)

    def forget_ids(self) -> None:
        """Table ids hold for one run of a server."""
        self.by_id: dict[int, BoundTable] = {}
        self.last_map, self.last_id = b"", -1

    @cython.cfunc
    @cython.exceptval(-1)
    def forget_ids_if_many(self) -> cython.int:
        """Between transactions: each statement announces its tables anew."""
        if len(self.by_id) > TABLE_MAPS_MAX:
            self.forget_ids()
        return 0

    def _forget_old_ids(self) -> None:
        """Inside a transaction: a statement may still need those that came last."""
        for table_id in list(self.by_id)[: TABLE_MAPS_MAX // 2]:
            del self.by_id[table_id]

    def forget_all(self) -> None:
        """Nothing is known of any table."""
        self.substitutions()
        self.by_map = {}
        self.by_name: dict[str, BoundTable] = {}
        self.column_count = 0
        self.forget_ids()

    def _forget(self, names: list[str]) -> None:
        """Another description holds for these tables: their next TABLE_MAP binds them anew."""
        if names:
            gone = frozenset(names)
            self.substitutions()
            self.by_map = {body: one for body, one in self.by_map.items() if one.name not in gone}
            # Ids that a statement announced stay: its rows may follow.
            self.last_map, self.last_id = b"", -1

    def opened(self) -> None:
        """A transaction has begun, and some table's description may be due."""
        self._forget(self.binder.opened(self._where()))
        self.look_when()

    def defined(self, said: Said) -> None:
        """DDL was said: what tables are from here on."""
        self._forget(self.binder.statement(said, self.flavor, self._where()))
        self._add_records()

    def _where(self) -> Place:
        # Beyond 32 bits no dump can begin; only a transaction that began below reaches there.
        is_reachable = self.cursor.position <= POSITION_MAX
        pos = self.cursor.position if is_reachable else self.transaction.begun_at
        return Place(self.transaction.text(), self.cursor.file, pos)

    def _add_records(self) -> None:
        """What the binder has to say beside the change events."""
        for record in self.binder.records():
            self.block.add(*record)
        self.look_when()

    @cython.cfunc
    @cython.exceptval(-1)
    def announced(
        self,
        events: bytes,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.int:
        """A TABLE_MAP: which table the next rows events of its id are of."""
        if end - at < 8:
            raise self.cursor.damaged("a TABLE_MAP event is too short")
        table_id: cython.longlong = uint(data, at, 6)
        if cython.compiled:  # most transactions repeat the last one: no object for these
            size: cython.Py_ssize_t = end - at - 8
            if (
                table_id == self.last_id
                and size == len(self.last_map)
                and not memcmp(data + at + 8, PyBytes_AS_STRING(self.last_map), size)
            ):
                return 0
        body = events[at + 8 : end]
        found = self.by_map.get(body)
        if found is None:
            found = self._bind(body)
        if len(self.by_id) > TABLE_MAPS_MAX:
            self._forget_old_ids()
        self.by_id[table_id] = found
        self.last_map, self.last_id, self.last = body, table_id, found
        return 0

    def _bind(self, body: bytes) -> BoundTable:
        """A table whose TABLE_MAP was not seen before."""
        if len(self.by_map) >= TABLE_MAPS_MAX or self.column_count > COLUMNS_MAX:
            self.substitutions()
            self.by_map = {}
            self.by_name = {}
            self.column_count = 0
        is_captured = self.binder.captures(*table_of(body))
        shape = parse_table_map(body, self.flavor, sizes_only=not is_captured)
        bound: BoundTable = self.binder.bind(shape, self.flavor, self._where())
        bound.table_map = body
        bound.json_columns = tuple(
            i for i, column in enumerate(shape.columns) if column.type == shapes.JSON
        )
        self._add_records()
        if self.binder.take_changed():
            self._forget([bound.name])
        self.by_map[body] = bound
        self.by_name[bound.name] = bound
        self.column_count += len(shape.columns)
        return bound

    @cython.cfunc
    def of(self, table_id: cython.longlong) -> BoundTable:
        """The table of a rows event; None for the dummy that only ends a statement."""
        if table_id == self.last_id:
            return self.last
        found = self.by_id.get(table_id)
        if found is None and table_id != DUMMY_TABLE_ID:
            raise self.cursor.damaged(f"rows of table id {table_id}, which no TABLE_MAP announced,")
        return found

    def named(self, database: str, table: str) -> BoundTable:
        """The table of this name, to say something of it without rows; None if nothing is known."""
        found = self.by_name.get(f"{database}.{table}")
        return found or self.binder.bind_unseen(database, table, self.flavor)
