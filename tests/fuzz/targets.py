"""What hostile bytes are given to, and how each run may end: a result, or one clear error."""

from __future__ import annotations

import hashlib
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cdc.errors import DecodeError, SourceError
from tests.binlogs import Reading, readable
from tests.forms_plugin import Capture
from tests.fuzz.mutate import MAGIC

FILE = "fuzz.000001"
ORIGIN = "fuzz:3306"
BATCH_BYTES_MAX = 1 << 14
EVENT_BYTES_MAX = 1 << 20
CONTEXT_KEYS = ("a", "b", "request")
OPTIONS: tuple[Mapping[str, Any], ...] = (
    {
        "column.exclude.list": r".*\.(dd|lt)",
        "column.mask.with.3.chars": r".*\.(vc|en)",
        "column.mask.hash.v2.SHA-256.with.salt.s": r".*\.(vl|gb|k1)",
        "column.mask.hash.MD5.with.salt.s": r".*\.(sj|st)",
        "column.truncate.to.2.chars": r".*\.(tx|v2|lb|j)",
    },
    {
        "provide.transaction.metadata": True,
        "decimal.handling.mode": "string",
        "time.precision.mode": "isostring",
        "bigint.unsigned.handling.mode": "precise",
        "binary.handling.mode": "hex",
        "invalid_text": "replace",
        "include.query": True,
        "context_keys": ",".join(CONTEXT_KEYS),
        "include.schema.changes": True,
        "message.key.columns": "golden.nokey:b;golden.others:k1,j",
        "column.propagate.source.type": ".*",
    },
)
"""Each input is read in both ways."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended; equal for both forms."""

    error: str
    """Type and text of the error; empty if there was none."""
    result: str
    """A digest of all that was read before it."""
    size: int
    """Bytes that were made of the input."""


class Unclear(Exception):
    """An error that doesn't say where it happened."""


def run(capture: Capture, target: str, data: bytes) -> list[Outcome]:
    """The outcomes of an input, one for each way of reading it; any other exception is a find."""
    return list(TARGETS[target](capture, data))


def _binlog(capture: Capture, data: bytes) -> Iterator[Outcome]:
    """A file, from its first byte to the records."""
    for options in OPTIONS:
        sink = _Sink(capture, options)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE
            path.write_bytes(data)
            source = capture.files.FilesSource(
                [path],
                start=capture.source_settings.StartAt("earliest"),
                stop=threading.Event(),
                batch_bytes_max=BATCH_BYTES_MAX,
                event_bytes_max=EVENT_BYTES_MAX,
            )
            yield sink.outcome(partial(sink.take, source.read(None)), folder)


