"""The section `streams:` of a connector file: which row changes become which official events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from cdc.codec.official import EventName
from cdc.section_parts import Part, Scalar, Source

Operation = Literal["insert", "update", "delete", "key_change", "snapshot"]
"""`key_change` is an update of the primary key, which is neither an update, an insert nor a
delete to the rules; `snapshot` is a row that a snapshot read, never an insert."""

EVENTS_PER_ROW_MAX = 256
"""A revision has 8 bits for the ordinal of several events of one row."""


class Condition(Part):
    """What must hold for one column; all tests that are given must hold.

    `equals`, `in` and `not` look at the row: after the change, or before it for a delete.
    `from`, `to` and `changed` compare the row before and after: they hold only where the two
    differ. Where there is no row before (an insert, a snapshot row), it counts as different
    from every value, so `to` holds for an insert with that value, and `from` never does.
    Null equals null and nothing else.
    """

    equals: Scalar = None
    in_: Annotated[tuple[Scalar, ...] | None, Field(alias="in", min_length=1)] = None
    not_: Annotated[Scalar | tuple[Scalar, ...], Field(alias="not")] = None
    from_: Annotated[Scalar | tuple[Scalar, ...], Field(alias="from")] = None
    to: Scalar | tuple[Scalar, ...] = None
    changed: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        """A scalar means `equals`, a list means `in`."""
        if isinstance(data, list | tuple):
            return {"in": data}
        return data if isinstance(data, Mapping | Condition) else {"equals": data}

    @model_validator(mode="after")
    def _some_test(self) -> Condition:
        if not self.model_fields_set:
            raise ValueError("allowed: a value, a list, or some of in, not, from, to, changed")
        if self.changed is False and self.model_fields_set & {"from_", "to"}:
            raise ValueError("changed: false contradicts from and to")
        return self

    def has(self, test: str) -> bool:
        """Whether this test is given; null is a value like any other."""
        return test in self.model_fields_set

    @property
    def looks_before(self) -> bool:
        """Whether the row before the change has a part in it."""
        return bool(self.model_fields_set & {"from_", "to", "changed"})


class FieldSource(Source):
    """Where a field's value comes from: exactly one of a column and a constant.

    `from` (or the column's name alone) is the row after the change, or before it for a
    delete; `before` is the row before the change.
    """

    allowed = "a column's name, or one of from, before, value"

    before: str | None = None

    @property
    def column(self) -> str | None:
        """The column that is read; None for a constant."""
        return self.from_ or self.before

    @property
    def is_before(self) -> bool:
        return self.before is not None


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _operations(value: Any) -> Any:
    names = _one_or_more(value)
    if isinstance(names, list | tuple) and "truncate" in names:
        raise ValueError("truncate can't be translated yet; a truncated table gives no events")
    return names


def _table(value: str) -> str:
    database, dot, table = value.partition(".")
    if not (dot and database and table):
        raise ValueError("allowed: database.table")
    if "*" in value or "?" in value:
        raise ValueError("allowed: one table's exact name; write one rule per table")
    return value


class EventRule(Part):
    """One official event, made of one table's changes."""

    event: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9_]*$")]
    from_: Annotated[str, Field(alias="from"), AfterValidator(_table)]
    on: Annotated[tuple[Operation, ...], BeforeValidator(_operations), Field(min_length=1)]
    when: dict[str, Condition] = Field(default_factory=dict)
    fields: dict[str, FieldSource] = Field(default_factory=dict)
    key: dict[str, FieldSource] | None = None
    """Where this table has the stream's key; left out, as the stream says."""


class StreamSettings(Part):
    """All official events of one kind of entity, in one major version."""

    stream: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
    major: Annotated[int, Field(ge=1)]
    key: Annotated[dict[str, FieldSource], Field(min_length=1)]
    """Official field → column; the partition, and so the order, follows this key."""
    events: Annotated[tuple[EventRule, ...], Field(min_length=1)]

    @property
    def topic(self) -> str:
        return f"{self.stream}.v{self.major}"

    def name_of(self, rule: EventRule) -> EventName:
        return EventName(self.stream, self.major, rule.event)
