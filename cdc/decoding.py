"""`cdc decode`: binlog files to change events, readable or as wire records; no server needed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from cdc.capture.batch import with_rests
from cdc.capture.binder import Binder
from cdc.capture.decoder import Decoder
from cdc.capture.description import Descriptions
from cdc.capture.files import FilesSource
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.source_settings import StartAt
from cdc.codec.avro import SchemaCache
from cdc.codec.keys import key_schema_id
from cdc.codec.wire import FRAME_BYTES, schema_id_of
from cdc.model import Record
from cdc.patterns import TablePatterns
from cdc.rendering import readable
from cdc.testing import MemoryRegistry

Format = Literal["json", "wire", "none"]


@dataclass(slots=True)
class Decoding:
    """One reading of binlog files, and the schemas that its records are written with."""

    connector: str
    tables: TablePatterns
    settings: ChangeEventSettings
    descriptions: Descriptions
    accept: Collection[str] = ()
    """What would stop it otherwise: `source.accept`."""
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    schemas: dict[int, Any] = field(default_factory=dict)
    """Schema id → JSON value, of what was met so far."""
    dropped: dict[tuple[str, str], int] = field(default_factory=dict)

    def records(self, files: Sequence[Path]) -> Iterator[Sequence[Record]]:
        """The records of each batch of events, in order."""
        binder = Binder(
            self.connector,
            self.tables,
            self.settings,
            self._announce,
            given=self.descriptions,
        )
        decoder = Decoder(binder, self.settings, accept=self.accept)
        source = FilesSource(files, start=StartAt("earliest"), stop=threading.Event())
        for batch in with_rests(source.read(None), decoder):
            yield decoder(batch).records
        self.dropped = dict(decoder.dropped)

    def _announce(
        self, topic: str, key_schema: dict[str, Any] | None, value_schema: dict[str, Any]
    ) -> tuple[int, int]:
        key_id = 0
        if key_schema:
            key_id = key_schema_id(self.registry, f"{topic}-key", key_schema)
            self.schemas[key_id] = self.registry.schema(key_id)
        return key_id, self._register(f"{topic}-value", value_schema)

    def _register(self, subject: str, schema: dict[str, Any]) -> int:
        schema_id = self.registry.register(subject, schema)
        self.schemas[schema_id] = schema
        return schema_id

    def lines(self, files: Sequence[Path], form: Format) -> Iterator[bytes]:
        """One line of JSON a record."""
        show = self._readable() if form == "json" else _wire
        for records in self.records(files):
            for record in records:
                yield orjson.dumps(show(record))

    def _readable(self) -> Any:
        cache = SchemaCache(self.registry)

        def show(record: Record) -> dict[str, Any]:
            return {
                "topic": record.topic,
                "key": None if record.key is None else readable(cache.decode(record.key)),
                "value": None if record.value is None else readable(cache.decode(record.value)),
            }

        return show


def _wire(record: Record) -> dict[str, Any]:
    """Key and value as hex of the bare Avro body, null as null."""
    key, value = record.key, record.value
    return {
        "topic": record.topic,
        "key": None if key is None else key[FRAME_BYTES:].hex(),
        "value": None if value is None else value[FRAME_BYTES:].hex(),
        "key_schema": None if key is None else schema_id_of(key),
        "value_schema": None if value is None else schema_id_of(value),
    }