def _packets(capture: Capture, data: bytes) -> Iterator[Outcome]:
    """What a socket gives, in pieces of several sizes."""
    flavor = "mariadb" if b"MariaDB" in data[:200] else "mysql"
    for piece in (1 + len(data) // 3, 7):
        sink = _Sink(capture, {}, flavor)
        framer = capture.framing.PacketFramer(BATCH_BYTES_MAX, EVENT_BYTES_MAX, ORIGIN)

        def follow(framer: Any = framer, piece: int = piece, sink: _Sink = sink) -> None:
            unfolder = capture.unfolding.Unfolder(BATCH_BYTES_MAX, EVENT_BYTES_MAX)
            start = sink.start
            batches = (
                capture.batch.EventBatch(events, None if i else start)
                for i, events in enumerate(_framed(framer, data, piece))
            )
            sink.take(unfolder.unfold(batches, threading.Event()))
            sink.add((framer.error, framer.is_ended, framer.is_idle, framer.seconds))

        yield sink.outcome(follow)


def _framed(framer: Any, data: bytes, piece: int) -> Iterator[bytes]:
    at = 0
    while at < len(data) and not framer.is_ended and framer.error is None:
        room = framer.room()
        count = min(piece, len(room), len(data) - at)
        room[:count] = data[at : at + count]
        room.release()
        at += count
        framer.received(count)
        while framer.is_full:
            yield framer.take()
    if framer.ready_bytes():
        yield framer.take()


def _ahead(capture: Capture, data: bytes) -> Iterator[Outcome]:
    """What the catalogue's own look at a file finds: where DDL ends, and of which tables it is."""
    for flavor in ("mysql", "mariadb"):
        walk = capture.ddl_ahead.Walk((FILE, 4), flavor)
        digest, error = hashlib.sha256(), ""
        try:
            for here, statement in walk.statements(data.removeprefix(MAGIC), (1 << 62, 0)):
                tables = [effect.table for effect in statement.effects]
                digest.update(repr((here, statement.is_empty, tables)).encode("utf-8", "replace"))
        except DecodeError as raised:
            error = _with_place(raised)
        yield Outcome(error, digest.hexdigest(), 0)


def _with_place(raised: Exception) -> str:
    """An error's text, which must say of which file, or of which server, and where."""
    error = f"{type(raised).__name__}: {raised}"
    if FILE not in error and ORIGIN not in error and not re.search(r"at .+:\d", error):
        raise Unclear(f"names no place: {error}") from raised
    return error


def _direct(read: Callable[[Capture, bytes], Any], *errors: type[Exception]) -> Any:
    """A function from bytes to a value, which itself knows no place."""

    def target(capture: Capture, data: bytes) -> Iterator[Outcome]:
        try:
            value = repr(read(capture, data))
        except (DecodeError, *errors) as error:
            yield Outcome(f"{type(error).__name__}: {error}", "", 0)
        else:
            yield Outcome("", hashlib.sha256(value.encode("utf-8", "replace")).hexdigest(), 0)

    return target


def _statement(capture: Capture, data: bytes) -> Any:
    text = data.decode("utf-8", "replace")
    known = capture.statements
    context = capture.statement_context.context_of(text, CONTEXT_KEYS)
    return context, [
        (
            known.kind_of(text, flavor),
            list(known.databases_in(text, flavor)),
            known.truncated_table(text, "d", flavor),
            known.tables_changed_in_bulk(text, "d", flavor),
        )
        for flavor in ("mysql", "mariadb")
    ]


def _ddl(capture: Capture, data: bytes) -> Any:
    """What DDL does to a table that is known, on either server."""
    text = data.decode("utf-8", "replace")
    column = capture.description.ColumnDescription("a", "int", "int", True, None)
    known = capture.description.Description((column,))
    told = []
    for flavor in ("mysql", "mariadb"):
        found = capture.ddl.read_statement(text, "d", flavor, lambda database: "utf8mb4")
        made = [effect.make(lambda table: known) for effect in found.effects]
        told.append(([(one.kind, one.table) for one in found.effects], made, found.is_empty))
    return told


def _table_map(capture: Capture, data: bytes) -> Any:
    return [
        capture.shapes.parse_table_map(data, flavor, sizes_only=sizes_only)
        for flavor in ("mysql", "mariadb")
        for sizes_only in (True, False)
    ]


TARGETS: dict[str, Callable[[Capture, bytes], Iterator[Outcome]]] = {
    "binlog": _binlog,
    "packets": _packets,
    "ahead": _ahead,
    "json": _direct(lambda capture, data: capture.json_binary.json_text(data)),
    "map": _direct(_table_map),
    "gtids": _direct(lambda capture, data: capture.gtid.MysqlGtidSet.from_bytes(data), ValueError),
    "sql": _direct(_statement),
    "ddl": _direct(_ddl),
}


class _Sink:
    """The decoder and what it has made so far."""

    def __init__(self, capture: Capture, options: Any, flavor: str = "mysql") -> None:
        self._reading = Reading(capture, tables=("*.*",), options=options)
        self.start = self._reading.start(flavor, FILE)
        self._digest = hashlib.sha256()
        self._size = 0

    def take(self, batches: Iterator[Any]) -> None:
        """Read a source to its end."""
        for batch in batches:
            self._records(self._reading.decoder(batch))

    def add(self, value: Any) -> None:
        self._digest.update(repr(value).encode())

    def outcome(self, read: Callable[[], None], folder: str = "") -> Outcome:
        """Run `read`, to the end or to an error."""
        error = ""
        try:
            read()
        except (DecodeError, SourceError) as raised:
            error = _with_place(raised)
            error = error.replace(folder, "") if folder else error
        decoder = self._reading.decoder
        self.add((sorted(decoder.dropped.items()), sorted(decoder.substitutions().items())))
        return Outcome(error, self._digest.hexdigest(), self._size)

    def _records(self, output: Any) -> None:
        for record in output.records:
            self._size += len(record.value or b"") + len(record.key or b"")
            self.add(readable(record))
        self.add(str(output.checkpoint))
