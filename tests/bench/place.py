"""Where in the binlog something of ours begins, and what it holds from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Checked = Callable[[Mapping[str, Any]], bytes]
"""What of a row, as its change event holds it, goes into its checksum."""


@dataclass(frozen=True, slots=True)
class Place:
    """The end of a table's DDL: none of its changes comes before."""

    database: str
    table: str
    start: str
    """`file:position`, as `source.start` takes it."""
    gtids: str
    """The GTID set that was executed then."""
    checked: Checked

    @property
    def full_name(self) -> str:
        return f"{self.database}.{self.table}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the binlog that holds the changes of one table and nothing else of ours."""

    place: Place
    orders: int
    first_version: int
    last_version: int
    """Each order has one change for each version from first to last; version 1 is an insert."""
    files: tuple[str, ...]
    """Whole binlog files, in order."""
    digest: tuple[int, int]
    """Rows at its end, and the sum of their checksums, as the server says."""

    @property
    def changes(self) -> int:
        return self.orders * (self.last_version - self.first_version + 1)
