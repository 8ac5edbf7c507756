"""What was read: events, and what mysql-replication made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.shapes import Shape
from cdc.reference.events import Event

Image = tuple[Any, ...]
"""Values in the order of the shape's columns, as the library gives them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event that was read, with the shape of its table if it holds rows."""

    event: Event
    shape: Shape | None = None
    weakness: str = ""
    """Why the library didn't get to see it, though it holds changes."""


@dataclass(frozen=True, slots=True)
class Gtid:
    """What the library's GTID event says."""

    source: bytes
    """MySQL's UUID; empty for MariaDB."""
    number: int
    domain: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """One event, and what the library made of it."""

    seen: Seen
    rows: Sequence[tuple[Image | None, Image | None]] = ()
    """Before and after."""
    gtid: Gtid | None = None
    weakness: str = ""
    """Why it made nothing of it, though it holds changes."""


@dataclass(frozen=True, slots=True)
class ReferenceBatch:
    """Events in order."""

    reads: Sequence[Read]
    bytes: int
    start: Checkpoint | None = None
    """Set on the first batch of a reading: where the events begin."""
