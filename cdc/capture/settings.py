"""Settings of change events, by Debezium's own option names and values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from cdc.capture.column_rules import (
    HASHES,
    NO_RULES,
    ColumnRules,
    Mask,
    Truncation,
    parse_key_columns,
    parse_patterns,
)
from cdc.capture.left_out import why_left_out
from cdc.dead_letters import INVALID_TEXT, SUBSTITUTION

Fault = tuple[str, str]
"""Option, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ChangeEventSettings:
    """What change events look like; a field's name is the option's with underscores."""

    # Types
    decimal_handling_mode: str = "precise"
    bigint_unsigned_handling_mode: str = "long"
    binary_handling_mode: str = "bytes"
    time_precision_mode: str = "adaptive_time_microseconds"
    compat: str = "debezium-3.6"
    # Columns and keys
    columns: ColumnRules = NO_RULES
    include_schema_comments: bool = False
    replace_null_with_default: bool = True
    """Kafka Connect's own: a null in a column that has a default is published as the default."""
    unavailable_value_placeholder: str = "__debezium_unavailable_value"
    on_substitution: str = "count"
    invalid_text: str = "fail"
    # Events
    tombstones_on_delete: bool = True
    skipped_operations: frozenset[str] = frozenset()
    skip_messages_without_change: bool = False
    include_query: bool = False
    context_keys: frozenset[str] = frozenset()
    """Keys of statements' comments that become headers."""
    extended_headers_enabled: bool = False
    provide_transaction_metadata: bool = False
    include_schema_changes: bool = True
    """Without a word on it off where columns are hidden: DDL may show their defaults."""
    heartbeat_interval_ms: int = 0
    """0: no heartbeat records."""
    # Names
    schema_name_adjustment_mode: str = "avro"
    field_name_adjustment_mode: str = "avro"
    topic_delimiter: str = "."
    topic_transaction: str = "transaction"
    topic_heartbeat_prefix: str = "__debezium-heartbeat"
    topic_heartbeat_name: str = ""

    @property
    def dead_letter_kinds(self) -> frozenset[str]:
        """Kinds of fault whose rows these settings make dead letters of."""
        chosen = {INVALID_TEXT: self.invalid_text, SUBSTITUTION: self.on_substitution}
        return frozenset(kind for kind, choice in chosen.items() if choice == "dead_letter")


_OPERATIONS = {"c", "u", "d", "t"}
_CONTEXT_KEY = re.compile(r"(?!cdc_|ce_|__)[A-Za-z0-9._-]{1,100}")


def _boolean(value: Any) -> bool:
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise ValueError("true or false")


def _operations(value: Any) -> frozenset[str]:
    names = value if isinstance(value, list) else str(value).split(",")
    found = {str(name).strip() for name in names} - {"none", ""}
    if found - _OPERATIONS:
        raise ValueError("none, or letters of c, u, d, t joined by commas")
    return frozenset(found)


def _one_of(*allowed: str, refused: Mapping[str, str] | None = None) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        text = str(value).strip().lower()
        if text in allowed:
            return text
        reason = (refused or {}).get(text)
        raise ValueError(", ".join(allowed) + (f"; {reason}" if reason else ""))

    return convert


def _topic_part(value: Any) -> str:
    text = str(value).strip()
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise ValueError("letters, digits, dots, underscores and hyphens")
    return text


def _context_keys(value: Any) -> frozenset[str]:
    names = value if isinstance(value, list) else str(value).split(",")
    keys = frozenset(str(name).strip() for name in names)
    if not all(_CONTEXT_KEY.fullmatch(key) for key in keys):
        raise ValueError(
            "names of letters, digits and . _ -, not beginning with cdc_, joined by commas"
        )
    return keys


def _milliseconds(value: Any) -> int:
    if not re.fullmatch(r"\d{1,12}", str(value)):
        raise ValueError("milliseconds; 0 for none")
    return int(value)


