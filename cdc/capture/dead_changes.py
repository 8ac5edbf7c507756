"""Dead letters of capture: rows and statements that can't be published.

What is kept of a row are its images, less the values of columns that no record shows whole
(invariant 9), and its shape, so that it can be decoded again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from cdc.capture import opcodes, rows
from cdc.capture.checkpoint import Flavor
from cdc.capture.columns import ColumnPlan
from cdc.capture.description import Description
from cdc.capture.prepared_rows import PreparedRow
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.shapes import Column, Shape, parse_table_map
from cdc.capture.types import form_of
from cdc.codec.wire import FRAME_BYTES
from cdc.dead_letters import (
    HELD,
    RAW_BYTES_MAX,
    DeadLetter,
    DeadLetters,
    dead_letters_topic,
    digest_of,
)
from cdc.errors import CdcError, DecodeError
from cdc.findings import listed
from cdc.held_keys import Key
from cdc.model import Revision

ABOUT_BYTES_MAX = 128 * 1024
"""Of a table's shape and description, whose labels may be many."""

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
    """The number that it takes: what goes out of its key with a higher one is newer."""


class DeadChanges:
    """Makes the dead letters of capture, where the policy wants them."""

    def __init__(
        self,
        binder: Any,
        dead_letters: DeadLetters,
        *,
        dropped: Counter[tuple[str, str]],
        add: Callable[[str, int, bytes, bytes], None],
        clock: Callable[[], int],
    ) -> None:
        """`add` writes a record among the others: topic, place, key, value; `clock` has
        nanoseconds."""
        self._binder, self._connector = binder, binder.connector
        self._topic = dead_letters_topic(binder.connector)
        self._dead_letters = dead_letters
        self._is_holding = dead_letters.policy.is_holding
        self._dropped, self._add, self._clock = dropped, add, clock
        self.held = dead_letters.held_keys

    def behind(
        self,
        bound: Any,
        images: Sequence[tuple[str, bytes, bytes]],
        numbered: Revision,
        transaction: str,
        ordinal: int,
    ) -> DecodeError | None:
        """Why a row must wait, if it must: an earlier one of a key of its is a dead letter.

        `numbered`: the last number that was taken. Rows may come again from before the dead
        letter, those that were published already or, at least once, even after it was written."""
        for first in self.held.firsts(keys_of(bound, images)):
            is_before = first.transaction == transaction and ordinal <= first.ordinal
            if first.revision <= numbered and not is_before:
                return DecodeError(f"held behind dead letter {first.id}", kind=HELD)
        return None

    def check_truncate(self, bound: Any, numbered: Revision) -> None:
        """Nothing can hold the end of all rows back: it stops while some of them wait."""
        for first in self.held.firsts([(bound.topic, None)]):
            if first.revision <= numbered:
                raise DecodeError(
                    f"{bound.name} is truncated while changes of it are held behind dead letter"
                    f" {first.id}",
                    hint="redrive it, or drop it and redrive what waits for it (`cdc dead list`);"
                    " then start again: nothing is lost",
                )

    def check_prepared(self, row: PreparedRow, numbered: Revision, transaction: str) -> None:
        """A row that was kept since XA PREPARE has no images that could wait: it stops instead."""
        key = row.key[FRAME_BYTES:] or None
        for first in self.held.firsts([(row.topic, key)]):
            is_before = first.transaction == transaction and row.ordinal <= first.ordinal
            if first.revision <= numbered and not is_before:
                raise DecodeError(
                    f"a row of {row.name} in the XA transaction {transaction}, which was prepared"
                    f" before a restart, is held behind dead letter {first.id}",
                    hint="redrive it, or drop it and redrive what waits for it (`cdc dead list`);"
                    " then start again: nothing is lost",
                )

    def row(self, bound: Any, change: RowChange, error: DecodeError) -> bool:
        """Whether a row that can't be published is kept; raises `error` unless the policy says
        otherwise."""
        place = change.place

        def make() -> DeadLetter:
            hidden = hidden_columns(bound.plan)
            raw: dict[str, bytes] = {}
            for name, present, image in change.images:
                raw[f"{name}_present"], raw[name] = cut_out(bound.plan, present, image, hidden)
            shape = parse_table_map(bound.table_map, change.flavor)
            shape, known = self._binder.known_of(shape, change.flavor)
            about = {
                "operation": change.operation,
                "flavor": change.flavor,
                "has_gtid": change.has_gtid,
                "server_id": change.server_id,
                "thread": change.thread,
                "time_micros": change.time_micros,
                "shape": shape_value(shape, hidden),
                "description": None if known is None else known.to_json(),
            }
            letter = self._letter(
                error,
                bound.name,
                place,
                f"{self._connector}/{place.transaction}/{place.ordinal}",
                length=sum(len(image) for _, _, image in change.images),
                raw=raw,
                about=about,
                revision=Revision(change.epoch, change.sequence),
                hidden=tuple(bound.plan.columns[i].name for i in sorted(hidden)),
                holds=keys_of(bound, change.images) if self._is_holding else (),
            )
            if error.kind == HELD:
                _check_whole(letter, error, _needed(bound.plan, hidden))
            return letter

        return self._settle(error, bound.name, make)

    def statement(self, text: str, database: str, place: Place, error: DecodeError) -> None:
        """DML as a statement, whose rows nobody knows: of its text nothing is kept.

        Nothing waits behind it: it can't be tried again, so nothing can come out of order."""

        def make() -> DeadLetter:
            name = f"{self._connector}/{place.transaction}/{place.file}:{place.pos}"
            data = text.encode()
            letter = self._letter(error, database, place, name, length=len(data))
            return replace(letter, digest=digest_of([data]))

        self._settle(error, database, make)

    def _settle(self, error: DecodeError, table: str, make: Callable[[], DeadLetter]) -> bool:
        settled = self._dead_letters.settle(error.kind, table, error, make)
        if isinstance(settled, str):
            self._dropped[table, settled] += 1
            return False
        self._add(self._topic, 0, settled.key, settled.to_bytes())
        return True

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
        revision: Revision | None = None,
        hidden: tuple[str, ...] = (),
        holds: tuple[Key, ...] = (),
    ) -> DeadLetter:
        digest = digest_of((raw or {}).values())
        # Invariant 7: what doesn't fit into a record isn't kept.
        is_large = sum(map(len, (raw or {}).values())) > RAW_BYTES_MAX
        if is_large or len(orjson.dumps(about)) > ABOUT_BYTES_MAX:
            raw = about = None
        coordinates = asdict(place)
        if revision is not None:
            coordinates["revision"] = [revision.epoch, revision.sequence]
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
            holds=holds,
        )


