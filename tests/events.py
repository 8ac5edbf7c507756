"""Official events in tests: their schemas in short, and records made readable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from cdc.codec.avro import SchemaCache
from cdc.codec.official import EventName, OfficialSchemas
from cdc.codec.wire import schema_id_of
from cdc.model import Message, Record
from cdc.ports import Registry

NAMESPACE = "com.example.shop"


def official(events: Mapping[str, Mapping[str, Any]]) -> OfficialSchemas:
    """Schemas by `orders/v1/OrderPlaced`, each as field → type or whole field."""
    by_event = {}
    for path, fields in events.items():
        stream, major, event = path.split("/")
        by_event[EventName(stream, int(major.removeprefix("v")), event)] = {
            "type": "record",
            "name": event,
            "namespace": NAMESPACE,
            "fields": [_field(name, one) for name, one in fields.items()],
        }
    return OfficialSchemas(by_event)


def readable(records: Iterable[Record], registry: Registry) -> list[dict[str, Any]]:
    """Records as an outsider reads them: with the registry's schemas, logical types and all."""
    schemas = SchemaCache(registry)
    found = []
    for record in records:
        assert record.key is not None
        assert record.value is not None
        schema = registry.schema(schema_id_of(record.value))
        found.append(
            {
                "event": schema["name"],
                "topic": record.topic,
                "key": plain(schemas.decode(record.key)),
                "fields": plain(schemas.decode(record.value)),
                "headers": {name: value.decode() for name, value in record.headers},
            }
        )
    return found


def plain(value: Any) -> Any:
    """A value with text for what YAML has no form for."""
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, Decimal | UUID) else value


def messages(records: Iterable[Record], partitions: int = 1) -> list[Message]:
    """Records as a log would give them back."""
    ends: dict[tuple[str, int], int] = {}
    found = []
    for record in records:
        where = record.topic, record.place % partitions
        offset = ends.setdefault(where, 0)
        ends[where] += 1
        found.append(Message(*where, offset, record.key, record.value, record.headers, 0))
    return found


def _field(name: str, definition: Any) -> dict[str, Any]:
    is_whole = isinstance(definition, Mapping) and "default" in definition
    return {"name": name, **definition} if is_whole else {"name": name, "type": definition}
