# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Binlog events to change event records: the step of the capture stage.

A deterministic state machine: the records and the checkpoint are a function of the checkpoint
it began at and the events since. Compiled by Cython where a compiler is there, the same source
as plain Python elsewhere; nothing here or in rows.py makes an object per column.

Each event type has one method; `_event` is the table of contents.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections import Counter
from typing import Any

import cython

from cdc.capture import binlog, statements
from cdc.capture.batch import EventBatch
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.executed import Executed
from cdc.capture.gtid import NUMBER_MAX
from cdc.capture.shapes import parse_table_map, table_of
from cdc.errors import DecodeError
from cdc.model import ID_HEADER, ORDINAL_BITS, REVISION_HEADER, SEQUENCE_BITS, Output, Record

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.rows import RowPlan
    from cython.cimports.cdc.codec.partition import hash_of
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.rows import RowPlan
    from cdc.codec.partition import hash_of

TABLE_MAPS_MAX = 10_000
"""Plans kept by the raw bytes of their TABLE_MAP; all are forgotten when there are more."""
COMMIT_MICROS_MAX = ((1 << 63) - 1) // 1000
"""Of a time whose nanoseconds have 64 bits, up to the year 2262."""
FORMAT_DESCRIPTION_BYTES_MIN = binlog.HEADER_BYTES + 2 + 50 + 4 + 1 + 1 + binlog.CHECKSUM_BYTES

_new_record = tuple.__new__


