"""Dead letters of capture: rows and statements that can't be published.

What is kept of a row are its images, less the values of columns that no record shows whole
(invariant 9), and its shape, so that it can be decoded again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cdc.capture import opcodes
from cdc.capture.checkpoint import Flavor
from cdc.capture.shapes import Column, Shape, parse_table_map
from cdc.dead_letters import (
    RAW_BYTES_MAX,
    DeadLetter,
    DeadLetters,
    dead_letters_topic,
    digest_of,
)
from cdc.errors import DecodeError
from cdc.model import Revision

ABOUT_BYTES_MAX = 128 * 1024
"""Of a shape, whose ENUM labels may be many."""

_HIDING = (opcodes.EXCLUDED, opcodes.CONSTANT, opcodes.CHANGED)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a change stands."""

    transaction: str
    file: str
    pos: int
    ordinal: int = 0
    """Of the row in its transaction, captured or not; 0: it isn't a row."""
    row: int = 0
    """Of the row in its event."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row of an event: its images as they stand in the binlog, and what its records need."""

    place: Place
    operation: str
    """c, u, d as in change events."""
    images: Sequence[tuple[str, bytes, bytes]]
    """`before`, `after` or both: name, columns-present bitmap, image."""
    flavor: Flavor
    has_gtid: bool
    server_id: int
    thread: int
    time_micros: int
    epoch: int
    sequence: int
    """Of the last record before it."""


class DeadChanges:
    """Makes the dead letters of capture, where the policy wants them."""

    def __init__(
        self,
        connector: str,
        dead_letters: DeadLetters,
        *,
        dropped: Counter[tuple[str, str]],
        add: Callable[[str, int, bytes, bytes], None],
        clock: Callable[[], int],
    ) -> None:
        """`add` writes a record among the others: topic, place, key, value; `clock` has
        nanoseconds."""
        self._connector, self._topic = connector, dead_letters_topic(connector)
        self._dead_letters = dead_letters
        self._dropped, self._add, self._clock = dropped, add, clock

    def row(self, bound: Any, change: RowChange, error: DecodeError) -> None:
        """A row that can't be published: raises `error` unless the policy says otherwise."""
        place = change.place

        def make() -> DeadLetter:
            hidden = hidden_columns(bound.plan)
            raw: dict[str, bytes] = {}
            for name, present, image in change.images:
                raw[f"{name}_present"], raw[name] = cut_out(bound.plan, present, image, hidden)
            about = {
                "operation": change.operation,
                "flavor": change.flavor,
                "has_gtid": change.has_gtid,
                "server_id": change.server_id,
                "thread": change.thread,
                "time_micros": change.time_micros,
                "shape": shape_value(parse_table_map(bound.table_map, change.flavor), hidden),
            }
            return self._letter(
                error,
                bound.name,
                place,
                f"{self._connector}/{place.transaction}/{place.ordinal}",
                length=sum(len(image) for _, _, image in change.images),
                raw=raw,
                about=about,
                after=Revision(change.epoch, change.sequence),
                hidden=tuple(bound.plan.columns[i].name for i in sorted(hidden)),
            )

        self._settle(error, bound.name, make)

    def statement(self, text: str, database: str, place: Place, error: DecodeError) -> None:
        """DML as a statement, whose rows nobody knows: of its text nothing is kept."""

        def make() -> DeadLetter:
            name = f"{self._connector}/{place.transaction}/{place.file}:{place.pos}"
            data = text.encode()
            letter = self._letter(error, database, place, name, length=len(data))
            return replace(letter, digest=digest_of([data]))

        self._settle(error, database, make)

    def _settle(self, error: DecodeError, table: str, make: Callable[[], DeadLetter]) -> None:
        letter = self._dead_letters.settle(error.kind, table, error, make, self._dropped)
        if letter is not None:
            self._add(self._topic, 0, letter.key, letter.to_bytes())

    def _letter(
        self,
        error: DecodeError,
        table: str,
        place: Place,
        name: str,
        *,
        length: int,
        raw: dict[str, bytes] | None = None,
        about: dict[str, Any] | None = None,
        after: Revision | None = None,
        hidden: tuple[str, ...] = (),
    ) -> DeadLetter:
        digest = digest_of((raw or {}).values())
        # Invariant 7: what doesn't fit into a record isn't kept.
        if sum(map(len, (raw or {}).values())) > RAW_BYTES_MAX or _size(about) > ABOUT_BYTES_MAX:
            raw = about = None
        coordinates = asdict(place)
        if after is not None:
            coordinates["after_revision"] = [after.epoch, after.sequence]
        return DeadLetter(
            id=name,
            stage="capture",
            kind=error.kind,
            reason=error.message,
            table=table,
            time_ms=self._clock() // 1_000_000,
            coordinates=coordinates,
            length=length,
            digest=digest,
            raw=raw or {},
            about=about or {},
            hidden=hidden,
        )


def hidden_columns(plan: Any) -> frozenset[int]:
    """Indexes of the columns of which records show less than the value: excluded, masked, cut."""
    return frozenset(
        i
        for i, column in enumerate(plan.columns)
        if column.kind in _HIDING and column.keyed is None
    )


def cut_out(plan: Any, present: bytes, image: bytes, hidden: frozenset[int]) -> tuple[bytes, bytes]:
    """The columns-present bitmap and the image without the hidden columns."""
    here = [i for i in range(plan.count) if _bit(present, i)]
    nulls = image[: (len(here) + 7) // 8]
    at = len(nulls)
    kept: list[int] = []
    null_flags: list[int] = []
    values: list[bytes] = []
    for nth, index in enumerate(here):
        begin = at
        is_null = _bit(nulls, nth)
        if not is_null:
            at = plan.value_end(index, image, at, len(image))
        if index not in hidden:
            kept.append(index)
            null_flags.append(is_null)
            values.append(image[begin:at])
    bitmap = _bitmap(dict.fromkeys(kept, 1), plan.count)
    return bitmap, _bitmap(dict(enumerate(null_flags)), len(kept)) + b"".join(values)


def _bit(bitmap: bytes, index: int) -> int:
    return bitmap[index >> 3] >> (index & 7) & 1


def _bitmap(flags: dict[int, int], count: int) -> bytes:
    out = bytearray((count + 7) // 8)
    for index, flag in flags.items():
        out[index >> 3] |= flag << (index & 7)
    return bytes(out)


def shape_value(shape: Shape, hidden: frozenset[int]) -> dict[str, Any]:
    """A shape as JSON has it; hidden columns without their labels."""
    value = asdict(shape)
    for index in hidden:
        value["columns"][index]["labels"] = ()
    return value


def shape_of(value: dict[str, Any]) -> Shape:
    """The shape that `shape_value` gave."""
    columns = tuple(Column(**{**one, "labels": tuple(one["labels"])}) for one in value["columns"])
    return Shape(**{**value, "columns": columns, "primary_key": tuple(value["primary_key"])})


def _size(about: dict[str, Any] | None) -> int:
    columns = about["shape"]["columns"] if about else ()
    return sum(100 + len(one["name"]) + sum(map(len, one["labels"])) for one in columns)
