"""A table's rules for one shape of its change events: from an Avro body to Avro bodies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.codec.avro import AvroSchema
from cdc.translate.conditions import Row
from cdc.translate.headers import key_text, subject_of
from cdc.translate.rule import CompiledRule

OPERATIONS = {"c": "insert", "u": "update", "d": "delete", "r": "snapshot", "t": "truncate"}


@dataclass(frozen=True, slots=True)
class Translated:
    """One official event: bare Avro bodies and the key as text."""

    rule: CompiledRule
    key: bytes
    value: bytes
    subject: str


@dataclass(frozen=True, slots=True)
class TranslatedChange:
    """What became of one change event; no events: no rule matched."""

    operation: str
    committed_ns: int
    """When the source committed, in nanoseconds since 1970."""
    events: Sequence[Translated]


class TablePlan:
    """Bodies in, bodies out: a plan that copies Avro bytes can take this one's place."""

    def __init__(self, envelope: AvroSchema, rules: Sequence[CompiledRule]) -> None:
        self._envelope = envelope
        self._rules = tuple((rule, _key_texts(rule)) for rule in rules)

    def apply(self, body: bytes, old_key: Row | None) -> TranslatedChange:
        """The events of one change; `old_key` marks the second half of a key's change.

        Debezium writes a changed primary key as a delete of the old and a create of the new
        key. The create half carries the old key, the new row and the newer revision, so it is
        the one that is translated; of the row before it knows the key's columns alone."""
        change = self._envelope.decode(body)
        operation, before, after = _told(change, old_key)
        events = [
            _translated(rule, texts, before, after)
            for rule, texts in self._rules
            if rule.matches(operation, before, after)
        ]
        return TranslatedChange(operation, _committed_ns(change["source"]), events)

    def keys(self, body: bytes, old_key: Row | None) -> list[tuple[CompiledRule, bytes]]:
        """The keys of the events that the change would give, as far as they can be told."""
        operation, before, after = _told(self._envelope.decode(body), old_key)
        matching = [rule for rule, _ in self._rules if rule.matches(operation, before, after)]
        keys = [(rule, rule.key(before, after)) for rule in matching]
        return [(rule, key) for rule, key in keys if key is not None]


def _told(change: Row, old_key: Row | None) -> tuple[str, Row | None, Row | None]:
    """What happened, and the row before and after it, as rules see them."""
    if old_key is not None:
        return "key_change", old_key, change["after"]
    return OPERATIONS.get(change["op"], "other"), change["before"], change["after"]


KeyTexts = Sequence[tuple[str, Callable[[Any], str]]]


def _key_texts(rule: CompiledRule) -> KeyTexts:
    return [(name, key_text(rule.event.fields[name].type)) for name in rule.event.key_fields]


def _translated(
    rule: CompiledRule, texts: KeyTexts, before: Row | None, after: Row | None
) -> Translated:
    values = rule.values(before, after)
    return Translated(
        rule=rule,
        key=rule.event.key.encode(values),
        value=rule.event.value.encode(values),
        subject=subject_of([text(values[name]) for name, text in texts]),
    )


def _committed_ns(source: Row) -> int:
    """The source block's time in the finest unit that it has."""
    for field, factor in (("ts_ns", 1), ("ts_us", 10**3), ("ts_ms", 10**6)):
        value = source.get(field)
        if value is not None:
            return int(value) * factor
    return 0