@cython.cclass
class BoundTable:
    """A table's plan with what is fixed for this connector: topic, frames, names."""

    topic: Any
    plan: RowPlan
    captured: cython.bint
    value_frame: bytes
    key_frame: bytes
    static_source: bytes
    """`source` from version to name, as Avro."""
    database: bytes
    """As an Avro string."""
    table: bytes
    name: Any
    """`database.table`, for counters and transaction records."""

    def __init__(
        self,
        name: str,
        plan: RowPlan,
        topic: str = "",
        frames: tuple[bytes, bytes] = (b"", b""),
        static_source: bytes = b"",
        names: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        self.name = name
        self.plan = plan
        self.topic = topic
        self.captured = bool(topic)
        self.value_frame, self.key_frame = frames
        self.static_source = static_source
        self.database, self.table = names


@cython.cclass
class Decoder:
    """Follows one reading of a binlog; called with each batch, gives records and checkpoint."""

    binder: Any
    executed: Any
    dropped = cython.declare(object, visibility="readonly")
    flavor: Any
    server: Any
    file: Any
    checksummed: cython.bint
    described: cython.bint
    """True once a format description was seen: `checksummed` is known, not assumed."""
    position: cython.longlong
    event_position: cython.longlong
    tables: dict[int, BoundTable]
    bound_by_map: dict[bytes, BoundTable]
    bound_by_name: dict[str, BoundTable]
    records: list[Record]
    out: Out
    other: Out
    head: Out
    tail: Out
    key: Out
    old_key: Out
    scratch: Out
    is_open: cython.bint
    """A GTID or BEGIN was seen, its end was not."""
    in_transaction: cython.bint
    """Rows may come."""
    begun_at: cython.longlong
    transaction: Any
    transaction_prefix: bytes
    gtid: bytes
    """As an optional Avro string."""
    commit_micros: cython.longlong
    server_seconds: cython.longlong
    thread: cython.longlong
    ordinal: cython.longlong
    resume_transaction: Any
    resume_ordinal: cython.longlong
    skip_until: cython.longlong
    is_resumed: cython.bint
    """The open transaction's begin was published before a restart."""
    epoch: cython.longlong
    sequence: cython.longlong
    now: bytes
    """The envelope's ts_ms, ts_us, ts_ns, as Avro."""
    now_nanos: Any
    clock: Any
    tombstones: cython.bint
    skipped: Any
    with_transactions: cython.bint
    is_muted: cython.bint
    """The rows now read were published before a restart: count them, no more."""
    total_order: cython.longlong
    collections: dict[str, int]

    def __init__(self, binder: Any, settings: Any, clock: object = time.time_ns) -> None:
        self.binder = binder
        self.clock = clock
        self.tombstones = settings.tombstones_on_delete
        self.skipped = settings.skipped_operations
        self.with_transactions = settings.provide_transaction_metadata
        self.dropped = Counter()
        self.executed = None
        self.checksummed = False
        self.tables = {}
        self.bound_by_map = {}
        self.bound_by_name = {}
        self.out, self.other = Out(1 << 16), Out(1 << 12)
        self.head, self.tail, self.key, self.old_key = Out(512), Out(64), Out(256), Out(256)
        self.scratch = Out(256)

    def __call__(self, batch: EventBatch) -> Output[Record, Checkpoint]:
        """The change events of a batch and the checkpoint after them."""
        if batch.start is not None:
            self._begin(batch.start)
        assert self.executed is not None, "the first batch says where it starts"
        self.records = []
        self.now_nanos = self.clock()
        self.scratch.clear()
        for unit in (1_000_000, 1_000, 1):
            self.scratch.put(1)
            self.scratch.put(self.now_nanos // unit)
        self.now = self.scratch.value()
        self._events(batch.events)
        records, self.records = self.records, []
        return Output(records, self.checkpoint())

    def checkpoint(self) -> Checkpoint:
        """The place after the last event decoded."""
        return Checkpoint(
            flavor=self.flavor,
            server=self.server,
            gtid_set=str(self.executed),
            file=self.file,
            # An open transaction is read again from its begin, its GTID event included.
            pos=self.begun_at if self.is_open else self.position,
            transaction=self.transaction if self.in_transaction else "",
            rows_done=self.ordinal if self.in_transaction else 0,
            epoch=self.epoch,
            sequence=self.sequence,
            time_seconds=self.server_seconds,
        )

    def substitutions(self) -> dict[tuple[str, str], int]:
        """(table, column) → values that were substituted as documented (invariant 2)."""
        counts: Counter[tuple[str, str]] = Counter()
        for bound in self.bound_by_map.values():
            for column in bound_columns(bound):
                if column.substitutions:
                    counts[bound_name(bound), column.name] += column.substitutions
        return dict(counts)  # compiled, a subclass of dict would be refused

    def _begin(self, start: Checkpoint) -> None:
        self.flavor, self.server = start.flavor, start.server
        self.executed = Executed(start.flavor, start.gtid_set)
        self.file, self.position = start.file, start.pos
        self.resume_transaction, self.resume_ordinal = start.transaction, start.rows_done
        self.epoch, self.sequence = start.epoch, start.sequence
        self.server_seconds = start.time_seconds
        self.is_open = self.in_transaction = self.is_resumed = False
        self.checksummed = self.described = self.is_muted = False
        self.ordinal = self.skip_until = self.total_order = 0
        self.begun_at = self.position
        self.tables = {}

    def _place(self) -> str:
        return f"{self.file}:{self.event_position}"

    def _damaged(self, what: str) -> DecodeError:
        return DecodeError(
            f"{what} at {self._place()}",
            hint="the binlog is damaged, on the source's disk or on the way; compare with"
            " mysqlbinlog --verify-binlog-checksum",
        )

    @cython.cfunc
    def _events(self, events: bytes) -> cython.int:
        """Decode events that stand back to back."""
        total: cython.Py_ssize_t = len(events)
        at: cython.Py_ssize_t = 0
        size: cython.Py_ssize_t
        end: cython.Py_ssize_t
        kind: cython.int
        flags: cython.int
        log_position: cython.longlong
        data: cython.p_const_uchar
        if cython.compiled:
            data = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(events))
        else:
            data = events
        view = memoryview(events)
        while at < total:
            if total - at < 19:
                raise self._damaged(f"{total - at} bytes are left where an event should begin")
            kind = data[at + 4]
            size = _uint(data, at + 9, 4)
            log_position = _uint(data, at + 13, 4)
            flags = _uint(data, at + 17, 2)
            if size < 19 or size > total - at:
                raise self._damaged(f"an event claims {size} bytes, {total - at} are there")
            end = at + size
            if flags & 0x20 or (log_position == 0 and (kind == 15 or kind == 27 or kind == 41)):
                self.event_position = self.position  # artificial: not in the file
            elif log_position:
                # 32 bits of a position that may have more: it only rises within a file.
                log_position += self.position >> 32 << 32
                if log_position < self.position:
                    log_position += 4294967296
                self.position = log_position
                self.event_position = log_position - size
            else:  # MariaDB from 11.4 leaves it out inside transactions
                self.event_position = self.position
                self.position += size
            if kind == 15:
                self._format_description(events, at, end)
            elif not self.described and kind == 4 and size >= 31:
                # A dump's first event comes before the word on checksums; it may have one.
                self.checksummed = zlib.crc32(view[at : end - 4]) == _uint(data, end - 4, 4)
            if self.checksummed:
                end -= 4
                if end < at + 19:
                    raise self._damaged(f"an event of {size} bytes has no room for a checksum")
                if zlib.crc32(view[at:end]) != _uint(data, end, 4) and not (
                    kind == 15 and _crc_of_open_file(events, at, end) == _uint(data, end, 4)
                ):
                    raise self._damaged(f"the checksum of {binlog.name_of(kind)} is wrong")
            # A dump repeats the file's description, which is as old as the file.
            if not flags & 0x20 and kind != 15 and kind != 27 and kind != 41:
                self.server_seconds = _uint(data, at, 4)
            self._event(kind, flags, data, at + 19, end, _uint(data, at + 5, 4), events)
            at += size
        return 0

    @cython.cfunc
    def _event(
        self,
        kind: cython.int,
        flags: cython.int,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        server_id: cython.longlong,
        events: bytes,
    ) -> cython.int:
        """One event's body lies from `at` to `end`. The most frequent types come first."""
        if 30 <= kind <= 32:
            self._rows(kind - 30, 2, data, at, end, server_id)
        elif kind == binlog.TABLE_MAP:
            self._table_map(events, at, end)
        elif kind == binlog.GTID:
            self._gtid(events, at, end)
        elif kind == binlog.XID:
            self._commit()
        elif kind == binlog.QUERY:
            self._query(events, at, end, server_id)
        elif kind == binlog.MARIADB_GTID:
            self._mariadb_gtid(events, at, end, server_id)
        elif 23 <= kind <= 25:
            self._rows(kind - 23, 1, data, at, end, server_id)
        elif kind == binlog.ROTATE:
            self._rotate(events, at, end, flags)
        elif kind == binlog.ANONYMOUS_GTID:
            self._anonymous_gtid(events, at, end)
        elif kind == binlog.HEARTBEAT or kind == binlog.HEARTBEAT_V2:
            self._heartbeat()
        elif kind == binlog.FORMAT_DESCRIPTION:
            self.tables = {}
        elif kind == binlog.ROWS_QUERY or kind == binlog.MARIADB_ANNOTATE_ROWS:
            pass  # the statement's text: of no use yet
        elif kind == binlog.INCIDENT:
            raise DecodeError(
                f"the source reports an INCIDENT at {self._place()}: it lost changes itself",
                hint="compare the tables with their source of truth, then begin after this place",
            )
        elif kind not in binlog.WITHOUT_ROW_CHANGES and not flags & binlog.IGNORABLE_FLAG:
            raise DecodeError(
                f"{binlog.name_of(kind)} at {self._place()} can't be read by this version of cdc",
                hint="switch off at the source what writes it (compression, tagged GTIDs, partial"
                " JSON), or begin after this place",
            )
        return 0

    def _format_description(self, events: bytes, at: int, end: int) -> None:
        """Whether events carry a checksum: the event's own word, not the server's variable."""
        if end - at < FORMAT_DESCRIPTION_BYTES_MIN:
            raise self._damaged(f"a format description of {end - at} bytes is too short")
        version = events[at + 21 : at + 71].split(b"\x00")[0].decode("latin-1")
        if struct.unpack_from("<H", events, at + 19)[0] != 4:
            raise DecodeError(
                f"the binlog at {self._place()} (server {version}) is not of format 4",
                hint="servers before MySQL 5.6 and MariaDB 10.0 can't be followed",
            )
        if events[end - 5] not in (0, 1):
            raise self._damaged(f"checksum algorithm {events[end - 5]} is not known")
        self.checksummed = events[end - 5] == 1
        self.described = True

    def _rotate(self, events: bytes, at: int, end: int, flags: int) -> None:
        """The next file; a dump begins with an artificial one that names the first."""
        position = int.from_bytes(events[at : at + 8], "little")
        if end - at < 9 or position >> 62:
            raise self._damaged("a ROTATE event names no place")
        self.file = events[at + 8 : end].decode("utf-8", "replace")
        self.position = position
        self.tables = {}

    def _heartbeat(self) -> None:
        """No change, but the link lives and nothing is to be read."""
        self.server_seconds = self.now_nanos // 1_000_000_000

    def _gtid(self, events: bytes, at: int, end: int) -> None:
        """MySQL's GTID event opens a transaction and says when it was committed."""
        if end - at < 42:
            raise self._damaged("a GTID event is too short")
        number = int.from_bytes(events[at + 17 : at + 25], "little")
        if self.flavor != "mysql" or not 1 <= number <= NUMBER_MAX:
            raise self._damaged(f"a GTID event of MySQL with the number {number} can't be")
        gtid = self.executed.begin(events[at + 1 : at + 17], number)
        self._open(gtid, gtid)
        self._commit_times(events, at, end)

    def _anonymous_gtid(self, events: bytes, at: int, end: int) -> None:
        self._open("", f"{self.file}:{self.event_position}")
        self._commit_times(events, at, end)

    def _commit_times(self, events: bytes, at: int, end: int) -> None:
        """Immediate commit time; after it, if its highest bit is set, the original one."""
        self.commit_micros = 0
        if end - at >= 49:
            immediate = int.from_bytes(events[at + 42 : at + 49], "little")
            if immediate >> 55 and end - at >= 56:
                self.commit_micros = int.from_bytes(events[at + 49 : at + 56], "little")
            else:
                self.commit_micros = immediate & (1 << 55) - 1
            if self.commit_micros > COMMIT_MICROS_MAX:
                raise self._damaged(f"a GTID event says {self.commit_micros} µs as its time")

    def _mariadb_gtid(self, events: bytes, at: int, end: int, server_id: int) -> None:
        """MariaDB's GTID event is the BEGIN as well, unless its one statement stands alone."""
        if end - at < 13:
            raise self._damaged("a GTID event is too short")
        sequence, domain, flags = struct.unpack_from("<QIB", events, at)
        if self.flavor != "mariadb":
            raise self._damaged("a GTID event of MariaDB stands in a binlog of MySQL")
        if flags & (binlog.MARIADB_GTID_PREPARED_XA | binlog.MARIADB_GTID_COMPLETED_XA):
            raise DecodeError(
                f"an XA transaction at {self._place()} can't be read by this version of cdc",
                hint="leave XA out on the source, or begin after this place",
            )
        gtid = self.executed.begin_mariadb(domain, server_id, sequence)
        self._open(gtid, gtid)
        self.commit_micros = 0
        if not flags & binlog.MARIADB_GTID_STANDALONE:
            self._enter()

    def _open(self, gtid: str, transaction: str) -> None:
        if self.in_transaction:
            raise self._damaged("a transaction begins inside another")
        self.is_open = True
        self.begun_at = self.event_position
        self.commit_micros = 0
        self.transaction = transaction
        self.thread = 0
        self.ordinal = self.total_order = 0
        self.is_resumed = transaction == self.resume_transaction
        self.skip_until = self.resume_ordinal if self.is_resumed else 0
        self.scratch.clear()
        if gtid:
            self.scratch.put(1)
            self.scratch.text(gtid)
        else:
            self.scratch.put(0)
        self.gtid = self.scratch.value()
        self.transaction_prefix = f"{self.binder.connector}/{transaction}/".encode()

    def _enter(self) -> None:
        """Row changes may follow, up to a commit."""
        self.in_transaction = True
        self.collections = {}
        if self.with_transactions and not self.is_resumed:
            self._transaction_record("BEGIN")

    def _commit(self) -> None:
        if self.in_transaction and self.with_transactions:
            self._transaction_record("END")
        self.is_open = self.in_transaction = False
        self.executed.commit()
        if self.is_resumed:
            self.resume_transaction, self.resume_ordinal = "", 0
            self.is_resumed = False
        if len(self.tables) > TABLE_MAPS_MAX:
            self.tables = {}  # each statement announces its tables anew

    def _query(self, events: bytes, at: int, end: int, server_id: int) -> None:
        """A statement as text: BEGIN and COMMIT, DDL, and DML that should have been rows."""
        if end - at < 13:
            raise self._damaged("a QUERY event is too short")
        thread, _, database_size, _, status_size = struct.unpack_from("<IIBHH", events, at)
        text_at = at + 13 + status_size + database_size + 1
        if text_at > end:
            raise self._damaged("a QUERY event is too short")
        if not self.is_open:  # of a server that gives no GTID, not even an anonymous one
            self._open("", f"{self.file}:{self.event_position}")
        if events[text_at:end] == b"BEGIN":
            if not self.in_transaction:
                self._enter()
            if self.flavor == "mysql":
                self.thread = thread
            return
        text = events[text_at:end].decode("utf-8", "replace")
        database = events[at + 13 + status_size : text_at - 1].decode("utf-8", "replace")
        kind = statements.kind_of(text)
        if kind == statements.COMMIT or kind == statements.ROLLBACK:
            self._commit()
        elif kind == statements.SAVEPOINT:
            pass
        elif kind == statements.ROWS:
            self._statement(text, database)
        elif kind == statements.XA:
            raise DecodeError(
                f"an XA transaction at {self._place()} can't be read by this version of cdc",
                hint="leave XA out on the source, or begin after this place",
            )
        else:
            if kind == statements.TRUNCATE:
                self._truncate(statements.truncated_table(text, database), server_id)
            if not self.in_transaction:
                self._commit()

    def _statement(self, text: str, database: str) -> None:
        """DML in statement format: its rows can't be known."""
        # The session's database isn't always the table's: names in front of dots count as well.
        named = {database, *statements.databases_in(text)}
        if not any(map(self.binder.captures_database, named)):
            self.dropped[database, "statement outside the captured databases"] += 1
            if not self.in_transaction:
                self._commit()
            return
        raise DecodeError(
            f"a session wrote {text.split(None, 1)[0].upper()} as a statement, not as rows, at"
            f" {self._place()} in database {database}",
            hint="SET PERSIST binlog_format=ROW and forbid sessions to change it; the rows of this"
            " statement are not in the binlog: begin after this place and reconcile the tables",
        )

    def _truncate(self, names: Any, server_id: int) -> None:
        """An event with neither key nor rows for a captured table."""
        bound: BoundTable
        if names is None or not self.binder.captures(*names):
            return
        name = ".".join(names)
        if "t" in self.skipped:
            self.dropped[name, "operation t is in skipped.operations"] += 1
            return
        known = self.bound_by_name.get(name)
        if known is None:
            self.dropped[name, "truncate of a table of unknown shape"] += 1
            return
        bound = known
        micros = self.commit_micros
        self.commit_micros = micros // 1000 * 1000  # Debezium's has milliseconds here
        self._source(bound, server_id)
        self.commit_micros = micros
        self.ordinal += 1
        if self.ordinal <= self.skip_until:
            return
        self.out.clear()
        self.out.write(bound.value_frame)
        self.out.put(0)
        self.out.put(0)
        self._finish(bound, 0, 0x74, 0)
        self._append(bound.topic, 0, None, self.out.value(), self._headers())

    def _table_map(self, events: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> None:
        """Which table the next rows events of this id are of; known ones by their raw bytes."""
        if end - at < 8:
            raise self._damaged("a TABLE_MAP event is too short")
        body = events[at + 8 : end]
        bound = self.bound_by_map.get(body)
        if bound is None:
            if len(self.bound_by_map) >= TABLE_MAPS_MAX:
                self.bound_by_map.clear()
            is_captured = self.binder.captures(*table_of(body))
            shape = parse_table_map(body, self.flavor, sizes_only=not is_captured)
            bound = self.binder.bind(shape, self.flavor)
            self.bound_by_map[body] = bound
            self.bound_by_name[bound_name(bound)] = bound
        self.tables[int.from_bytes(events[at : at + 6], "little")] = bound

    @cython.cfunc
    def _rows(
        self,
        operation: cython.int,
        version: cython.int,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        server_id: cython.longlong,
    ) -> cython.int:
        """WRITE, UPDATE or DELETE of rows of one table."""
        bound: BoundTable
        plan: RowPlan
        table_id: cython.longlong
        width: cython.Py_ssize_t
        before_present: cython.Py_ssize_t
        after_present: cython.Py_ssize_t
        row: cython.longlong = 0
        before: cython.Py_ssize_t
        if end - at < 10:
            raise self._damaged("a rows event is too short")
        table_id = _uint(data, at, 6)
        at += 8
        if version == 2:
            at += _uint(data, at, 2)
        found = self.tables.get(table_id)
        if found is None:
            if table_id == 0xFFFFFF:  # a dummy that only ends a statement
                return 0
            raise self._damaged(f"rows of table id {table_id}, which no TABLE_MAP announced,")
        bound = found
        plan = bound.plan
        if end - at < 2 or (data[at] == 0xFC and end - at < 4):
            raise self._damaged("a rows event is too short")
        if (data[at] if data[at] != 0xFC else _uint(data, at + 1, 2)) != plan.count:
            raise self._damaged(f"a rows event of {bound.name} has another number of columns")
        at += 1 if data[at] != 0xFC else 3
        width = (plan.count + 7) >> 3
        before_present = after_present = at
        at += width
        if operation == 1:
            after_present = at
            at += width
        if at > end:
            raise self._damaged("a rows event is too short")
        if not self.in_transaction:
            raise self._damaged("a rows event stands outside a transaction")
        if bound.captured:
            self._source(bound, server_id)
        if at == end:
            raise self._empty_row(bound.name)
        while at < end:
            before = at
            self.ordinal += 1
            self.is_muted = self.ordinal <= self.skip_until
            if not bound.captured or (self.is_muted and not self.with_transactions):
                at = self._skip_row(bound, operation, data, at, end, before_present, after_present)
            elif operation == 0:
                at = self._insert(bound, data, at, end, after_present, row)
            elif operation == 2:
                at = self._delete(bound, data, at, end, before_present, row)
            else:
                at = self._update(bound, data, at, end, before_present, after_present, row)
            if at == before:
                raise self._empty_row(bound.name)
            row += 1
        if not bound.captured:
            self.dropped[bound.name, "table is not in source.tables"] += row
        return 0

    def _empty_row(self, name: str) -> DecodeError:
        """The error for a row image of no bytes, of which nobody can tell how many there are."""
        return DecodeError(
            f"a row of {name} at {self._place()} comes without any column",
            hint="a session wrote it with binlog_row_image other than FULL; set it to FULL"
            " everywhere, then begin after this place",
        )

    @cython.cfunc
    def _skip_row(
        self,
        bound: BoundTable,
        operation: cython.int,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        before_present: cython.Py_ssize_t,
        after_present: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """A row that isn't captured, or was published before the restart."""
        at = bound.plan.skip(data, at, end, data, before_present)
        if operation == 1:
            at = bound.plan.skip(data, at, end, data, after_present)
        return at

    @cython.cfunc
    def _insert(
        self,
        bound: BoundTable,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        present: cython.Py_ssize_t,
        row: cython.longlong,
    ) -> cython.Py_ssize_t:
        out: Out = self.out
        out.n = 0
        out.write(bound.value_frame)
        out.byte(0)
        out.byte(2)
        at = bound.plan.image(data, at, end, data, present, out)
        self._key(bound, out, self.key)
        self._emit(bound, out, self.key, row, 0x63, None)
        return at

    @cython.cfunc
    def _delete(
        self,
        bound: BoundTable,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        present: cython.Py_ssize_t,
        row: cython.longlong,
    ) -> cython.Py_ssize_t:
        out: Out = self.out
        out.n = 0
        out.write(bound.value_frame)
        out.byte(2)
        at = bound.plan.image(data, at, end, data, present, out)
        out.reserve(1)
        out.byte(0)
        self._key(bound, out, self.key)
        self._emit(bound, out, self.key, row, 0x64, None)
        self._tombstone(bound, self.key)
        return at

    @cython.cfunc
    def _update(
        self,
        bound: BoundTable,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        before_present: cython.Py_ssize_t,
        after_present: cython.Py_ssize_t,
        row: cython.longlong,
    ) -> cython.Py_ssize_t:
        out: Out = self.out
        before_end: cython.Py_ssize_t
        out.n = 0
        out.write(bound.value_frame)
        out.byte(2)
        at = bound.plan.image(data, at, end, data, before_present, out)
        before_end = out.n
        self._key(bound, out, self.old_key)
        out.reserve(1)
        out.byte(2)
        at = bound.plan.image(data, at, end, data, after_present, out)
        self._key(bound, out, self.key)
        if self.key.equals(self.old_key):
            self._emit(bound, out, self.key, row, 0x75, None)
            return at
        # The key changed: the old key's row goes, the new key's row comes, as Debezium has it.
        old_key, new_key = self.old_key.value(), self.key.value()
        other: Out = self.other
        other.n = 0
        other.write(out.slice(0, before_end))
        other.byte(0)
        self._emit(bound, other, self.old_key, row, 0x64, ("__debezium.newkey", new_key))
        self._tombstone(bound, self.old_key)
        other.n = 0
        other.write(bound.value_frame)
        other.byte(0)
        other.write(out.slice(before_end, out.n))
        self._emit(bound, other, self.key, row, 0x63, ("__debezium.oldkey", old_key))
        return at

    @cython.cfunc
    def _key(self, bound: BoundTable, values: Out, key: Out) -> cython.int:
        """The framed key of the image last written; nothing for a table without one."""
        key.n = 0
        if bound.plan.key_count:
            key.write(bound.key_frame)
            bound.plan.key(values, key)
        return 0

    @cython.cfunc
    def _source(self, bound: BoundTable, server_id: cython.longlong) -> cython.int:
        """What of `source` is the same for all rows of an event: before and after `row`."""
        head: Out = self.head
        tail: Out = self.tail
        micros: cython.longlong = self.commit_micros or self.server_seconds * 1000000
        head.n = 0
        head.write(bound.static_source)
        head.varint(micros // 1000)
        head.write(b"\x00\x0afalse")
        head.write(bound.database)
        head.byte(0)
        head.byte(2)
        head.varint(micros)
        head.byte(2)
        head.varint(micros * 1000)
        head.byte(2)
        head.write(bound.table)
        head.varint(server_id)
        head.write(self.gtid)
        head.write(self.binder.avro_file(self.file))
        head.varint(self.event_position)
        tail.n = 0
        if self.thread:
            tail.byte(2)
            tail.varint(self.thread)
        else:
            tail.byte(0)
        tail.byte(0)
        return 0

    @cython.cfunc
    def _finish(
        self, bound: BoundTable, row: cython.longlong, operation: cython.int, order: cython.longlong
    ) -> cython.int:
        """Write `source`, `transaction`, `op` and times behind the images in `out`."""
        return self._finish_in(self.out, bound, row, operation, order)

    @cython.cfunc
    def _finish_in(
        self,
        out: Out,
        bound: BoundTable,
        row: cython.longlong,
        operation: cython.int,
        order: cython.longlong,
    ) -> cython.int:
        out.reserve(self.head.n + self.tail.n + 64)
        out.copy(self.head.p, 0, self.head.n)
        out.varint(row)
        out.copy(self.tail.p, 0, self.tail.n)
        if order:
            transaction = self.transaction.encode()
            out.byte(2)
            out.varint(len(transaction))
            out.write(transaction)
            out.varint(order)
            out.varint(self.collections[bound.name])
        else:
            out.byte(0)
        out.byte(2)
        out.byte(operation)
        out.write(self.now)
        return 0

    @cython.cfunc
    def _count_order(self, bound: BoundTable) -> cython.longlong:
        """The event's number in its transaction, and in its table there; 0 if not wanted."""
        if not self.with_transactions:
            return 0
        self.total_order += 1
        self.collections[bound.name] = self.collections.get(bound.name, 0) + 1
        return self.total_order

    @cython.cfunc
    def _emit(
        self,
        bound: BoundTable,
        out: Out,
        key: Out,
        row: cython.longlong,
        operation: cython.int,
        header: Any,
    ) -> cython.int:
        """Finish a change event and append its record."""
        frame: cython.Py_ssize_t = 5
        place: cython.longlong = 0
        framed_key = None
        order: cython.longlong
        if self.skipped and chr(operation) in self.skipped:
            self.dropped[bound.name, f"operation {chr(operation)} is in skipped.operations"] += 1
            return 0
        order = self._count_order(bound)
        if self.is_muted:
            return 0
        self._finish_in(out, bound, row, operation, order)
        if key.n:
            framed_key = key.slice(0, key.n)
            place = hash_of(key.p, frame, key.n - frame) & 0x7FFFFFFF
        headers = self._headers()
        if header is not None:
            headers.append(header)
        self._append(bound.topic, place, framed_key, out.slice(0, out.n), headers)
        return 0

    @cython.cfunc
    def _tombstone(self, bound: BoundTable, key: Out) -> cython.int:
        """The key's last record; Debezium writes one for a table without a key as well."""
        if self.tombstones and "d" not in self.skipped and not self.is_muted:
            place = hash_of(key.p, 5, key.n - 5) & 0x7FFFFFFF if key.n else 0
            self._append(bound.topic, place, key.slice(0, key.n) if key.n else None, None, [])
        return 0

    @cython.cfunc
    def _append(
        self,
        topic: Any,
        place: object,
        key: object,
        value: object,
        headers: list[tuple[str, bytes]],
    ) -> cython.int:
        # tuple.__new__ spares the named tuple's own constructor, a Python call per record.
        self.records.append(_new_record(Record, (topic, place, key, value, headers)))
        return 0

    @cython.cfunc
    def _headers(self) -> list[tuple[str, bytes]]:
        """The change's revision and id (invariant 4); a new sequence number each time."""
        scratch: Out = self.scratch
        revision: cython.ulonglong
        i: cython.int
        digit: cython.longlong
        self.sequence += 1
        revision = (self.epoch << SEQUENCE_BITS | self.sequence) << ORDINAL_BITS
        scratch.n = 0
        for i in range(8):
            scratch.byte((revision >> (56 - 8 * i)) & 0xFF)
        scratch.write(self.transaction_prefix)
        digit = 1
        while self.ordinal // digit >= 10:
            digit *= 10
        while digit:
            scratch.byte(0x30 + self.ordinal // digit % 10)
            digit //= 10
        return [
            (REVISION_HEADER, scratch.slice(0, 8)),
            (ID_HEADER, scratch.slice(8, scratch.n)),
        ]

    def _transaction_record(self, status: str) -> None:
        """BEGIN or END on the transaction topic."""
        frames = self.binder.transaction_frames()
        key = Out(128)
        key.write(frames[0])
        key.text(self.transaction)
        out = Out(256)
        out.write(frames[1])
        out.text(status)
        out.text(self.transaction)
        if status == "BEGIN":
            out.put(0)
            out.put(0)
        else:
            out.put(1)
            out.put(self.total_order)
            out.put(1)
            if self.collections:
                out.put(len(self.collections))
            for name, count in self.collections.items():
                out.put(1)
                out.text(name)
                out.put(count)
            out.put(0)
        out.put((self.commit_micros or self.server_seconds * 1000000) // 1000)
        key_bytes = key.value()
        place = self.binder.place(key_bytes[5:])
        self._append(self.binder.transaction_topic, place, key_bytes, out.value(), [])


def _crc_of_open_file(events: bytes, at: int, end: int) -> int:
    """A format description's checksum is made before the file is marked as in use."""
    in_use = at + 17
    header = events[at:in_use] + bytes([events[in_use] & ~binlog.IN_USE_FLAG])
    return zlib.crc32(events[in_use + 1 : end], zlib.crc32(header))


def bound_name(bound: BoundTable) -> str:
    return bound.name


def bound_columns(bound: BoundTable) -> list[Any]:
    return bound.plan.columns


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _uint(
    data: cython.p_const_uchar, at: cython.Py_ssize_t, size: cython.Py_ssize_t
) -> cython.longlong:
    """Little-endian, unsigned, up to 7 bytes; the caller has checked the bounds."""
    value: cython.longlong = 0
    i: cython.Py_ssize_t
    for i in range(size):
        value |= cython.cast(cython.longlong, data[at + i]) << (8 * i)
    return value
