"""A key's schema stays the same while its encoding does: compaction goes by the key's bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc.ports import Registry

_DECORATION = frozenset({"default", "connect.default", "doc", "connect.doc"})
_PARAMETERS_OF_ENCODING = ("scale", "connect.decimal.precision", "length")


def key_schema_id(registry: Registry, subject: str, schema: Mapping[str, Any]) -> int:
    """The id of the subject's first schema with the same encoding; registers this one if new.

    Otherwise a default or comment that became known would give all keys another id, and with it
    other bytes: two rows' worth of records for each key, for ever."""
    wanted = encoding_of(schema)
    for schema_id in registry.versions(subject):
        if encoding_of(registry.schema(schema_id)) == wanted:
            return schema_id
    return registry.register(subject, schema)


def encoding_of(schema: Any) -> Any:
    """The schema less what says nothing about how a value is written or read."""
    if isinstance(schema, list):
        return [encoding_of(branch) for branch in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {
        name: encoding_of(value)
        for name, value in schema.items()
        if name not in _DECORATION and name != "connect.parameters"
    }
    parameters = schema.get("connect.parameters", {})
    kept.update({name: parameters[name] for name in _PARAMETERS_OF_ENCODING if name in parameters})
    # `{"type": "int"}` is `"int"` once its decoration is gone.
    return kept["type"] if set(kept) == {"type"} and isinstance(kept["type"], str) else kept
