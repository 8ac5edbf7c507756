"""A row that can't be published becomes a dead letter; its neighbours notice nothing."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cdc.dead_letters import (
    INVALID_TEXT,
    KINDS,
    RAW_BYTES_MAX,
    DeadLetter,
    DeadLetters,
    Policy,
    SkipRule,
    digest_of,
)
from cdc.errors import DecodeError
from cdc.model import Record
from cdc.patterns import TablePatterns
from tests.binlogs import SOURCE, Binlog, Col, Reading, id_of, revision_of, whole_events
from tests.forms_plugin import Capture

COLUMNS = [Col(3, name="id"), Col(15, b"\x50\0", name="note", nullable=True, charset=45)]
DATED = [Col(3, name="id"), Col(10, name="day")]
JSONS = [Col(3, name="id"), Col(245, b"\4", name="doc", nullable=True)]
POISON = b"\xff\xfe"
TOPIC = "c.dead_letters"


def row(number: int, note: bytes = b"n") -> bytes:
    return b"\0" + struct.pack("<i", number) + bytes([len(note)]) + note


def wanted(*kinds: str, count_max: int = 100, **more: Any) -> DeadLetters:
    return DeadLetters(Policy(frozenset(kinds or KINDS), count_max=count_max, **more))


def reading(capture: Capture, dead_letters: DeadLetters | None = None, **more: Any) -> Reading:
    return Reading(capture, dead_letters=dead_letters or wanted(), **more)


def letters(records: Sequence[Record]) -> list[DeadLetter]:
    return [DeadLetter.from_bytes(one.value or b"") for one in records if one.topic == TOPIC]


def ids(records: Sequence[Record]) -> list[str]:
    """The last part of ids, of dead letters with a cross, of tombstones an empty one."""
    shown = []
    for one in records:
        key = (one.key or b"").decode("utf-8", "replace")
        name = f"+{key}" if one.topic == TOPIC else id_of(one) if one.headers else ""
        shown.append(name.replace(f"c/{SOURCE}:", ""))
    return shown


def one_transaction(operation: int, *rows: bytes, columns: Sequence[Col] = COLUMNS) -> Binlog:
    images = b"".join(rows)
    return Binlog().begin(7).table(columns).rows(operation, len(columns), images).commit()


@pytest.mark.parametrize("operation", [0, 1, 2])
def test_neighbours_of_a_poison_row_are_as_if_it_were_another(
    capture: Capture, operation: int
) -> None:
    good, poison = row(2), row(2, POISON)
    if operation == 1:
        rows = [row(1) * 2, good + poison, row(3) * 2, poison + good, row(5) * 2]
    else:
        rows = [row(1), poison, row(3), poison, row(5)]
    output = reading(capture).first(one_transaction(operation, *rows))
    times = 2 if operation == 2 else 1  # deletes have tombstones
    shown = [name for name in ids(output.records) if name]
    assert shown == ["7/1", "+7/2", "7/3", "+7/4", "7/5"]
    healthy = [one.replace(POISON, b"nn") for one in rows]
    expected = Reading(capture).first(one_transaction(operation, *healthy)).records
    ours = [one for one in output.records if one.topic != TOPIC]
    assert len(ours) == 3 * times
    of_neighbours = [one for i, one in enumerate(expected) if i // times in (0, 2, 4)]
    assert [one.value for one in ours] == [one.value for one in of_neighbours]
    assert [one.key for one in ours] == [one.key for one in of_neighbours]
    assert [revision_of(one).sequence for one in ours if one.headers] == [1, 3, 5]
    assert output.checkpoint.gtid_set == f"{SOURCE}:7"


def test_a_dead_letter_says_where_and_why_and_holds_the_bytes(capture: Capture) -> None:
    output = reading(capture).first(one_transaction(1, row(1) * 2, row(2) + row(3, POISON)))
    (letter,) = letters(output.records)
    assert (letter.id, letter.stage, letter.kind) == (f"c/{SOURCE}:7/2", "capture", INVALID_TEXT)
    assert "column note of shop.t holds bytes" in letter.reason
    assert (letter.table, letter.time_ms, letter.attempt) == ("shop.t", 10**12, 1)
    place = letter.coordinates
    assert (place["transaction"], place["ordinal"], place["row"]) == (f"{SOURCE}:7", 2, 1)
    assert place["file"] == "binlog.000001"
    assert place["revision"] == [1, 2]
    assert letter.raw == {
        "before_present": b"\3", "before": row(2), "after_present": b"\3", "after": row(3, POISON),
    }  # fmt: skip
    assert letter.length == len(row(2) + row(3, POISON))
    assert letter.digest == digest_of(letter.raw.values())
    assert letter.about["operation"] == "u"
    shape = capture.dead_changes.shape_of(letter.about["shape"])
    assert (shape.database, shape.table, shape.columns[1].name) == ("shop", "t", "note")
    assert DeadLetter.from_bytes(letter.to_bytes()) == letter


@pytest.mark.parametrize(
    ("kind", "options", "columns", "images"),
    [
        ("substitution", {"on_substitution": "dead_letter"}, DATED,
         b"\0" + struct.pack("<i", 1) + bytes(3)),
        ("unreadable_value", {}, JSONS,
         b"\0" + struct.pack("<i", 1) + struct.pack("<I", 3) + b"\0\xff\xff"),
        ("invalid_text", {"invalid_text": "dead_letter"}, COLUMNS, row(1, POISON)),
    ],
)  # fmt: skip
def test_each_kind_has_a_policy_of_its_own(
    capture: Capture, kind: str, options: Any, columns: Sequence[Col], images: bytes
) -> None:
    log = one_transaction(0, images, columns=columns)
    output = reading(capture, wanted(kind), options=options).first(log)
    assert [one.kind for one in letters(output.records)] == [kind]
    others = set(KINDS) - {kind}
    with pytest.raises(DecodeError, match="column"):
        reading(capture, wanted(*others), options=options).first(log)
    with pytest.raises(DecodeError, match="column"):
        Reading(capture, options=options).first(log)


def test_the_limit_stops_it_and_names_the_fault(capture: Capture) -> None:
    log = one_transaction(0, *(row(i, POISON) for i in range(4)))
    assert len(letters(reading(capture, wanted(count_max=4)).first(log).records)) == 4
    with pytest.raises(DecodeError, match=r"3 dead letters are kept .*column note of shop\.t"):
        reading(capture, wanted(count_max=3)).first(log)
    kept = DeadLetters(Policy(frozenset(KINDS), count_max=4), kept_count=1)
    with pytest.raises(DecodeError, match="count_max"):
        reading(capture, kept).first(log)


def test_a_rule_drops_under_its_name_what_it_is_of(capture: Capture) -> None:
    rule = SkipRule("old notes", INVALID_TEXT, TablePatterns(("shop.t",)))
    other = SkipRule("others", INVALID_TEXT, TablePatterns(("shop.other",)))
    log = one_transaction(0, row(1), row(2, POISON), row(3))
    read = reading(capture, wanted(skip=(other, rule)))
    assert ids(read.first(log).records) == ["7/1", "7/3"]
    assert read.decoder.dropped == {("shop.t", "old notes is in dead_letters.skip"): 1}
    with pytest.raises(DecodeError):
        reading(capture, DeadLetters(Policy(skip=(other,)))).first(log)


SECRET, HIDDEN_LABEL = b"s3cret", "hidden-label"
VEILED = [
    Col(3, name="id"),
    Col(15, b"\x50\0", name="pin", nullable=True, charset=45),
    Col(15, b"\x50\0", name="card", nullable=True, charset=45),
    Col(15, b"\x50\0", name="story", nullable=True, charset=45),
    Col(254, b"\xf7\1", name="level", nullable=True, charset=45, labels=(HIDDEN_LABEL, "b")),
    Col(15, b"\x50\0", name="note", nullable=True, charset=45),
]
HIDING = {
    "column.exclude.list": r"shop\.t\.(pin|level)",
    "column.mask.hash.v2.SHA-256.with.salt.x": r"shop\.t\.card",
    "column.truncate.to.3.chars": r"shop\.t\.story",
}


def text(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def test_hidden_columns_are_nowhere_in_a_dead_letter(capture: Capture) -> None:
    head = b"\0" + struct.pack("<i", 1) + text(SECRET) * 3 + b"\1"
    without_pin = bytes([1 << 1]) + struct.pack("<i", 1) + text(SECRET) * 2 + b"\1"
    log = Binlog().begin(7).table(VEILED)
    log.rows(1, len(VEILED), head + text(b"ok") + without_pin + text(POISON)).commit()
    output = reading(capture, options=HIDING).first(log)
    (record,) = [one for one in output.records if one.topic == TOPIC]
    (letter,) = letters([record])
    shown = (record.value or b"") + b"".join(letter.raw.values())
    assert SECRET not in shown
    assert HIDDEN_LABEL.encode() not in shown
    assert letter.hidden == ("pin", "card", "story", "level")
    assert letter.raw["before_present"] == letter.raw["after_present"] == b"\x21"
    assert letter.raw["before"] == b"\0" + struct.pack("<i", 1) + text(b"ok")
    assert letter.raw["after"] == b"\0" + struct.pack("<i", 1) + text(POISON)


def test_a_null_keeps_its_flag_where_columns_before_it_are_cut_out(capture: Capture) -> None:
    log = Binlog().begin(7).table(VEILED)
    before = bytes([0b100010]) + struct.pack("<i", 1) + text(SECRET) * 2 + b"\1"
    after = b"\0" + struct.pack("<i", 1) + text(SECRET) * 3 + b"\1" + text(POISON)
    log.rows(1, len(VEILED), before + after).commit()
    (letter,) = letters(reading(capture, options=HIDING).first(log).records)
    assert letter.raw["before"] == b"\2" + struct.pack("<i", 1)


def test_a_masked_column_at_fault_is_cut_out_as_well(capture: Capture) -> None:
    options = {"column.mask.hash.v2.SHA-256.with.salt.x": r"shop\.t\.note"}
    log = one_transaction(0, row(1, b"s3\xff"))
    (letter,) = letters(reading(capture, options=options).first(log).records)
    assert letter.kind == INVALID_TEXT
    assert letter.raw["after"] == b"\0" + struct.pack("<i", 1)
    assert "which is masked" in letter.reason


def test_rows_that_leave_columns_out_are_dead_letters_each(capture: Capture) -> None:
    log = Binlog().begin(7).table(COLUMNS).rows(0, 2, row(1))
    images = b"".join(b"\0" + struct.pack("<i", i) for i in (2, 3))
    log.rows(2, 2, images, present=b"\1").rows(0, 2, row(4)).commit()
    output = reading(capture, wanted("left_out_columns")).first(log)
    assert ids(output.records) == ["7/1", "+7/2", "+7/3", "7/4"]
    first, _ = letters(output.records)
    assert first.raw == {"before_present": b"\1", "before": b"\0" + struct.pack("<i", 2)}
    assert "comes without its column note" in first.reason


def test_a_statement_is_kept_by_place_length_and_digest_only(capture: Capture) -> None:
    said = "insert into t values (1, 's3cret')"
    log = Binlog().begin(7).query(said).table(COLUMNS).rows(0, 2, row(1)).commit()
    output = reading(capture, wanted("statement_rows")).first(log)
    (letter,) = letters(output.records)
    assert (letter.raw, letter.about) == ({}, {})
    assert (letter.length, letter.digest) == (len(said), digest_of([said.encode()]))
    assert b"s3cret" not in letter.to_bytes()
    assert letter.coordinates["transaction"] == f"{SOURCE}:7"
    assert len(output.records) == 2


def test_what_is_too_large_for_a_record_is_not_kept(capture: Capture) -> None:
    columns = [Col(3, name="id"), Col(252, b"\4", name="note", charset=45)]
    large = b"\xff" + b"x" * RAW_BYTES_MAX
    image = b"\0" + struct.pack("<i", 1) + struct.pack("<I", len(large)) + large
    log = Binlog().begin(7).table(columns).rows(0, 2, image).commit()
    (letter,) = letters(reading(capture).first(log).records)
    assert (letter.raw, letter.length) == ({}, len(image))
    assert len(letter.to_bytes()) < 2000


@pytest.mark.parametrize("is_counted", [False, True])
def test_a_restart_anywhere_gives_the_same_dead_letters_once(
    capture: Capture, is_counted: bool
) -> None:
    """At each event of the log, also inside transactions."""
    options = {"provide.transaction.metadata": is_counted}
    log = Binlog()
    for number in (7, 8):
        log.begin(number).table(COLUMNS)
        log.rows(0, 2, row(1) + row(2, POISON)).rows(1, 2, row(3, POISON) + row(3) + row(1) * 2)
        log.rows(2, 2, row(4, POISON)).commit()
    whole = reading(capture, options=options).first(log).records
    assert sum(one.topic == TOPIC for one in whole) == 6
    events = whole_events(log.data)
    for cut in range(2, len(events)):
        first = reading(capture, options=options)
        before = first.read(b"".join(events[:cut]), first.start())
        second = reading(capture, ids=first.ids, options=options)
        at = events.index(next(e for e in events[1:] if _begin(e, log) >= before.checkpoint.pos))
        after = second.read(b"".join([*events[:2], *events[max(at, 2) :]]), before.checkpoint)
        both = [*before.records, *after.records]
        assert [(one.topic, one.key, one.value) for one in both] == [
            (one.topic, one.key, one.value) for one in whole
        ], cut


def _begin(event: bytes, log: Binlog) -> int:
    size, end = struct.unpack_from("<II", event, 9)
    return int(end - size)


LARGE = b"x" * 200


@pytest.mark.parametrize(
    ("operation", "image", "is_too_large"),
    [
        (0, row(2, LARGE), True),
        (2, row(2, LARGE), True),
        (1, row(2, LARGE) + row(2), True),
        (1, row(2) + row(2, LARGE), True),
        (1, row(2) + row(2), False),
        # The key changes: two records, of one image each.
        (1, row(2, b"x" * 75) + row(4, b"x" * 75), False),
        (1, row(2, LARGE) + row(4), True),
        (1, row(2) + row(4, LARGE), True),
    ],
)
def test_a_record_too_large_for_its_topic_is_kept_apart(
    capture: Capture, operation: int, image: bytes, is_too_large: bool
) -> None:
    times = 2 if operation == 1 else 1
    log = one_transaction(operation, row(1) * times, image, row(3) * times)
    options = {"provide.transaction.metadata": True, "tombstones.on.delete": False}
    # 1024 for all that a record has beside the images, the source's block comes off as well.
    read = reading(capture, options=options, record_bytes_max=1024 + 300)
    output = read.first(log)
    kept = letters(output.records)
    assert [one.kind for one in kept] == ["oversized_record"] * is_too_large
    changes = [one for one in output.records if one.topic == "c.shop.t"]
    whole = reading(capture, options=options).first(log).records
    others = [one for one in whole if one.topic == "c.shop.t" and not id_of(one).endswith("/2")]
    if is_too_large:
        assert [one.key for one in changes] == [one.key for one in others]
        assert read.decoded(output.records[-1].value)["event_count"] == 2
    else:
        assert [one.value for one in output.records] == [one.value for one in whole]


@pytest.mark.parametrize("operation", [0, 1, 2])
@pytest.mark.parametrize("flavor", ["mysql", "mariadb", "anonymous"])
def test_a_row_comes_again_as_it_would_have_come(
    capture: Capture, flavor: str, operation: int
) -> None:
    """All but its revision is what a reading that takes the row publishes."""
    bad, good = row(2, b"a" + POISON), row(2, b"b")
    images = bad + good if operation == 1 else bad
    log = Binlog("mariadb" if flavor == "mariadb" else "mysql", file="binlog.000017")
    (log.anonymous().query("BEGIN") if flavor == "anonymous" else log.begin(7)).table(COLUMNS)
    log.rows(operation, 2, row(1) * (2 if operation == 1 else 1) + images).commit()
    read = reading(capture)
    output = read.first(log)
    (letter,) = letters(output.records)
    again = _again(capture, letter, output.checkpoint, read, invalid_text="replace")
    taken = Reading(capture, options={"invalid_text": "replace"}, ids=read.ids).first(log).records
    expected = taken[len(taken) // 2 :]
    assert [(one.topic, one.place, one.key, one.value) for one in again.records] == [
        (one.topic, one.place, one.key, one.value) for one in expected
    ]
    assert id_of(again.records[0]) == id_of(expected[0])
    assert revision_of(again.records[0]).sequence == output.checkpoint.sequence + 1
    assert again.checkpoint == replace(output.checkpoint, sequence=output.checkpoint.sequence + 1)


def test_a_row_comes_again_while_its_transaction_is_open(capture: Capture) -> None:
    """Capture stopped inside it: the checkpoint counts the row as done."""
    read = reading(capture)
    output = read.first(one_transaction(0, row(1), row(2, POISON), row(3)))
    (letter,) = letters(output.records)
    is_open = replace(output.checkpoint, transaction=f"{SOURCE}:7", rows_done=3)
    again = _again(capture, letter, is_open, read, invalid_text="replace")
    assert [id_of(one) for one in again.records] == [letter.id]
    assert (again.checkpoint.transaction, again.checkpoint.rows_done) == (f"{SOURCE}:7", 3)


def _again(
    capture: Capture, letter: DeadLetter, checkpoint: Any, read: Reading, **options: Any
) -> Any:
    letter = DeadLetter.from_bytes(letter.to_bytes())
    shape, known, change = capture.dead_changes.change_of(letter)
    described = {} if known is None else {(shape.database, shape.table): known}
    second = Reading(
        capture, options={**read.options, **options}, ids=read.ids, descriptions=described
    )
    return second.decoder.again(shape, change, checkpoint)


def test_a_row_comes_again_with_the_description_of_its_place(capture: Capture) -> None:
    column = capture.description.ColumnDescription
    description = capture.description.Description(
        (
            column("id", "int", "int", nullable=False, default=None),
            column("note", "varchar", "varchar(80)", nullable=True, default="dear"),
        )
    )
    known = {("shop", "t"): description}
    log = one_transaction(0, b"\2" + struct.pack("<i", 1), row(2, POISON))
    read = reading(capture, descriptions=known)
    output = read.first(log)
    (letter,) = letters(output.records)
    again = _again(capture, letter, output.checkpoint, read, invalid_text="replace")
    taken = Reading(
        capture, options={"invalid_text": "replace"}, ids=read.ids, descriptions=known
    ).first(log)
    assert again.records[0].value == taken.records[1].value
    assert again.records[0].value[:5] == output.records[0].value[:5], "the same schema"


def test_a_row_comes_again_without_what_is_hidden(capture: Capture) -> None:
    options = {"column.exclude.list": r"shop\.t\.(pin|level)", "column.mask.with.3.chars": ".*card"}
    image = b"\0" + struct.pack("<i", 1) + text(SECRET) * 2 + text(b"kept") + b"\1" + text(POISON)
    log = Binlog().begin(7).table(VEILED).rows(0, len(VEILED), image).commit()
    read = reading(capture, options=options)
    output = read.first(log)
    (letter,) = letters(output.records)
    again = _again(capture, letter, output.checkpoint, read, invalid_text="replace")
    lenient = Reading(capture, options={**options, "invalid_text": "replace"}, ids=read.ids)
    taken = lenient.first(log).records
    assert again.records[0].value == taken[0].value
    assert lenient.decoded(taken[0].value)["after"]["story"] == "kept"


def test_a_row_whose_hashed_column_was_cut_out_does_not_come_again(capture: Capture) -> None:
    image = b"\0" + struct.pack("<i", 1) + text(SECRET) * 3 + b"\1" + text(POISON)
    log = Binlog().begin(7).table(VEILED).rows(0, len(VEILED), image).commit()
    read = reading(capture, options=HIDING)
    output = read.first(log)
    (letter,) = letters(output.records)
    with pytest.raises(DecodeError, match="without its columns card, story"):
        _again(capture, letter, output.checkpoint, read, invalid_text="replace")


def test_a_row_that_is_still_at_fault_says_so(capture: Capture) -> None:
    read = reading(capture)
    output = read.first(one_transaction(0, row(2, POISON)))
    (letter,) = letters(output.records)
    with pytest.raises(DecodeError, match=r"column note of shop\.t holds bytes"):
        _again(capture, letter, output.checkpoint, read)


def test_the_values_of_a_row_are_shown_by_column(capture: Capture) -> None:
    (letter,) = letters(reading(capture).first(one_transaction(0, row(2, POISON))).records)
    shown = list(capture.dead_changes.values_of(letter))
    assert shown == [("after", "id", struct.pack("<i", 2)), ("after", "note", POISON)]


def test_a_transactions_end_counts_what_was_published(capture: Capture) -> None:
    options = {"provide.transaction.metadata": True}
    read = reading(capture, options=options)
    output = read.first(one_transaction(0, row(1), row(2, POISON), row(3)))
    values = [read.decoded(one.value) for one in output.records if one.topic != TOPIC]
    assert [one["transaction"]["total_order"] for one in values[1:-1]] == [1, 2]
    assert values[-1]["event_count"] == 2


def test_a_damaged_rows_event_still_stops(capture: Capture) -> None:
    log = one_transaction(0, row(1), row(2, POISON)[:-1])
    with pytest.raises(DecodeError, match="past the end"):
        reading(capture).first(log)