_ADJUSTMENTS = _one_of("none", "avro", "avro_unicode")
_TIME_MODES = _one_of(
    "adaptive_time_microseconds",
    "connect",
    "microseconds",
    "nanoseconds",
    "isostring",
    refused={
        "adaptive": "adaptive can't hold every TIME, and Debezium refuses it for MySQL too",
        "structured": "structured is Debezium 3.7's, not yet settled there",
    },
)
_ON_SUBSTITUTION = _one_of(
    "count",
    "fail",
    "dead_letter",
)

_OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "decimal.handling.mode": ("decimal_handling_mode", _one_of("precise", "double", "string")),
    "bigint.unsigned.handling.mode": (
        "bigint_unsigned_handling_mode",
        _one_of("long", "precise"),
    ),
    "binary.handling.mode": (
        "binary_handling_mode",
        _one_of("bytes", "base64", "base64-url-safe", "hex"),
    ),
    "time.precision.mode": ("time_precision_mode", _TIME_MODES),
    "compat": ("compat", _one_of("debezium-3.6", "debezium-3.7")),
    "include.schema.comments": ("include_schema_comments", _boolean),
    "replace.null.with.default": ("replace_null_with_default", _boolean),
    "unavailable.value.placeholder": ("unavailable_value_placeholder", str),
    "on_substitution": ("on_substitution", _ON_SUBSTITUTION),
    "invalid_text": ("invalid_text", _one_of("fail", "replace", "dead_letter")),
    "tombstones.on.delete": ("tombstones_on_delete", _boolean),
    "skipped.operations": ("skipped_operations", _operations),
    "skip.messages.without.change": ("skip_messages_without_change", _boolean),
    "include.query": ("include_query", _boolean),
    "context_keys": ("context_keys", _context_keys),
    "extended.headers.enabled": ("extended_headers_enabled", _boolean),
    "provide.transaction.metadata": ("provide_transaction_metadata", _boolean),
    "include.schema.changes": ("include_schema_changes", _boolean),
    "heartbeat.interval.ms": ("heartbeat_interval_ms", _milliseconds),
    "schema.name.adjustment.mode": ("schema_name_adjustment_mode", _ADJUSTMENTS),
    "field.name.adjustment.mode": ("field_name_adjustment_mode", _ADJUSTMENTS),
    "topic.delimiter": ("topic_delimiter", _topic_part),
    "topic.transaction": ("topic_transaction", _topic_part),
    "topic.heartbeat.prefix": ("topic_heartbeat_prefix", _topic_part),
    "topic.heartbeat.name": ("topic_heartbeat_name", _topic_part),
}

_COLUMN_OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "column.include.list": ("include", parse_patterns),
    "column.exclude.list": ("exclude", parse_patterns),
    "column.propagate.source.type": ("source_types_of_columns", parse_patterns),
    "datatype.propagate.source.type": ("source_types_of_types", parse_patterns),
    "message.key.columns": ("key", parse_key_columns),
}

_TRUNCATE = re.compile(r"column\.truncate\.to\.(\d{1,9})\.chars")
_ASTERISKS = re.compile(r"column\.mask\.with\.(\d{1,6})\.chars")
_HASH = re.compile(r"column\.mask\.hash\.(v2\.)?([^.]+)\.with\.salt\.(.+)")
_HASH_APART = re.compile(r"column\.mask\.hash\.(v2\.)?([^.]+)")
_WITH_PARTS = (
    "column.truncate.to.<n>.chars",
    "column.mask.with.<n>.chars",
    "column.mask.hash.<algorithm>.with.salt.<salt>",
    "column.mask.hash.v2.<algorithm>.with.salt.<salt>",
    "column.mask.hash.v2.<algorithm>",
)

OPTIONS = (*_OPTIONS, *_COLUMN_OPTIONS, *_WITH_PARTS)
"""Every option's name."""


