"""What an Avro type means: Avro's logical types and Debezium's semantic names in one vocabulary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

KIND_BY_CONNECT_NAME = {
    "io.debezium.data.Bits": "bits",
    "io.debezium.data.Enum": "enum",
    "io.debezium.data.EnumSet": "set",
    "io.debezium.data.Json": "json",
    "io.debezium.time.Date": "date",
    "io.debezium.time.Time": "time-millis",
    "io.debezium.time.MicroTime": "time-micros",
    "io.debezium.time.NanoTime": "time-nanos",
    # DATETIME has no zone: wall-clock time.
    "io.debezium.time.Timestamp": "local-timestamp-millis",
    "io.debezium.time.MicroTimestamp": "local-timestamp-micros",
    "io.debezium.time.NanoTimestamp": "local-timestamp-nanos",
    "io.debezium.time.ZonedTimestamp": "zoned-timestamp",
    "io.debezium.time.Year": "year",
}

PRIMITIVES = frozenset(("null", "boolean", "int", "long", "float", "double", "bytes", "string"))

LOGICAL_TYPES = {
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("bytes", "decimal"),
    ("fixed", "decimal"),
    ("string", "uuid"),
    ("fixed", "uuid"),
    *(
        ("long", f"{prefix}timestamp-{unit}")
        for prefix in ("", "local-")
        for unit in ("millis", "micros", "nanos")
    ),
}
"""(Avro type, logical type) that stand together; any other pair is the plain type, as the
specification demands."""


@dataclass(frozen=True, slots=True)
class ValueType:
    """One type of values; `kind` is its meaning, `avro` its form on the wire."""

    kind: str
    avro: str
    nullable: bool = False
    precision: int = 0
    scale: int = 0
    symbols: tuple[str, ...] = ()
    """An enum's values in order; of an ENUM column what it allows."""
    size: int = 0
    """Bytes of a fixed."""
    name: str = ""
    """Full name of an enum, fixed or record."""

    def __str__(self) -> str:
        text = self.kind
        if self.kind == "decimal":
            text = f"decimal({self.precision},{self.scale})"
        elif self.kind == "enum" and self.symbols:
            text = f"enum({','.join(self.symbols)})"
        return f"{text} or null" if self.nullable else text


@dataclass(frozen=True, slots=True)
class RecordField:
    """One field of a record; `default` counts only where `has_default`."""

    name: str
    type: ValueType
    has_default: bool = False
    default: Any = None


def record_fields(definition: Mapping[str, Any]) -> dict[str, RecordField]:
    """The fields of a record schema by name, in order."""
    names: dict[str, ValueType] = {}
    namespace = _namespace_of(definition, "")
    return {
        field["name"]: RecordField(
            name=field["name"],
            type=value_type(field["type"], namespace, names),
            has_default="default" in field,
            default=field.get("default"),
        )
        for field in definition["fields"]
    }


def value_type(
    definition: Any, namespace: str = "", names: dict[str, ValueType] | None = None
) -> ValueType:
    """The type of an Avro schema; `names` holds the named types met so far."""
    names = {} if names is None else names
    if isinstance(definition, list):
        return _union_type(definition, namespace, names)
    if isinstance(definition, str):
        if definition in PRIMITIVES:
            return ValueType(definition, definition)
        wanted = definition if "." in definition or not namespace else f"{namespace}.{definition}"
        return names.get(wanted) or ValueType("record", "record", name=wanted)
    return _typed(definition, namespace, names)


def _union_type(branches: list[Any], namespace: str, names: dict[str, ValueType]) -> ValueType:
    types = [value_type(branch, namespace, names) for branch in branches]
    values = [one for one in types if one.kind != "null"]
    if len(values) != 1:
        return ValueType("union", "union", nullable=len(values) < len(types))
    return replace(values[0], nullable=True) if len(types) > 1 else values[0]


def _typed(definition: Mapping[str, Any], namespace: str, names: dict[str, ValueType]) -> ValueType:
    avro = definition["type"]
    if not isinstance(avro, str):  # {"type": {"type": …}} is allowed
        return value_type(avro, namespace, names)
    if avro not in PRIMITIVES and avro not in ("record", "enum", "fixed", "array", "map"):
        return value_type(avro, namespace, names)
    name = ""
    if "name" in definition and avro in ("record", "enum", "fixed"):
        namespace = _namespace_of(definition, namespace)
        name = ".".join(filter(None, (namespace, str(definition["name"]).rpartition(".")[2])))
    if avro == "record":
        for field in definition["fields"]:  # to learn the names defined inside
            value_type(field["type"], namespace, names)
    result = ValueType(
        kind=_kind(definition, avro),
        avro=avro,
        precision=int(definition.get("precision", 0)),
        scale=int(definition.get("scale", 0)),
        symbols=_symbols(definition),
        size=int(definition.get("size", 0)),
        name=name,
    )
    if name:
        names[name] = result
    return result


def _kind(definition: Mapping[str, Any], avro: str) -> str:
    by_name = KIND_BY_CONNECT_NAME.get(definition.get("connect.name", ""))
    logical = definition.get("logicalType")
    if by_name:
        return by_name
    return str(logical) if (avro, logical) in LOGICAL_TYPES else avro


def _symbols(definition: Mapping[str, Any]) -> tuple[str, ...]:
    if "symbols" in definition:
        return tuple(definition["symbols"])
    allowed = definition.get("connect.parameters", {}).get("allowed")
    if not allowed:
        return ()
    # Debezium puts a backslash before a comma that belongs to a value.
    return tuple(part.replace("\\,", ",") for part in re.split(r"(?<!\\),", allowed))


def _namespace_of(definition: Mapping[str, Any], outer: str) -> str:
    name = str(definition.get("name", ""))
    return name.rpartition(".")[0] if "." in name else str(definition.get("namespace", outer))
