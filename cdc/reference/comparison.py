"""Two readings of one stretch of binlog, joined by place: what differs, what can't be compared.

Pure, and of bounded memory: lines wait only until the other side has passed their place."""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cdc.codec.avro import SchemaCache
from cdc.model import Record
from cdc.reference.told import Change, Gap, Told

DIFFERENCES_MAX = 1_000
"""Differences that are kept to be shown; all are counted."""
GAPS_MAX = 10_000
"""Gaps that are remembered, of several batches; both readers are past the older ones."""
REASONS_MAX = 1_000

Row = Mapping[str, Any]
Place = tuple[int, str, int]
"""Length of the file's name, name, position: so that they sort as they follow."""


def place_of(file: str, position: int) -> Place:
    """A place that compares with others."""
    return len(file), file, position


@dataclass(frozen=True, slots=True)
class Line:
    """One change as one of the readers tells it."""

    file: str
    position: int
    row: int
    part: int
    """1 for the second half of a changed key."""
    table: str
    operation: str
    gtid: str | None
    key: Row | None
    before: Row | None
    after: Row | None
    source: Row
    untold: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        return place_of(self.file, self.position)

    @property
    def rank(self) -> tuple[Place, int, int]:
        return self.place, self.row, self.part


def line_of_record(record: Record, schemas: SchemaCache) -> Line | None:
    """A record of capture; None for one that is no row change."""
    if record.value is None:
        return None
    event = schemas.decode(record.value)
    if event.get("op") not in ("c", "u", "d", "t"):
        return None
    source = event["source"]
    part = any(name == "__debezium.oldkey" for name, _ in record.headers)
    return Line(
        source["file"],
        source["pos"],
        source["row"],
        int(part),
        f"{source['db']}.{source['table']}",
        event["op"],
        source["gtid"],
        None if record.key is None else schemas.decode(record.key),
        event["before"],
        event["after"],
        source,
    )


def line_of_change(change: Change) -> Line:
    """A change of the reference."""
    source = change.source
    return Line(
        source["file"],
        source["pos"],
        source["row"],
        int(change.operation == "c" and change.other_key is not None),
        change.table.name,
        change.operation,
        source["gtid"],
        change.key,
        change.before,
        change.after,
        source,
        change.untold,
    )