@dataclass(slots=True)
class _Parsed:
    """What was read so far."""

    values: dict[str, Any] = dataclass_field(default_factory=dict)
    columns: dict[str, Any] = dataclass_field(default_factory=dict)
    masks: list[Mask] = dataclass_field(default_factory=list)
    truncations: list[Truncation] = dataclass_field(default_factory=list)


def parse_settings(options: Mapping[str, Any]) -> tuple[ChangeEventSettings, list[Fault]]:
    """The settings and all faults found, as (option, what is wrong)."""
    parsed = _Parsed()
    faults: list[Fault] = []
    for name, value in options.items():
        try:
            text = _parse_one(str(name), value, parsed)
        except ValueError as error:
            shown = "a mapping" if isinstance(value, Mapping) else repr(value)  # it has the salt
            text = f"is {shown}; allowed: {error}"
        if text:
            faults.append((_without_salt(str(name)), text))
    if "include" in parsed.columns and "exclude" in parsed.columns:
        text = "goes not with column.include.list; what that leaves out is excluded already"
        faults.append(("column.exclude.list", text))
    hides = {"exclude", "include"} & parsed.columns.keys() or parsed.masks
    if parsed.values.get("include_query") and hides:
        text = "would publish in the statement's text what other settings hide of columns"
        faults.append(("include.query", text))
    if parsed.values.get("include_schema_changes") and hides:
        text = "would publish in the text of DDL what other settings hide of columns"
        faults.append(("include.schema.changes", text))
    if hides:
        parsed.values.setdefault("include_schema_changes", False)
    # Hashes come last, as with Debezium: a column with two masks has the asterisks.
    masks = sorted(parsed.masks, key=lambda mask: bool(mask.algorithm))
    rules = ColumnRules(**parsed.columns, masks=tuple(masks), truncations=tuple(parsed.truncations))
    return ChangeEventSettings(columns=rules, **parsed.values), faults


def _parse_one(name: str, value: Any, parsed: _Parsed) -> str:
    """Read one option; what is wrong with its name, else nothing."""
    if name in _OPTIONS:
        field, convert = _OPTIONS[name]
        parsed.values[field] = convert(value)
    elif name in _COLUMN_OPTIONS:
        field, convert = _COLUMN_OPTIONS[name]
        parsed.columns[field] = convert(value)
    elif found := _TRUNCATE.fullmatch(name):
        parsed.truncations.append(Truncation(parse_patterns(value), int(found[1])))
    elif found := _ASTERISKS.fullmatch(name):
        parsed.masks.append(Mask(parse_patterns(value), asterisks=int(found[1])))
    elif found := _HASH.fullmatch(name):
        parsed.masks.append(_hash(found[1], found[2], found[3], value))
    elif (found := _HASH_APART.fullmatch(name)) and isinstance(value, Mapping):
        if set(value) != {"salt", "columns"}:
            raise ValueError("{salt: …, columns: …}")
        parsed.masks.append(_hash(found[1], found[2], str(value["salt"]), value["columns"]))
    else:
        return _unknown(name)
    return ""


def _hash(version: str | None, name: str, salt: str, columns: Any) -> Mask:
    algorithm = HASHES.get(name.upper())
    if algorithm is None:
        raise ValueError("as a hash algorithm, " + ", ".join(HASHES))
    return Mask(parse_patterns(columns), algorithm=algorithm, salt=salt, is_v1=not version)


def _unknown(name: str) -> str:
    reason = why_left_out(name)
    if reason:
        return f"is left out on purpose: {reason}"
    near = difflib.get_close_matches(_without_salt(name), OPTIONS, 1)
    allowed = f"did you mean {near[0]}?" if near else "one of " + ", ".join(OPTIONS)
    return f"is not an option of change events; {allowed}"


def _without_salt(name: str) -> str:
    """The option's name without the secret that it may hold (invariant 9)."""
    return re.sub(r"(\.salt\.).*", r"\1…", name, flags=re.DOTALL)
