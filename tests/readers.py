"""Capture and the reference reader over the same stretch of a real server's binlog."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from cdc.capture.binder import Binder
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.connection import Session
from cdc.capture.decoder import Decoder
from cdc.capture.facts import read_facts
from cdc.capture.live_catalogue import LiveCatalogue
from cdc.capture.places import first_checkpoint
from cdc.capture.server import ServerSource
from cdc.capture.settings import parse_settings
from cdc.capture.source_settings import ServerSettings, StartAt
from cdc.codec.avro import AvroSchema
from cdc.model import Output, Record
from cdc.reference.source import ReferenceSource
from cdc.reference.step import ReferenceStep
from cdc.reference.tables import Tables
from tests.reading import SECONDS_MAX

NOW = 10**18


def place_now(settings: ServerSettings) -> Checkpoint:
    """The binlog's end."""
    with Session(settings) as session:
        return first_checkpoint(session, read_facts(session), StartAt("latest"))


@dataclass
class Readers:
    """Both readers with the same ids of schemas and the same clock."""

    settings: ServerSettings
    options: Mapping[str, Any] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    is_described: bool = False
    """Whether schemas are decorated by the catalogue."""

    def announce(self, topic: str, key: Any, value: Any) -> tuple[int, int]:
        key_id, value_id = (
            0 if schema is None else self.ids.setdefault(json.dumps(schema), len(self.ids) + 1)
            for schema in (key, value)
        )
        return key_id, value_id

    def decoded(self, record: Record) -> Any:
        """A record's value as Python has it."""
        if record.value is None:
            return None
        schema_id = int.from_bytes(record.value[1:5], "big")
        (text,) = (text for text, number in self.ids.items() if number == schema_id)
        return AvroSchema(json.loads(text), plain=True).decode(record.value[5:])

    def outputs(
        self, name: str, start: Checkpoint, end: Checkpoint | None = None
    ) -> Iterator[Output[Record, Checkpoint]]:
        """What the reader `capture` or `reference` makes of it, batch by batch."""
        chosen, faults = parse_settings(self.options)
        assert not faults
        common = (self.settings.name, self.settings.tables, chosen, self.announce)
        stop = threading.Event()
        timer = threading.Timer(SECONDS_MAX, stop.set)
        timer.start()
        source: Any
        step: Any
        catalogue = LiveCatalogue(self.settings) if self.is_described else None
        binder = Binder(
            *common, is_plain=not self.is_described, catalogue=catalogue, topic="shop.descriptions"
        )
        if name == "reference":
            source = ReferenceSource(self.settings, stop=stop)
            step = ReferenceStep(Tables(binder, chosen), chosen, clock=lambda: NOW)
        else:
            source = ServerSource(self.settings, stop=stop)
            step = Decoder(binder, chosen, clock=lambda: NOW)
        try:
            with closing(source.read(start)) as batches:
                for batch in batches:
                    output = step(batch)
                    yield output
                    if end is not None and has_passed(output.checkpoint, end):
                        return
        finally:
            timer.cancel()
            if catalogue is not None:
                catalogue.close()
        raise AssertionError(f"the end was not reached within {SECONDS_MAX} s")

    def read(
        self, name: str, start: Checkpoint, end: Checkpoint
    ) -> tuple[Sequence[Record], Checkpoint]:
        """All records of the stretch, and the checkpoint after it."""
        records: list[Record] = []
        for output in self.outputs(name, start, end):
            records += output.records
            checkpoint = output.checkpoint
        # What the reference reader doesn't keep: it is known as of the reading's begin.
        return records, replace(checkpoint, time_seconds=0, last=None)


def has_passed(checkpoint: Checkpoint, end: Checkpoint) -> bool:
    return (checkpoint.file, checkpoint.pos) >= (end.file, end.pos)