def keys_of(bound: Any, images: Sequence[tuple[str, bytes, bytes]]) -> tuple[Key, ...]:
    """The topic and keys of a row's records, two where the key changes; of the whole topic where
    there is no key, or it can't be read."""
    plan = bound.plan
    parts: list[bytes | None] = [None] * plan.key_count
    keys: dict[Key, None] = {}
    for _, present, image in images:
        try:
            found = plan.key_parts(present, image)
        except DecodeError as error:
            if not error.kind:  # the event is damaged
                raise
            return ((bound.topic, None),)
        # What an image leaves out is as it was.
        parts = [old if new is None else new for old, new in zip(parts, found, strict=True)]
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return ((bound.topic, None),)
        keys[bound.topic, b"".join(known)] = None
    return tuple(keys)


def _needed(plan: Any, hidden: frozenset[int]) -> list[str]:
    """The hidden columns without which the row's records can't be made."""
    columns = [plan.columns[i] for i in sorted(hidden)]
    return [one.name for one in columns if one.kind == opcodes.CHANGED or one.key_slot >= 0]


def _check_whole(letter: DeadLetter, error: DecodeError, needed: Sequence[str]) -> None:
    """A row without a fault waits only where it can go out later."""
    if letter.raw and not needed:
        return
    why = (
        f"its records need the columns {listed(needed)}, which are hashed or cut: no dead letter"
        " keeps them"
        if needed
        else f"it has {letter.length} bytes, and a dead letter keeps {RAW_BYTES_MAX} at most"
    )
    raise DecodeError(
        f"a row of {letter.table} would be {error.message}, but can't be kept whole: {why}",
        hint="redrive what it waits for, or drop it and redrive what waits already; or give up the"
        " order of such keys: dead_letters.later_records: pass",
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
    kept = [place for place in _places(plan, present, image) if place[0] not in hidden]
    bitmap = _bitmap(dict.fromkeys((index for index, _, _ in kept), 1), plan.count)
    nulls = _bitmap({nth: end < 0 for nth, (_, _, end) in enumerate(kept)}, len(kept))
    return bitmap, nulls + b"".join(image[begin:end] for _, begin, end in kept if end >= 0)


def change_of(letter: DeadLetter) -> tuple[Shape, Description | None, RowChange]:
    """The row of a dead letter, to be decoded again; CdcError if it isn't kept."""
    about, at = letter.about, letter.coordinates
    if "shape" not in about:
        raise CdcError(
            f"the row of {letter.id} isn't kept: {letter.kind}, {letter.length} bytes",
            hint="compare the table at the source, then drop it",
        )
    known = about["description"]
    names = [name for name in ("before", "after") if name in letter.raw]
    epoch, sequence = at["revision"]
    return (
        shape_of(about["shape"]),
        None if known is None else Description.from_json(known),
        RowChange(
            Place(at["transaction"], at["file"], at["pos"], at["ordinal"], at["row"]),
            about["operation"],
            [(name, letter.raw[f"{name}_present"], letter.raw[name]) for name in names],
            flavor=about["flavor"],
            has_gtid=about["has_gtid"],
            server_id=about["server_id"],
            thread=about["thread"],
            time_micros=about["time_micros"],
            epoch=epoch,
            sequence=sequence,
        ),
    )


def rows_event(change: RowChange, table_id: int, columns: int) -> bytes:
    """The body of an event of version 1 that holds the row alone."""
    bitmaps = b"".join(present for _, present, _ in change.images)
    images = b"".join(image for _, _, image in change.images)
    count = bytes([columns]) if columns < 0xFB else b"\xfc" + columns.to_bytes(2, "little")
    return table_id.to_bytes(6, "little") + bytes(2) + count + bitmaps + images


def values_of(letter: DeadLetter) -> Iterator[tuple[str, str, bytes | None]]:
    """Image, column and value of all that is kept of a row; values without their lengths."""
    if "shape" not in letter.about:
        return
    shape = shape_of(letter.about["shape"])
    settings = ChangeEventSettings()
    plan = rows.RowPlan(
        shape.table,
        [
            ColumnPlan(shape.table, column.name, form_of(column, None, settings))
            for column in shape.columns
        ],
    )
    for name in ("before", "after"):
        if name in letter.raw:
            image, present = letter.raw[name], letter.raw[f"{name}_present"]
            for index, begin, end in _places(plan, present, image):
                column = plan.columns[index]
                begin += column.size if column.is_prefixed else 0
                yield name, column.name, None if end < 0 else image[begin:end]


def _places(plan: Any, present: bytes, image: bytes) -> Iterator[tuple[int, int, int]]:
    """Column, begin and end of each value of an image; the end of null is -1."""
    here = [i for i in range(plan.count) if _bit(present, i)]
    at = (len(here) + 7) // 8
    nulls = image[:at]
    for nth, index in enumerate(here):
        if _bit(nulls, nth):
            yield index, at, -1
            continue
        begin, at = at, plan.value_end(index, image, at, len(image))
        yield index, begin, at


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
