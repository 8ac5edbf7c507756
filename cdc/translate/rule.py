"""One rule, compiled for one table's columns: conditions to tests, fields to readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cdc.codec.avro import AvroSchema
from cdc.codec.official import EventName, key_schema
from cdc.codec.types import RecordField, ValueType, record_fields
from cdc.findings import Finding, listed, nearest
from cdc.translate.conditions import Row, Test, UnfitLiteralError, compile_condition, excludes_null
from cdc.translate.conversions import conversion, targets_of
from cdc.translate.literals import literal
from cdc.translate.settings import EventRule, FieldSource, StreamSettings
from cdc.translate.table import TableTypes

KEY_KINDS = frozenset(
    (
        "boolean",
        "int",
        "long",
        "bytes",
        "string",
        "enum",
        "decimal",
        "date",
        "uuid",
        *(
            f"{local}timestamp-{unit}"
            for local in ("", "local-")
            for unit in ("millis", "micros", "nanos")
        ),
    )
)
"""What an event's key may be made of."""


class UnfitValueError(Exception):
    """A row that a rule can't be applied to; says which column and why, never the value."""

    def __init__(self, rule: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.rule, self.message, self.hint = rule, message, hint


@dataclass(frozen=True, slots=True)
class OfficialEvent:
    """An official event's schema, ready to encode plain values."""

    name: EventName
    fields: Mapping[str, RecordField]
    key_fields: tuple[str, ...]
    value: AvroSchema
    key: AvroSchema


def official_event(
    stream: StreamSettings, rule: EventRule, definition: Mapping[str, Any]
) -> OfficialEvent:
    """The event of a rule; the key's fields must be there (`key_findings`)."""
    return OfficialEvent(
        name=stream.name_of(rule),
        fields=record_fields(definition),
        key_fields=tuple(stream.key),
        value=AvroSchema(definition, plain=True),
        key=AvroSchema(key_schema(stream.topic, stream.key, definition), plain=True),
    )


@dataclass(frozen=True, slots=True)
class FieldReader:
    """Reads one official field from a change."""

    field: str
    column: str
    is_before: bool
    convert: Callable[[Any], Any] | None
    nullable: bool

    def read(self, before: Row | None, row: Row) -> Any:
        source = before if self.is_before else row
        value = None if source is None else source.get(self.column)
        if value is None:
            if self.nullable:
                return None
            raise ValueError("null")
        return value if self.convert is None else self.convert(value)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule for one shape of its table."""

    name: str
    event: OfficialEvent
    on: frozenset[str]
    tests: tuple[Test, ...]
    readers: tuple[FieldReader, ...]
    constants: Mapping[str, Any]

    def matches(self, operation: str, before: Row | None, after: Row | None) -> bool:
        return operation in self.on and all(test(before, after) for test in self.tests)

    def values(self, before: Row | None, after: Row | None) -> dict[str, Any]:
        """The event's fields in their plain form; UnfitValueError where a value doesn't fit."""
        return self._read(self.readers, before, after)

    def key(self, before: Row | None, after: Row | None) -> bytes | None:
        """The event's key, also where its value can't be had; None: the key can't either."""
        readers = [one for one in self.readers if one.field in self.event.key_fields]
        try:
            return self.event.key.encode(self._read(readers, before, after))
        except UnfitValueError:
            return None

    def _read(
        self, readers: Sequence[FieldReader], before: Row | None, after: Row | None
    ) -> dict[str, Any]:
        row = before if after is None else after
        assert row is not None
        values = dict(self.constants)
        for reader in readers:
            try:
                values[reader.field] = reader.read(before, row)
            except (ValueError, OverflowError) as fault:
                raise UnfitValueError(
                    self.name,
                    f"column {reader.column} can't fill the field {reader.field}: {fault}",
                    "tell such rows apart with `when`, or let the field hold them",
                ) from None
        return values


class RuleCompiler:
    """Compiles one rule and notes what is wrong with it, with places in the configuration."""

    def __init__(
        self, path: str, stream: StreamSettings, rule: EventRule, event: OfficialEvent
    ) -> None:
        self._path = path
        self._stream = stream
        self._rule = rule
        self._event = event
        self._on = frozenset(rule.on)
        self.findings: list[Finding] = []

    def compile(self, types: TableTypes | None) -> CompiledRule | None:
        """The compiled rule if it has no error; without types only the schema is checked."""
        sources = self._sources()
        constants: dict[str, Any] = {}
        readers = []
        for name, wanted in self._event.fields.items():
            path, source = sources.get(name, ("", None))
            if source is None:
                self._default(name, wanted, constants)
            elif source.column is None:
                self._constant(path, source, wanted, constants)
            elif types is not None and (reader := self._reader(path, source, wanted, types)):
                readers.append(reader)
        tests = self._tests(types) if types is not None else []
        if types is None or any(finding.severity == "error" for finding in self.findings):
            return None
        name = f"{self._stream.topic}.{self._rule.event}"
        return CompiledRule(name, self._event, self._on, tuple(tests), tuple(readers), constants)

    def _error(self, path: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding("error", path, message, hint))

    def _warn(self, path: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding("warning", path, message, hint))

    def _sources(self) -> dict[str, tuple[str, FieldSource]]:
        """Where each field comes from: the rule's fields, then the key's."""
        rule, event = self._rule, self._event
        sources = {name: (f"{self._path}.fields.{name}", one) for name, one in rule.fields.items()}
        key = self._stream.key if rule.key is None else rule.key
        stream_path = self._path.partition(".")[0]
        key_path = f"{stream_path}.key" if rule.key is None else f"{self._path}.key"
        if set(key) != set(self._stream.key):
            self._error(
                key_path,
                f"the stream's key is {listed(sorted(self._stream.key))}",
                "a rule's own key gives each of them, no other",
            )
            key = self._stream.key
        for name, source in key.items():
            given = rule.fields.get(name)
            if given is not None and given != source:
                path = f"{self._path}.fields.{name}"
                self._error(
                    path,
                    "the key takes this field from elsewhere",
                    "leave it out here, or give the rule a key of its own",
                )
            sources.setdefault(name, (f"{key_path}.{name}", source))
        for name in [name for name in sources if name not in event.fields]:
            path, _ = sources.pop(name)
            self._error(
                path, f"{event.name.file} has no field {name!r}", nearest(name, event.fields)
            )
        return sources

    def _default(self, name: str, wanted: RecordField, constants: dict[str, Any]) -> None:
        if not wanted.has_default:
            self._error(
                f"{self._path}.fields",
                f"nothing fills the field {name!r} of {self._event.name.file}",
                f"add `{name}: <column>`, or a default in the schema",
            )
            return
        default = wanted.default
        is_bytes = wanted.type.avro in ("bytes", "fixed") and isinstance(default, str)
        # Avro writes bytes in JSON as text whose characters are the bytes.
        constants[name] = default.encode("latin-1") if is_bytes else default

    def _constant(
        self, path: str, source: FieldSource, wanted: RecordField, constants: dict[str, Any]
    ) -> None:
        is_key = wanted.name in self._event.key_fields
        type_ = replace(wanted.type, nullable=wanted.type.nullable and not is_key)
        try:
            constants[wanted.name] = literal(source.value, type_)
        except ValueError as fault:
            self._error(path, f"the constant doesn't fit the field's type {type_}", str(fault))

    def _reader(
        self, path: str, source: FieldSource, wanted: RecordField, types: TableTypes
    ) -> FieldReader | None:
        column = source.column
        assert column is not None
        found = self._column(path, column, types)
        if found is None:
            return None
        if source.is_before:
            self._check_before(path, column, types, needed=frozenset(("insert", "snapshot")))
        change = conversion(found, wanted.type)
        if change is None:
            self._error(
                path,
                f"column {column} is {found}, the field {wanted.name} is {wanted.type}:"
                " no exact conversion",
                f"in {self._event.name.file} such a column can fill {listed(targets_of(found))}"
                if targets_of(found)
                else "leave the column out; its type can't be translated yet",
            )
            return None
        if change.caution:
            self._warn(path, f"column {column}: {change.caution}")
        may_be_null = found.nullable and not excludes_null(self._rule.when.get(column))
        may_be_null |= source.is_before and bool(self._on & {"insert", "snapshot"})
        if may_be_null and (not wanted.type.nullable or wanted.name in self._event.key_fields):
            self._warn(
                path,
                f"column {column} may be null, the field {wanted.name} may not: a row"
                " with null stops the translation",
                f"`when: {{{column}: {{not: null}}}}` leaves such rows out",
            )
        nullable = wanted.type.nullable and wanted.name not in self._event.key_fields
        return FieldReader(wanted.name, column, source.is_before, change.apply, nullable)

    def _column(self, path: str, column: str, types: TableTypes) -> ValueType | None:
        found = types.columns.get(column)
        if found is None:
            self._error(
                path,
                f"table {self._rule.from_} has no column {column!r}",
                nearest(column, types.columns),
            )
        return found

    def _check_before(
        self, path: str, column: str, types: TableTypes, needed: frozenset[str]
    ) -> None:
        """Whether the row before the change is known wherever the rule applies."""
        if self._on <= needed:
            self._error(
                path,
                f"there is no row before on {listed(sorted(self._on))}",
                "it is there on update and delete; the key's columns also on key_change",
            )
        if "key_change" in self._on and column not in types.key_columns:
            self._error(
                path,
                f"on key_change the old value of {column} isn't known, only that of the key",
                "write a rule of its own for key_change; it may look before at"
                f" {listed(sorted(types.key_columns)) or 'nothing, for the table has no key'}",
            )

    def _tests(self, types: TableTypes) -> list[Test]:
        tests = []
        for column, condition in self._rule.when.items():
            path = f"{self._path}.when.{column}"
            found = self._column(path, column, types)
            if found is None:
                continue
            if condition.looks_before:
                never = frozenset(("insert", "snapshot") if not condition.has("to") else ())
                self._check_before(path, column, types, never)
                if condition.has("to") and self._on == {"delete"}:
                    self._error(f"{path}.to", "a delete leaves no row after it", "use `from`")
            try:
                tests.append(compile_condition(column, condition, found))
            except UnfitLiteralError as fault:
                self._error(
                    f"{path}.{fault.test}" if fault.test != "equals" else path,
                    fault.message,
                    fault.hint,
                )
        return tests