def _end_of(gap: Gap) -> Place:
    """Behind its last byte; an event that isn't in the file has none."""
    return place_of(gap.file, max(gap.end, gap.begin + 1))


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the readers tell differently."""

    file: str
    position: int
    row: int
    table: str
    gtid: str | None
    what: str
    """`before.COLUMN`, `after.COLUMN`, `key.COLUMN`, `source.FIELD`, `operation`, `presence`."""
    ours: str
    reference: str


HIDDEN = "(hidden)"
IsHidden = Callable[[str, str], bool]
"""(table, field) → whether its values may never be shown (invariant 9)."""


class Comparison:
    """Takes lines of both sides in order; keeps differences and known weaknesses apart."""

    def __init__(self, is_hidden: IsHidden = lambda table, column: False) -> None:
        self._is_hidden = is_hidden
        self._ours: deque[Line] = deque()
        self._reference: deque[Line] = deque()
        self._gaps: deque[Gap] = deque(maxlen=GAPS_MAX)
        self._gaps_reach = place_of("", 0)
        """Where the last gap begins: so far the reference has come."""
        self.compared: Counter[str] = Counter()
        """Table → changes that both readers told."""
        self.differences: list[Difference] = []
        self.difference_count = 0
        self.weaknesses: Counter[tuple[str, str, str]] = Counter()
        """(table, column, reason) → values or changes that the reference can't tell."""
        self.end: Place | None = None
        """Lines from here on are of no interest."""

    @property
    def compared_count(self) -> int:
        return self.compared.total()

    def ours(self, lines: Iterable[Line]) -> None:
        """Changes that capture told."""
        self._ours.extend(filter(self._is_inside, lines))

    def reference(self, told: Iterable[Told]) -> None:
        """What the reference told."""
        for one in told:
            if isinstance(one, Gap):
                self._remember(one)
            elif isinstance(one, Change):
                line = line_of_change(one)
                if self._is_inside(line):
                    self._reference.append(line)

    @property
    def waits_for(self) -> int | None:
        """Whose telling is needed next: 0 ours, 1 the reference; None: either, nothing waits.

        Within a transaction neither reader's checkpoint moves, so places alone don't tell."""
        if self._ours:
            return 1
        return 0 if self._reference else None

    def join(self, ours_passed: Place, reference_passed: Place) -> None:
        """Compare what both have told; what only one has, and the other has passed, differs."""
        ours, reference = self._ours, self._reference
        # Within a transaction its checkpoint doesn't move, and all its gaps would have to wait.
        reference_passed = max(reference_passed, self._gaps_reach)
        while ours or reference:
            if ours and reference and ours[0].rank == reference[0].rank:
                self._compare(ours.popleft(), reference.popleft())
            elif ours and (not reference or ours[0].rank < reference[0].rank):
                if not reference and ours[0].place >= reference_passed:
                    return
                self._lone(ours.popleft(), is_ours=True)
            else:
                if not ours and reference[0].place >= ours_passed:
                    return
                self._lone(reference.popleft(), is_ours=False)

    def _remember(self, gap: Gap) -> None:
        if not gap.table:
            self._weak("", "", gap.reason)
        self._gaps_reach = place_of(gap.file, gap.begin)
        last = self._gaps[-1] if self._gaps else None
        same = ("file", "table", "reason")
        if (
            last
            and all(getattr(last, n) == getattr(gap, n) for n in same)
            # Side by side: else a change that capture alone has between them would count as known.
            and (gap == last or gap.begin <= last.end < gap.end)
        ):
            self._gaps[-1] = replace(last, end=gap.end)
        else:
            self._gaps.append(gap)

    def _is_inside(self, line: Line) -> bool:
        return self.end is None or line.place < self.end

    def _lone(self, line: Line, *, is_ours: bool) -> None:
        if is_ours:
            reason = self._gap_reason(line)
            if reason is not None:
                self._weak(line.table, "", reason)
                return
        there = f"{line.operation} of a row"
        self._differs(line, "presence", there if is_ours else "nothing", "nothing" if is_ours
                      else there)  # fmt: skip

    def _gap_reason(self, line: Line) -> str | None:
        while self._gaps and _end_of(self._gaps[0]) <= line.place:
            self._gaps.popleft()
        for gap in self._gaps:
            if place_of(gap.file, gap.begin) > line.place:
                break
            if gap.table in ("", line.table) and line.place < _end_of(gap):
                return gap.reason
        return None

    def _compare(self, ours: Line, reference: Line) -> None:
        self.compared[ours.table] += 1
        for column, reason in reference.untold.items():
            self._weak(ours.table, column, reason)
        for what in ("table", "operation"):
            mine, its = getattr(ours, what), getattr(reference, what)
            if mine != its:
                self._differs(ours, what, mine, its)
        for image in ("key", "before", "after", "source"):
            self._compare_rows(ours, image, getattr(ours, image), getattr(reference, image),
                               reference.untold)  # fmt: skip

    def _compare_rows(
        self,
        line: Line,
        image: str,
        ours: Row | None,
        reference: Row | None,
        untold: Mapping[str, str],
    ) -> None:
        if ours is None or reference is None:
            if ours is not reference:
                self._differs(line, image, *("none" if one is None else "a row"
                                             for one in (ours, reference)))  # fmt: skip
            return
        for name in {**ours, **reference}:
            if name in untold and image != "source":
                continue
            mine, its = ours.get(name, _NOTHING), reference.get(name, _NOTHING)
            if not is_same(mine, its):
                is_hidden = image != "source" and self._is_hidden(line.table, name)
                shown = [HIDDEN] * 2 if is_hidden else [repr(mine), repr(its)]
                self._differs(line, f"{image}.{name}", *shown)

    def _differs(self, line: Line, what: str, ours: str, reference: str) -> None:
        self.difference_count += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(
                Difference(
                    line.file, line.position, line.row, line.table, line.gtid, what, ours,
                    reference,
                )
            )  # fmt: skip

    def _weak(self, table: str, column: str, reason: str) -> None:
        key = (table, column, reason)
        if key in self.weaknesses or len(self.weaknesses) < REASONS_MAX:
            self.weaknesses[key] += 1
        else:
            self.weaknesses["", "", "other reasons"] += 1


class _Nothing:
    def __repr__(self) -> str:
        return "no such field"


_NOTHING = _Nothing()


def is_same(one: Any, other: Any) -> bool:
    """Equal in type and value: 1 is not 1.0, and -0.0 is not 0.0."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same(one[k], other[k]) for k in one)
    return type(one) is type(other) and bool(one == other)
