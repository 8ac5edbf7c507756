"""Avro bodies by fastavro: schemas parsed once, kept by registry id."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException

from cdc.codec.wire import FRAME_BYTES, schema_id_of
from cdc.errors import SchemaError
from cdc.ports import Registry

SCHEMAS_KEPT_MAX = 10_000
"""Parsed schemas that one cache keeps; beyond it the cache starts afresh."""


class AvroSchema:
    """One schema, parsed once; encodes and decodes bare bodies.

    `plain` leaves logical types aside: values are then as on the wire (decimals are bytes,
    timestamps are integers), so that no time zone, clock or precision of this process can
    have a part in them. Without it, values are Python's own types.
    """

    __slots__ = ("_parsed", "definition")

    def __init__(self, definition: Any, *, plain: bool = False) -> None:
        self.definition = definition
        try:
            self._parsed = fastavro.parse_schema(
                without_logical_types(definition) if plain else definition
            )
        except (SchemaParseException, ValueError, KeyError, TypeError, AttributeError) as fault:
            raise SchemaError(
                f"an Avro schema can't be parsed: {fault!r}",
                hint="see https://avro.apache.org/docs/1.12.0/specification/",
            ) from fault

    def encode(self, datum: Any) -> bytes:
        """The bare body of a value."""
        out = BytesIO()
        fastavro.schemaless_writer(out, self._parsed, datum)
        return out.getvalue()

    def decode(self, body: bytes, reader: AvroSchema | None = None) -> Any:
        """The value of a bare body that this schema wrote, in the reader's form if one is given."""
        source = BytesIO(body)
        try:
            value = fastavro.schemaless_reader(
                source, self._parsed, reader._parsed if reader else None, return_record_name=False
            )
        except (
            EOFError,
            ValueError,
            IndexError,
            KeyError,
            OverflowError,
            fastavro.read.SchemaResolutionError,
        ) as fault:
            raise SchemaError(
                f"a body of {len(body)} bytes can't be read by the schema"
                f" {full_name(self.definition)} that wrote it: {type(fault).__name__}",
            ) from fault
        if source.tell() != len(body):
            raise SchemaError(
                f"a body of {len(body)} bytes is longer than the schema"
                f" {full_name(self.definition)} that its frame names",
            )
        return value


class SchemaCache:
    """Schemas by registry id, each fetched and parsed once."""

    def __init__(self, registry: Registry, *, plain: bool = False) -> None:
        self._registry = registry
        self._plain = plain
        self._by_id: dict[int, AvroSchema] = {}

    def get(self, schema_id: int) -> AvroSchema:
        schema = self._by_id.get(schema_id)
        if schema is None:
            schema = AvroSchema(self._registry.schema(schema_id), plain=self._plain)
            if len(self._by_id) >= SCHEMAS_KEPT_MAX:  # Invariant 7: bounded.
                self._by_id.clear()
            self._by_id[schema_id] = schema
        return schema

    def decode(self, framed: bytes) -> Any:
        """The value of a framed body, by the schema that its frame names."""
        return self.get(schema_id_of(framed)).decode(framed[FRAME_BYTES:])


def without_logical_types(definition: Any) -> Any:
    """The same schema on the wire, with every value in its plain form."""
    if isinstance(definition, list):
        return [without_logical_types(branch) for branch in definition]
    if not isinstance(definition, Mapping):
        return definition
    return {
        name: without_logical_types(part)
        if name in ("type", "items", "values")
        else [without_logical_types(field) for field in part]
        if name == "fields"
        else part
        for name, part in definition.items()
        if name != "logicalType"
    }


def full_name(definition: Any) -> str:
    """A record's name with its namespace; the type's name for anything else."""
    if not isinstance(definition, Mapping):
        return str(definition)
    name = str(definition.get("name", definition.get("type")))
    namespace = definition.get("namespace", "")
    return f"{namespace}.{name}" if namespace and "." not in name else name
