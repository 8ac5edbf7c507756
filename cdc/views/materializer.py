"""The step from official events to changes of a view's rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from cdc.codec.avro import SCHEMAS_KEPT_MAX, AvroSchema, SchemaCache
from cdc.codec.wire import FRAME_BYTES, schema_id_of
from cdc.errors import SchemaError, ViewError
from cdc.model import Message, Offsets, Output
from cdc.ports import Registry
from cdc.views.projection import Handler, Projection, RowChange

NOT_NAMED = "the view doesn't name this event"
TOMBSTONE = "tombstone"

_FULL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")


class Messages(Protocol):
    """A batch of official events and the offsets that stand after it."""

    @property
    def messages(self) -> Sequence[Message]: ...

    @property
    def offsets(self) -> Offsets: ...


class _Reading(NamedTuple):
    """How events of one schema are read; no handler: the view doesn't name them."""

    event: str
    writer: AvroSchema
    reader: AvroSchema | None
    """The form that the view was declared against, where the writer's is another: a field that
    an older writer didn't have gets its default, one that a newer writer added is left out."""
    handler: Handler | None


class Materializer:
    """Maps official events to changes of rows; the same events give the same changes.

    `dropped` counts by (event, reason) what the view leaves out (invariant 2), `applied` by
    event what it takes. Both only grow; a batch that failed half-way isn't counted."""

    def __init__(self, projection: Projection, registry: Registry) -> None:
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.applied: Counter[str] = Counter()
        self._projection = projection
        self._schemas = SchemaCache(registry)
        self._readings: dict[int, _Reading] = {}

    def __call__(self, batch: Messages) -> Output[RowChange, Offsets]:
        """The changes of rows, one for each event that the view names, in the batch's order."""
        changes: list[RowChange] = []
        dropped: Counter[tuple[str, str]] = Counter()
        applied: Counter[str] = Counter()
        for message in batch.messages:
            if message.value is None:
                dropped["", TOMBSTONE] += 1
                continue
            reading = self._reading(message, message.value)
            if reading.handler is None:
                dropped[reading.event, NOT_NAMED] += 1
                continue
            changes.append(self._change(message, message.value, reading, reading.handler))
            applied[reading.event] += 1
        self.dropped.update(dropped)
        self.applied.update(applied)
        return Output(changes, batch.offsets)

    def _reading(self, message: Message, value: bytes) -> _Reading:
        try:
            schema_id = schema_id_of(value)
            reading = self._readings.get(schema_id)
            if reading is None:
                reading = self._new_reading(self._schemas.get(schema_id))
                if len(self._readings) >= SCHEMAS_KEPT_MAX:  # Invariant 7: bounded.
                    self._readings.clear()
                self._readings[schema_id] = reading
        except SchemaError as fault:
            raise self._fault(message, "an event", fault.message, fault.hint) from fault
        return reading

    def _new_reading(self, writer: AvroSchema) -> _Reading:
        event = str(writer.definition["name"]).rpartition(".")[2]
        handler = self._projection.handlers.get(event)
        is_same = handler is None or writer.definition == handler.schema.definition
        reader = None if is_same or handler is None else handler.schema
        return _Reading(event, writer, reader, handler)

    def _change(
        self, message: Message, value: bytes, reading: _Reading, handler: Handler
    ) -> RowChange:
        try:
            event = reading.writer.decode(value[FRAME_BYTES:], reading.reader)
            key, values = handler.apply(event)
        except SchemaError as fault:
            raise self._fault(message, reading.event, fault.message, fault.hint) from fault
        except ValueError as fault:
            hint = "the event's fields that a view's key is made of must not be null"
            raise self._fault(message, reading.event, str(fault), hint) from None
        return RowChange(message.topic, message.partition, message.offset, key, values)

    def _fault(self, message: Message, event: str, why: str, hint: str) -> ViewError:
        place = f"{message.topic}[{message.partition}]@{message.offset}"
        text = f"view {self._projection.view} can't apply {event} at {place}: {why}"
        return ViewError(text, hint=hint or "look at it with `cdc tail`")


def event_schemas(registry: Registry, topic: str) -> dict[str, Any]:
    """The events of a topic with their newest schemas, as they are registered."""
    schemas: dict[str, Any] = {}
    for subject in registry.subjects():
        # `orders.v1-key` and subjects of the topic `orders.v1-x` are no record's name.
        name = subject.removeprefix(f"{topic}-")
        if name != subject and name != "key" and _FULL_NAME.match(name):
            newest = registry.schema(registry.versions(subject)[-1])
            schemas[name.rpartition(".")[2]] = newest
    return schemas
