"""What the reference tells: changes, boundaries of transactions, gaps, records beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc.model import Record
from cdc.reference.tables import Table

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a captured table, in the values that its Avro schema has."""

    table: Table
    operation: str
    before: Row | None
    after: Row | None
    key: Row | None
    source: Row
    transaction: str
    ordinal: int
    """Of the row in its transaction, captured or not."""
    other_key: Row | None = None
    """Of a changed primary key: the new one at `d`, the old one at `c`."""
    untold: Mapping[str, str] = field(default_factory=dict)
    """Field → why its value is missing here."""
    is_published: bool = False
    """It was, before a restart: it counts, no more."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """A transaction with rows begins or ends."""

    status: str
    transaction: str
    micros: int
    is_published: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes that the library can't tell: from `begin` to `end` of a file."""

    file: str
    begin: int
    end: int
    table: str
    """Empty: of all tables."""
    reason: str


@dataclass(frozen=True, slots=True)
class Beside:
    """A record that stands beside the change events: of descriptions, of schema changes."""

    record: Record


Told = Change | Boundary | Gap | Beside
