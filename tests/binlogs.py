"""Binlogs made by hand, and a reading of any binlog into records that can be looked at."""

from __future__ import annotations

import io
import json
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro

from cdc.capture.pieces import pieces
from cdc.dead_letters import DeadLetters
from cdc.model import ID_HEADER, REVISION_HEADER, Record, Revision
from cdc.patterns import TablePatterns
from tests.forms_plugin import Capture

GOLDEN = Path(__file__).parent / "golden"
SOURCE_ID = bytes.fromhex("79928536e57911f1b64a02fc00000001")
SOURCE = "79928536-e579-11f1-b64a-02fc00000001"
SECONDS = 1_700_000_000
TABLE_ID = 77

# Optional metadata fields of TABLE_MAP.
SIGNEDNESS, DEFAULT_CHARSET, COLUMN_CHARSET, COLUMN_NAME = 1, 2, 3, 4
SET_LABELS, ENUM_LABELS, GEOMETRY_TYPE, SIMPLE_KEY, PREFIX_KEY = 5, 6, 7, 8, 9
LABEL_DEFAULT_CHARSET, LABEL_COLUMN_CHARSET, VISIBILITY, DIMENSIONS = 10, 11, 12, 13

_SIGNED_KINDS = {1, 2, 3, 4, 5, 8, 9, 13, 246}
_TEXT_KINDS = {15, 140, 141, 242, 249, 250, 251, 252, 253}
"""With a collation, as MySQL counts; MariaDB counts GEOMETRY in."""


def length(number: int) -> bytes:
    """A length-encoded integer."""
    if number < 251:
        return bytes([number])
    if number < 1 << 16:
        return b"\xfc" + struct.pack("<H", number)
    return b"\xfe" + struct.pack("<Q", number)


def counted(data: bytes) -> bytes:
    return length(len(data)) + data


def bits_high_first(flags: Sequence[bool]) -> bytes:
    out = bytearray((len(flags) + 7) // 8)
    for i, flag in enumerate(flags):
        out[i >> 3] |= flag << (7 - (i & 7))
    return bytes(out)


def bits_low_first(flags: Sequence[bool]) -> bytes:
    out = bytearray((len(flags) + 7) // 8)
    for i, flag in enumerate(flags):
        out[i >> 3] |= flag << (i & 7)
    return bytes(out)


@dataclass(frozen=True)
class Col:
    """A column to be announced: type code and metadata bytes as TABLE_MAP has them."""

    type: int
    meta: bytes = b""
    name: str = "x"
    nullable: bool = False
    unsigned: bool = False
    charset: int = 255
    labels: tuple[str | bytes, ...] = ()
    geometry: int = 0
    dimensions: int = 0

    @property
    def kind(self) -> int:
        """The type behind STRING."""
        if self.type == 254 and self.meta[0] in (247, 248):
            return self.meta[0]
        return self.type

    @property
    def is_text(self) -> bool:
        return self.kind in _TEXT_KINDS or self.kind == 254


def table_map_body(
    columns: Sequence[Col],
    *,
    database: str = "shop",
    table: str = "t",
    key: Sequence[int] = (0,),
    fields: Mapping[int, bytes] | None = None,
) -> bytes:
    """What stands behind table id and flags; `fields` overrides optional metadata."""
    chosen = dict(_metadata(columns, key) if fields is None else fields)
    head = counted(database.encode()) + b"\0" + counted(table.encode()) + b"\0"
    types = length(len(columns)) + bytes(c.type for c in columns)
    meta = counted(b"".join(c.meta for c in columns))
    nulls = bits_low_first([c.nullable for c in columns])
    optional = b"".join(bytes([k]) + counted(v) for k, v in chosen.items())
    return head + types + meta + nulls + optional


def _metadata(columns: Sequence[Col], key: Sequence[int]) -> Iterable[tuple[int, bytes]]:
    yield SIGNEDNESS, bits_high_first([c.unsigned for c in columns if c.kind in _SIGNED_KINDS])
    yield COLUMN_CHARSET, b"".join(length(c.charset) for c in columns if c.is_text)
    yield COLUMN_NAME, b"".join(counted(c.name.encode()) for c in columns)
    for field_id, kind in ((SET_LABELS, 248), (ENUM_LABELS, 247)):
        yield field_id, b"".join(label_list(c.labels) for c in columns if c.kind == kind)
    yield GEOMETRY_TYPE, b"".join(length(c.geometry) for c in columns if c.kind == 255)
    yield SIMPLE_KEY, b"".join(map(length, key))
    labelled = [c for c in columns if c.kind in (247, 248)]
    yield LABEL_COLUMN_CHARSET, b"".join(length(c.charset) for c in labelled)
    yield DIMENSIONS, b"".join(length(c.dimensions) for c in columns if c.kind == 242)


def label_list(labels: Sequence[str | bytes]) -> bytes:
    raw = [label.encode() if isinstance(label, str) else label for label in labels]
    return length(len(raw)) + b"".join(map(counted, raw))


def event(
    kind: int,
    body: bytes,
    end: int,
    *,
    flags: int = 0,
    seconds: int = SECONDS,
    server_id: int = 1,
    checksum: bool = True,
) -> bytes:
    """One event; `end` is its end position, of which 32 bits are written."""
    size = 19 + len(body) + 4 * checksum
    data = struct.pack("<IBIIIH", seconds, kind, server_id, size, end & 0xFFFFFFFF, flags) + body
    return data + struct.pack("<I", zlib.crc32(data)) if checksum else data


def artificial_rotate(file: str, pos: int = 4, *, checksum: bool = False) -> bytes:
    body = struct.pack("<Q", pos) + file.encode()
    return event(4, body, 0, flags=0x20, seconds=0, checksum=checksum)


def with_checksum(data: bytes) -> bytes:
    """The event with a checksum that is right again."""
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


class Binlog:
    """Writes events one after the other, at the positions that a server would give them."""

    def __init__(
        self,
        flavor: str = "mysql",
        *,
        file: str = "binlog.000001",
        position: int = 4,
        checksum: bool = True,
        positions_in_transaction: bool = True,
    ) -> None:
        self.flavor, self.file, self.position = flavor, file, position
        self.begins_at = position
        self.checksum = checksum
        self.writes_positions = positions_in_transaction
        self.events: list[bytes] = [artificial_rotate(file, position)]
        version = b"9.7.4" if flavor == "mysql" else b"11.4.5-MariaDB-log"
        body = struct.pack("<H50sIB40sB", 4, version, SECONDS, 19, bytes(40), checksum)
        if position == 4:
            self.add(15, body + (b"" if checksum else bytes(4)))
        else:
            head = struct.pack("<IBIIIH", SECONDS, 15, 1, 19 + len(body) + 4, 0, 0)
            data = head + body
            self.events.append(data + struct.pack("<I", zlib.crc32(data)))

    @property
    def data(self) -> bytes:
        return b"".join(self.events)

    def add(self, kind: int, body: bytes = b"", *, flags: int = 0, silent: bool = False) -> Binlog:
        """Append an event; `silent` leaves its position out, as MariaDB does from 11.4."""
        size = 19 + len(body) + 4 * self.checksum
        self.position += size
        end = 0 if silent else self.position
        self.events.append(event(kind, body, end, flags=flags, checksum=self.checksum))
        return self

    def gtid(self, number: int, *, standalone: bool = False, micros: int = 0) -> Binlog:
        """Open a transaction; MariaDB's is open for rows at once unless it stands alone."""
        if self.flavor == "mariadb":
            return self.add(162, struct.pack("<QIB6s", number, 0, standalone, bytes(6)))
        head = b"\0" + SOURCE_ID + struct.pack("<Q", number) + b"\x02" + bytes(16)
        return self.add(33, head + micros.to_bytes(7, "little"))

    def anonymous(self) -> Binlog:
        return self.add(34, b"\0" + bytes(24) + b"\x02" + bytes(16) + bytes(7))

    def query(
        self,
        text: str | bytes,
        *,
        database: str = "shop",
        thread: int = 9,
        variables: bytes = b"",
    ) -> Binlog:
        raw = text.encode() if isinstance(text, str) else text
        name = database.encode()
        head = struct.pack("<IIBHH", thread, 0, len(name), 0, len(variables))
        return self.add(2, head + variables + name + b"\0" + raw)

    def begin(self, number: int) -> Binlog:
        self.gtid(number)
        return self.query("BEGIN") if self.flavor == "mysql" else self

    def table(
        self,
        columns: Sequence[Col],
        *,
        table_id: int = TABLE_ID,
        body: bytes | None = None,
        **more: Any,
    ) -> Binlog:
        whole = table_map_body(columns, **more) if body is None else body
        silent = not self.writes_positions
        return self.add(19, table_id.to_bytes(6, "little") + b"\1\0" + whole, silent=silent)

    def rows(
        self,
        operation: int,
        columns: int,
        images: bytes,
        *,
        table_id: int = TABLE_ID,
        present: bytes | None = None,
        version: int = 2,
    ) -> Binlog:
        """A rows event: 0 write, 1 update, 2 delete; `images` holds null bitmaps and values."""
        bitmap = b"\xff" * ((columns + 7) // 8) if present is None else present
        head = table_id.to_bytes(6, "little") + b"\1\0" + (b"\2\0" if version == 2 else b"")
        maps = bitmap * (2 if operation == 1 else 1)
        kind = (30 if version == 2 else 23) + operation
        silent = not self.writes_positions
        return self.add(kind, head + length(columns) + maps + images, silent=silent)

    def commit(self, xid: int = 1) -> Binlog:
        return self.add(16, struct.pack("<Q", xid))


@dataclass(frozen=True)
class Followed:
    """What came of each batch, in order."""

    outputs: Sequence[Any]

    @property
    def records(self) -> list[Record]:
        return [record for output in self.outputs for record in output.records]

    @property
    def checkpoint(self) -> Any:
        return self.outputs[-1].checkpoint


@dataclass
class Reading:
    """A decoder with all that it needs; keeps what it announced."""

    capture: Capture
    connector: str = "c"
    tables: tuple[str, ...] = ("shop.*",)
    options: Mapping[str, Any] = field(default_factory=dict)
    accept: tuple[str, ...] = ()
    dead_letters: DeadLetters | None = None
    descriptions: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    catalogue: Any = None
    stored: Sequence[Any] = ()
    topic: str | None = None
    """Where descriptions are kept."""
    last_schema: Callable[[str], int | None] = lambda topic: None
    record_bytes_max: int = 0
    store: Any = None
    """Keeps rows of prepared XA transactions."""
    schemas: dict[int, Any] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    """Ids by schema; given on to another reading, both frame alike."""

    def __post_init__(self) -> None:
        # Most tests are about rows, and count records.
        options = {"include.schema.changes": False, **self.options}
        settings, faults = self.capture.settings.parse_settings(options)
        assert not faults
        self.binder = self.capture.binder.Binder(
            self.connector,
            TablePatterns(self.tables),
            settings,
            self._announce,
            catalogue=self.catalogue,
            stored=self.stored,
            given=self.descriptions,
            topic=self.topic,
            last_schema=self.last_schema,
            record_bytes_max=lambda topic: self.record_bytes_max,
        )
        self.decoder = self.capture.decoder.Decoder(
            self.binder,
            settings,
            clock=lambda: 10**18,
            accept=self.accept,
            dead_letters=self.dead_letters,
            store=self.store,
        )
        self._parsed: dict[int, Any] = {}

    def _announce(self, topic: str, key_schema: Any, value_schema: Any) -> tuple[int, int]:
        ids = []
        for schema in (key_schema, value_schema):
            if schema is None:
                ids.append(0)
                continue
            known = self.ids.setdefault(json.dumps(schema, sort_keys=True), len(self.ids) + 1)
            self.schemas[known] = schema
            ids.append(known)
        return ids[0], ids[1]

    def start(self, flavor: str = "mysql", file: str = "binlog.000001", pos: int = 4) -> Any:
        return self.capture.checkpoint.Checkpoint(flavor, "", "", file, pos)

    def read(self, data: bytes, start: Any = None) -> Any:
        """Decode a batch; `start` on the first of a reading."""
        return self.decoder(self.capture.batch.EventBatch(data, start))

    def first(self, log: Binlog) -> Any:
        """Decode a whole binlog."""
        return self.read(log.data, self.start(log.flavor, log.file, log.begins_at))

    def follow(self, data: bytes, start: Any, *, bytes_max: int = 1 << 22) -> Followed:
        """Read as a source reads: in bounded batches, unfolded, each decoded for itself."""
        outputs = []
        unfolder = self.capture.unfolding.Unfolder(bytes_max, 1 << 30, self.store)
        batches = unfolder.unfold(self._batches(data, start, bytes_max), threading.Event())
        for batch in self.capture.batch.with_rests(batches, self.decoder):
            outputs.append(self.decoder(batch))
        return Followed(outputs)

    def _batches(self, data: bytes, start: Any, bytes_max: int) -> Iterator[Any]:
        for _, events in pieces(io.BytesIO(data).read, bytes_max, lambda at, size: None):
            yield self.capture.batch.EventBatch(events, start)
            start = None

    def decoded(self, framed: bytes | None) -> Any:
        """Key or value as Python has it; checks that Avro would write it the same."""
        if framed is None:
            return None
        schema_id = int.from_bytes(framed[1:5], "big")
        schema = self._parsed.get(schema_id)
        if schema is None:
            schema = self._parsed[schema_id] = fastavro.parse_schema(self.schemas[schema_id])
        stream = io.BytesIO(framed[5:])
        value = fastavro.schemaless_reader(stream, schema, None)
        assert stream.read() == b""
        again = io.BytesIO()
        fastavro.schemaless_writer(again, schema, value)
        assert again.getvalue() == framed[5:]
        return value


def whole_events(data: bytes) -> list[bytes]:
    """The events of a binlog file, less its magic, or of a batch."""
    at, events = 0, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at + 9)
        events.append(data[at : at + size])
        at += size
    return events


def from_place(events: Sequence[bytes], file: str, pos: int) -> bytes:
    """What a dump from a position gives: rotate, format description, the events from there."""
    description = events[0]
    repeated = with_checksum(description[:13] + bytes(4) + description[17:])
    at, rest = 4, list(events)
    while at < pos:
        at += len(rest.pop(0))
    assert at == pos
    head = artificial_rotate(file, pos) + (repeated if pos > 4 else b"")
    return head + b"".join(rest)


def golden_events(name: str) -> list[bytes]:
    return whole_events((GOLDEN / f"{name}.binlog").read_bytes()[4:])


def readable(record: Record) -> tuple[Any, ...]:
    """A record with its headers by name, to compare."""
    return (record.topic, record.place, record.key, record.value, dict(record.headers))


def id_of(record: Record) -> str:
    return dict(record.headers)[ID_HEADER].decode()


def revision_of(record: Record) -> Revision:
    return Revision.from_bytes(dict(record.headers)[REVISION_HEADER])
