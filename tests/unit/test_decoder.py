"""Events become records in order; no restart, cut or fault loses or doubles any."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import DecodeError
from cdc.model import Record
from tests.binlogs import (
    GOLDEN,
    SOURCE,
    Binlog,
    Col,
    Followed,
    Reading,
    artificial_rotate,
    from_place,
    golden_events,
    id_of,
    label_list,
    readable,
    revision_of,
    whole_events,
    with_checksum,
)
from tests.forms_plugin import Capture, compiled, plain

COLUMNS = [Col(3, name="id"), Col(15, b"\x50\0", name="note", nullable=True)]
ID, NOTE = 0, 1
GOLDENS = {"gstream2": ("mysql", "binlog.000014"), "mariadb/gmaria5": ("mariadb", "mbin.000008")}
FORMAT_DESCRIPTION, TABLE_MAP = 15, 19
LOAD_DATA = (
    struct.pack("<IIBHH", 9, 0, 4, 0, 0)
    + struct.pack("<IIIB", 1, 9, 20, 0)
    + b"shop\0LOAD DATA INFILE 'x' INTO TABLE t"
)
"""The body of an EXECUTE_LOAD_QUERY event."""


def row(number: int, note: str | None = "n") -> bytes:
    if note is None:
        return b"\x02" + struct.pack("<i", number)
    return b"\0" + struct.pack("<i", number) + bytes([len(note)]) + note.encode()


def insert(log: Binlog, number: int, *rows: bytes) -> Binlog:
    return log.begin(number).table(COLUMNS).rows(0, 2, b"".join(rows)).commit()


def operations(reading: Reading, records: Sequence[Record]) -> list[Any]:
    """(op, before id, after id) of change events, None of tombstones."""
    found: list[Any] = []
    for record in records:
        event = reading.decoded(record.value)
        if event is None:
            found.append(None)
            continue
        images = (event["before"], event["after"])
        found.append((event["op"], *(image and image["id"] for image in images)))
    return found


# Transactions


def test_rows_of_a_transaction_have_its_gtid_and_count_through(capture: Capture) -> None:
    reading = Reading(capture)
    log = insert(insert(Binlog(), 7, row(1), row(2)), 8, row(3))
    output = reading.first(log)
    assert operations(reading, output.records) == [("c", None, n) for n in (1, 2, 3)]
    assert [id_of(r) for r in output.records] == [
        f"c/{SOURCE}:7/1", f"c/{SOURCE}:7/2", f"c/{SOURCE}:8/1",
    ]  # fmt: skip
    assert [revision_of(r).sequence for r in output.records] == [1, 2, 3]
    sources = [reading.decoded(r.value)["source"] for r in output.records]
    assert [s["row"] for s in sources] == [0, 1, 0]
    assert [s["gtid"] for s in sources] == [f"{SOURCE}:7"] * 2 + [f"{SOURCE}:8"]
    assert [s["thread"] for s in sources] == [9] * 3
    assert output.checkpoint.gtid_set == f"{SOURCE}:7-8"
    assert (output.checkpoint.pos, output.checkpoint.sequence) == (log.position, 3)
    assert output.checkpoint.transaction == ""


def test_each_operation_has_its_images_and_a_delete_its_tombstone(capture: Capture) -> None:
    log = Binlog().begin(1).table(COLUMNS)
    log.rows(0, 2, row(1)).rows(1, 2, row(1) + row(1, "m")).rows(2, 2, row(1, "m")).commit()
    reading = Reading(capture)
    records = reading.first(log).records
    assert operations(reading, records) == [("c", None, 1), ("u", 1, 1), ("d", 1, None), None]
    assert {r.key for r in records} == {records[0].key}
    assert not records[-1].headers
    without = Reading(capture, options={"tombstones.on.delete": False})
    assert len(without.first(log).records) == 3


def test_rows_events_of_version_1_are_read(capture: Capture) -> None:
    log = Binlog().begin(1).table(COLUMNS).rows(0, 2, row(1) + row(2), version=1).commit()
    assert len(Reading(capture).first(log).records) == 2


def test_commit_time_comes_from_the_gtid_event_else_from_the_header(capture: Capture) -> None:
    reading = Reading(capture)
    log = Binlog().gtid(1, micros=1_700_000_000_123_456).query("BEGIN").table(COLUMNS)
    insert(log.rows(0, 2, row(1)).commit(), 2, row(2))
    times = [reading.decoded(r.value)["source"]["ts_us"] for r in reading.first(log).records]
    assert times == [1_700_000_000_123_456, 1_700_000_000_000_000]


def test_an_anonymous_transaction_is_named_by_its_place(capture: Capture) -> None:
    log = Binlog()
    begun_at = log.position
    log.anonymous().query("BEGIN").table(COLUMNS).rows(0, 2, row(1)).commit()
    reading = Reading(capture)
    (record,) = reading.first(log).records
    assert id_of(record) == f"c/binlog.000001:{begun_at}/1"
    assert reading.decoded(record.value)["source"]["gtid"] is None


def test_a_begin_without_any_gtid_event_is_named_by_its_place(capture: Capture) -> None:
    log = insert(Binlog(), 1, row(0))
    begun_at = log.position
    log.query("BEGIN").table(COLUMNS).rows(0, 2, row(1)).query("COMMIT")
    records = Reading(capture).first(log).records
    assert id_of(records[1]) == f"c/binlog.000001:{begun_at}/1"


def test_query_commit_ends_a_transaction_and_savepoints_do_not(capture: Capture) -> None:
    log = Binlog().begin(1).table(COLUMNS).rows(0, 2, row(1))
    log.query("SAVEPOINT `s`").table(COLUMNS).rows(0, 2, row(2))
    log.query("RELEASE SAVEPOINT s").table(COLUMNS).rows(0, 2, row(3)).query("COMMIT")
    insert(log, 2, row(4))
    output = Reading(capture).first(log)
    assert [id_of(r).split(":")[1] for r in output.records] == ["1/1", "1/2", "1/3", "2/1"]
    assert output.checkpoint.gtid_set == f"{SOURCE}:1-2"


@pytest.mark.parametrize("undo", ["ROLLBACK", "/* x */ ROLLBACK", "ROLLBACK TO `s`"])
def test_a_rollback_behind_rows_stops_or_is_counted(capture: Capture, undo: str) -> None:
    empty = Binlog().begin(1).query("SAVEPOINT `s`").query(undo)
    assert Reading(capture).first(empty).records == []
    log = Binlog().begin(1).table(COLUMNS).rows(0, 2, row(1)).query(undo)
    with pytest.raises(DecodeError, match=r"ROLLBACK.*rows that didn't stay") as refused:
        Reading(capture).first(log)
    assert "source.accept: [rolled_back_rows]" in refused.value.hint
    reading = Reading(capture, accept=("rolled_back_rows",))
    assert len(reading.first(log).records) == 1
    assert sum(reading.decoder.dropped.values()) == 1


def test_ddl_is_a_transaction_of_its_own(capture: Capture) -> None:
    log = Binlog().gtid(1).query("CREATE TABLE x (a int)").gtid(2).query("DROP TABLE x")
    output = Reading(capture).first(log)
    assert output.records == []
    assert output.checkpoint.gtid_set == f"{SOURCE}:1-2"


def test_a_transaction_inside_another_is_refused(capture: Capture) -> None:
    with pytest.raises(DecodeError, match="begins inside another"):
        Reading(capture).first(Binlog().begin(1).gtid(2))


def test_rows_outside_a_transaction_are_refused(capture: Capture) -> None:
    log = insert(Binlog(), 1, row(1)).table(COLUMNS).rows(0, 2, row(2))
    with pytest.raises(DecodeError, match="outside a transaction"):
        Reading(capture).first(log)


def test_a_gtid_event_of_the_other_flavor_is_refused(capture: Capture) -> None:
    for flavor, other in (("mysql", "mariadb"), ("mariadb", "mysql")):
        log = Binlog(flavor)
        log.flavor = other
        log.gtid(1)
        reading = Reading(capture)
        with pytest.raises(DecodeError, match="GTID event of M"):
            reading.read(log.data, reading.start(flavor))


# Keys


def test_a_changed_key_is_a_delete_a_tombstone_and_a_create(capture: Capture) -> None:
    log = Binlog().begin(1).table(COLUMNS).rows(1, 2, row(1) + row(2)).commit()
    reading = Reading(capture)
    records = reading.first(log).records
    assert operations(reading, records) == [("d", 1, None), None, ("c", None, 2)]
    gone, tombstone, come = records
    assert gone.key == tombstone.key != come.key
    assert reading.decoded(dict(gone.headers)["__debezium.newkey"]) == {"id": 2}
    assert reading.decoded(dict(come.headers)["__debezium.oldkey"]) == {"id": 1}
    assert id_of(gone) == id_of(come)
    assert revision_of(gone) < revision_of(come)


def test_a_keys_columns_stand_in_the_keys_order(capture: Capture) -> None:
    log = Binlog().begin(1).table(COLUMNS, key=(NOTE, ID)).rows(0, 2, row(5, "five")).commit()
    reading = Reading(capture)
    (record,) = reading.first(log).records
    assert list(reading.decoded(record.key).items()) == [("note", "five"), ("id", 5)]


def test_a_table_without_a_key_has_records_without_one(capture: Capture) -> None:
    log = Binlog().begin(1).table(COLUMNS, key=()).rows(2, 2, row(5)).commit()
    records = Reading(capture).first(log).records
    assert [(r.key, r.place) for r in records] == [(None, 0), (None, 0)]


@given(data=st.binary(max_size=40))
def test_places_are_murmur2_of_the_keys_bare_body(capture: Capture, data: bytes) -> None:
    from cdc.codec.partition import place

    columns = [Col(15, b"\x50\0", name="id", charset=63)]
    image = b"\0" + bytes([len(data)]) + data
    log = Binlog().begin(1).table(columns).rows(0, 1, image).commit()
    (record,) = Reading(capture).first(log).records
    assert record.key is not None
    assert record.place == place(record.key[5:])


# What is left out


def test_rows_of_other_tables_are_counted_and_still_have_their_ordinal(capture: Capture) -> None:
    log = Binlog().begin(1).table(COLUMNS, database="other").rows(0, 2, row(1) + row(2))
    log.table(COLUMNS).rows(0, 2, row(3)).commit()
    reading = Reading(capture)
    (record,) = reading.first(log).records
    assert id_of(record).endswith("/3")
    assert reading.decoder.dropped == {("other.t", "table is not in source.tables"): 2}


def test_a_table_that_is_not_captured_may_have_what_cannot_be_decoded(capture: Capture) -> None:
    """A charset without a codec, an unknown collation: neither is needed to step over rows."""
    for charset in (69, 3999):
        columns = [Col(15, b"\x50\0", charset=charset), Col(254, b"\xf7\1", name="e")]
        fields = {3: bytes([0xFC]) + struct.pack("<H", charset), 6: label_list([b"\xff"])}
        log = Binlog().begin(1).table(columns, database="other", fields=fields)
        log.rows(0, 2, b"\0" + b"\1a" + b"\1").commit()
        reading = Reading(capture)
        assert reading.first(log).records == []
        assert reading.decoder.dropped == {("other.t", "table is not in source.tables"): 1}


def test_skipped_operations_are_counted(capture: Capture) -> None:
    log = Binlog().begin(1).table(COLUMNS).rows(0, 2, row(1)).rows(2, 2, row(1)).commit()
    reading = Reading(capture, options={"skipped.operations": "d"})
    assert operations(reading, reading.first(log).records) == [("c", None, 1)]
    assert sum(reading.decoder.dropped.values()) == 1


def test_a_truncate_is_an_event_without_key_and_rows(capture: Capture) -> None:
    log = insert(Binlog(), 1, row(1)).gtid(2).query("truncate table `shop`.`t`")
    reading = Reading(capture)
    event, truncate = reading.first(log).records
    assert (truncate.key, truncate.place) == (None, 0)
    assert operations(reading, [truncate]) == [("t", None, None)]
    assert revision_of(event) < revision_of(truncate)
    assert id_of(truncate) == f"c/{SOURCE}:2/1"


def test_a_truncate_of_another_table_is_not_ours(capture: Capture) -> None:
    log = insert(Binlog(), 1, row(1)).gtid(2).query("TRUNCATE other.t").gtid(3)
    log.query("TRUNCATE t", database="other")
    assert len(Reading(capture).first(log).records) == 1


@pytest.mark.parametrize(
    ("text", "database"),
    [
        ("TRUNCATE TABLE 'shop'.t", "other"),
        (b"truncate shop.caf\xe9", "other"),
        (b"truncate caf\xe9", "shop"),
        (b"truncate sh\xf6p.t", "other"),
    ],
)
def test_a_truncate_of_nobody_can_tell_which_table_stops_or_is_counted(
    capture: Capture, text: str | bytes, database: str
) -> None:
    log = Binlog().gtid(1).query(text, database=database)
    with pytest.raises(DecodeError, match=r"at binlog\.000001:\d+: which table it empties") as no:
        Reading(capture).first(log)
    assert "source.accept: [statement_rows]" in no.value.hint
    reading = Reading(capture, accept=("statement_rows",))
    assert reading.first(log).checkpoint.gtid_set == f"{SOURCE}:1"
    assert reading.decoder.dropped.total() == 1


def test_a_truncate_elsewhere_may_have_any_name(capture: Capture) -> None:
    reading = Reading(capture)
    reading.first(Binlog().gtid(1).query(b"truncate other.caf\xe9"))
    assert not reading.decoder.dropped


def test_a_truncate_of_a_table_not_seen_since_a_restart_has_its_last_schema(
    capture: Capture,
) -> None:
    first = Reading(capture)
    whole = first.first(insert(Binlog(), 1, row(1)).gtid(2).query("TRUNCATE t")).records
    schema_id = int.from_bytes(whole[0].value[1:5], "big")

    def last_schema(topic: str) -> int | None:
        return {"c.shop.t": schema_id}.get(topic)

    again = Reading(capture, schemas=first.schemas, last_schema=last_schema)
    (truncate,) = again.first(Binlog().gtid(2).query("TRUNCATE t")).records
    assert operations(again, [truncate]) == [("t", None, None)]
    shown, expected = again.decoded(truncate.value), first.decoded(whole[1].value)
    assert shown["source"] | {"pos": 0} == expected["source"] | {"pos": 0}


def test_a_truncate_of_a_table_of_which_nothing_was_published_is_counted(
    capture: Capture,
) -> None:
    reading = Reading(capture)
    assert reading.first(Binlog().gtid(1).query("TRUNCATE t")).records == []
    reason = "truncate of a table of which nothing was published"
    assert reading.decoder.dropped == {("shop.t", reason): 1}


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t DROP PARTITION p1",
        "alter table `shop`.`t` /* x */ truncate partition p1, p2",
        "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE other.u",
        "ALTER TABLE other.t EXCHANGE PARTITION p WITH TABLE shop.t",
        "ALTER TABLE t IMPORT TABLESPACE",
        "ALTER TABLE t DISCARD TABLESPACE",
        "ALTER TABLE t IMPORT PARTITION p1 TABLESPACE",
    ],
)
def test_ddl_that_changes_rows_without_events_is_counted(capture: Capture, text: str) -> None:
    reading = Reading(capture)
    log = Binlog().gtid(1).query(text).gtid(2).query("ALTER TABLE t COMMENT 'DROP PARTITION'")
    log.gtid(3).query("ALTER TABLE other.t DROP PARTITION p1")
    assert reading.first(log).records == []
    reason = "rows of partitions or tablespaces, without events"
    assert reading.decoder.dropped == {("shop.t", reason): 1}


# Statements that should have been rows


@pytest.mark.parametrize(
    ("text", "database"),
    [
        ("INSERT INTO t VALUES (1)", "shop"),
        ("update t set a = 1", "shop"),
        ("/* hi */ DELETE FROM t", "shop"),
        ("insert into shop.t values (1)", "other"),
        ("REPLACE INTO `shop` . t VALUES (1)", ""),
        ('INSERT INTO "shop"."t" VALUES (1)', "other"),
        (b"insert into sh\xf6p.t values (1)", "other"),
        ("CREATE TABLE x TABLE t", "shop"),
        ("WITH x AS (SELECT 1) DELETE FROM t", "shop"),
        ("LOAD DATA INFILE 'x' INTO TABLE t", "shop"),
    ],
)
def test_a_statement_that_may_write_captured_tables_stops(
    capture: Capture, text: str | bytes, database: str
) -> None:
    log = Binlog().begin(1).query(text, database=database).commit()
    with pytest.raises(DecodeError, match="as a statement, not as rows") as refused:
        Reading(capture).first(log)
    assert "binlog_format=ROW" in refused.value.hint


def test_a_statement_outside_the_captured_databases_is_counted(capture: Capture) -> None:
    log = Binlog().begin(1).query("INSERT INTO other.t VALUES (1)", database="mysql").commit()
    log.gtid(2).query("INSERT INTO t VALUES (1)", database="other")
    reading = Reading(capture)
    output = reading.first(insert(log, 3, row(1)))
    assert len(output.records) == 1
    assert sum(reading.decoder.dropped.values()) == 2
    assert output.checkpoint.gtid_set == f"{SOURCE}:1-3"


@pytest.mark.parametrize(
    ("log", "accepted"),
    [
        (Binlog().begin(1).query("INSERT INTO t VALUES (1)").commit(), "statement_rows"),
        (Binlog().gtid(1).query("UPDATE t SET a = 1"), "statement_rows"),
        (Binlog().gtid(1).query("CREATE TABLE x AS SELECT * FROM t"), "statement_rows"),
        (Binlog().gtid(1).query("SELECT `shop`.`f`(1)"), "statement_rows"),
        (Binlog().begin(1).add(18, LOAD_DATA).commit(), "statement_rows"),
        (Binlog().gtid(1).query("XA COMMIT X'61',X'',1"), "prepared_before_start"),
        (Binlog().begin(1).add(26, b"\1\0\0").commit(), "incident"),
        (Binlog().begin(1).add(99, b"new").commit(), "unknown_events"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_published_stops_or_is_counted(
    capture: Capture, log: Binlog, accepted: str
) -> None:
    with pytest.raises(DecodeError, match=r"at binlog\.000001:\d+") as refused:
        Reading(capture).first(log)
    assert f"source.accept: [{accepted}]" in refused.value.hint
    reading = Reading(capture, accept=(accepted,))
    output = reading.first(log)
    assert output.checkpoint.gtid_set == f"{SOURCE}:1"
    assert reading.decoder.dropped.total() == 1
    assert accepted in str(reading.decoder.dropped)


@pytest.mark.parametrize(
    "body",
    [LOAD_DATA[:20], LOAD_DATA[:11] + b"\xff\xff" + LOAD_DATA[13:]],
    ids=["head", "variables"],
)
def test_a_load_statement_that_ends_too_early_is_damaged(capture: Capture, body: bytes) -> None:
    with pytest.raises(DecodeError, match="EXECUTE_LOAD_QUERY event can't be read: it is too sh"):
        Reading(capture).first(Binlog().begin(1).add(18, body).commit())


def test_a_created_table_whose_text_only_mentions_select_has_no_rows(capture: Capture) -> None:
    log = Binlog().gtid(1).query("CREATE TABLE x (a int COMMENT 'as SELECT', `select` int)")
    assert Reading(capture).first(log).records == []


# Faults


def test_rows_of_an_unknown_table_id_are_refused_and_the_dummy_is_not(capture: Capture) -> None:
    log = Binlog().begin(1).rows(0, 2, b"", table_id=0xFFFFFF).commit()
    assert Reading(capture).first(log).records == []
    with pytest.raises(DecodeError, match="table id 5, which no TABLE_MAP announced"):
        Reading(capture).first(Binlog().begin(1).rows(0, 2, row(1), table_id=5))


def test_table_ids_are_forgotten_at_a_rotate(capture: Capture) -> None:
    log = insert(Binlog(), 1, row(1))
    log.add(4, struct.pack("<Q", 4) + b"binlog.000002").begin(2).rows(0, 2, row(1))
    with pytest.raises(DecodeError, match="no TABLE_MAP announced"):
        Reading(capture).first(log)


@pytest.mark.parametrize("name", GOLDENS)
def test_every_flipped_byte_of_an_event_is_found(capture: Capture, name: str) -> None:
    flavor, file = GOLDENS[name]
    events = golden_events(name)
    nth = next(i for i, event in enumerate(events) if event[4] in (23, 30))
    before = artificial_rotate(file) + b"".join(events[:nth])
    for at in range(len(events[nth])):
        changed = bytearray(events[nth])
        changed[at] ^= 0x10
        reading = Reading(capture, tables=("golden.*",))
        with pytest.raises(DecodeError, match=r"checksum|claims|event"):
            reading.read(before + bytes(changed), reading.start(flavor, file))


def test_a_format_descriptions_checksum_is_made_before_the_file_is_in_use(
    capture: Capture,
) -> None:
    log = insert(Binlog(), 1, row(1))
    closed = log.events[1]
    log.events[1] = closed[:17] + bytes([closed[17] | 1]) + closed[18:]
    assert len(Reading(capture).first(log).records) == 1
    log.events[1] = closed[:40] + bytes([closed[40] ^ 1]) + closed[41:]
    with pytest.raises(DecodeError, match="checksum of FORMAT_DESCRIPTION"):
        Reading(capture).first(log)


def test_binlogs_without_checksums_are_read(capture: Capture) -> None:
    log = insert(Binlog(checksum=False), 1, row(1))
    assert len(Reading(capture).first(log).records) == 1


@pytest.mark.parametrize("checksum", [False, True])
def test_a_dumps_first_rotate_may_have_a_checksum(capture: Capture, checksum: bool) -> None:
    """It comes before the format description, which alone says so."""
    log = insert(Binlog(), 1, row(1))
    log.events[0] = artificial_rotate(log.file, checksum=checksum)
    reading = Reading(capture)
    output = reading.first(log)
    assert output.checkpoint.file == log.file
    assert reading.decoded(output.records[0].value)["source"]["file"] == log.file


def test_an_incident_stops(capture: Capture) -> None:
    with pytest.raises(DecodeError, match=r"INCIDENT at binlog\.000001"):
        Reading(capture).first(Binlog().add(26, b"\1\0\0"))


def test_events_without_row_changes_are_stepped_over(capture: Capture) -> None:
    log = Binlog().begin(1)
    for kind in (3, 5, 9, 11, 13, 14, 17, 28, 29, 35, 36, 37, 160, 161, 163, 164):
        log.add(kind, b"whatever")
    log.table(COLUMNS).rows(0, 2, row(1)).commit()
    assert len(Reading(capture).first(log).records) == 1


@pytest.mark.parametrize("kind", [0, 20, 40, 99, 172, 255])
def test_an_unknown_event_type_stops_unless_it_is_flagged_ignorable(
    capture: Capture, kind: int
) -> None:
    with pytest.raises(DecodeError, match=rf"\({kind}\) at binlog.000001:\d+ can't be read"):
        Reading(capture).first(Binlog().add(kind, b"new"))
    log = insert(Binlog().add(kind, b"new", flags=0x80), 1, row(1))
    assert len(Reading(capture).first(log).records) == 1


def test_a_uuid_stays_text_over_ddl_that_is_not_understood_and_does_not_name_it(
    capture: Capture,
) -> None:
    uuid = Col(254, b"\xfe\x10", name="u", charset=63)
    make = capture.description.ColumnDescription
    known = capture.description.Description((make("u", "uuid", "uuid", False, None),))
    image = b"\0\x10" + bytes(range(16))
    log = Binlog("mariadb")
    for number, ddl in enumerate(("frobnicate x", "frobnicate u"), 1):
        log.gtid(2 * number, standalone=True).query(f"alter table t {ddl}")
        log.begin(2 * number + 1).table([uuid]).rows(0, 1, image).commit()
    reading = Reading(capture, descriptions={("shop", "t"): known})
    keys = [reading.decoded(record.key)["u"] for record in reading.first(log).records]
    assert keys == ["00010203-0405-0607-0809-0a0b0c0d0e0f", bytes(range(16))]


LEFT_OUT = ("row_image_not_full",)


@pytest.mark.parametrize("accept", [(), LEFT_OUT])
@pytest.mark.parametrize("present", [b"\0", b"\2"], ids=["no column at all", "without the key"])
def test_a_row_image_without_its_key_is_refused(
    capture: Capture, present: bytes, accept: tuple[str, ...]
) -> None:
    image = b"" if present == b"\0" else b"\0\1n"
    log = Binlog().begin(1).table(COLUMNS).rows(0, 2, image, present=present).commit()
    with pytest.raises(DecodeError, match=r"of shop.t comes without its columns? id.* \(at ") as no:
        Reading(capture, accept=accept).first(log)
    assert "binlog_row_image" in no.value.hint
    assert "source.accept" not in no.value.hint


BLOBS = [
    COLUMNS[ID],
    Col(252, b"\2", name="note", nullable=True),
    Col(252, b"\2", name="raw", charset=63),
]


def without_blobs() -> Binlog:
    return Binlog().begin(1).table(BLOBS).rows(0, 3, b"\0" + bytes(4), present=b"\1").commit()


def test_what_a_row_without_blobs_leaves_out_is_unavailable_once_that_is_accepted(
    capture: Capture,
) -> None:
    reading = Reading(capture, accept=LEFT_OUT)
    (record,) = reading.first(without_blobs()).records
    after = reading.decoded(record.value)["after"]
    gone = "__debezium_unavailable_value"
    assert after == {"id": 0, "note": gone, "raw": gone.encode()}
    assert sum(reading.decoder.substitutions().values()) == 2
    with pytest.raises(DecodeError, match=r"shop.t .*without its columns note, raw \(at b") as no:
        Reading(capture).first(without_blobs())
    assert "source.accept: [row_image_not_full]" in no.value.hint


@pytest.mark.parametrize("count", [2, 7, 8, 9, 16, 17])
def test_any_other_column_that_a_row_leaves_out_stops_though_it_could_be_null(
    capture: Capture, count: int
) -> None:
    columns = [COLUMNS[ID]] + [Col(1, name=f"c{i}", nullable=True) for i in range(1, count)]
    whole = (1 << count) - 1  # what the last byte has beyond the columns may be unset, too
    for absent in (None, *range(1, count)):
        bits = whole if absent is None else whole & ~(1 << absent)
        present = bits.to_bytes((count + 7) // 8, "little")
        image = bytes((bits.bit_count() + 7) // 8) + bytes(4) + b"\1" * (bits.bit_count() - 1)
        log = Binlog().begin(1).table(columns).rows(0, count, image, present=present).commit()
        reading = Reading(capture, accept=LEFT_OUT)
        if absent is None:
            assert len(reading.first(log).records) == 1
            continue
        with pytest.raises(DecodeError, match=rf"without its column c{absent} "):
            reading.first(log)


@pytest.mark.parametrize(
    "options",
    [
        {"column.exclude.list": r".*\.(note|raw)"},
        {"column.include.list": r".*\.id"},
        {"column.exclude.list": r".*\.raw", "column.mask.with.3.chars": r".*\.note"},
    ],
    ids=["excluded", "not included", "masked"],
)
def test_a_row_may_leave_out_what_no_record_shows(
    capture: Capture, options: dict[str, Any]
) -> None:
    reading = Reading(capture, options=options)
    (record,) = reading.first(without_blobs()).records
    after = reading.decoded(record.value)["after"]
    assert after == ({"id": 0, "note": "***"} if len(options) == 2 else {"id": 0})
    assert not reading.decoder.substitutions()


def test_a_blob_in_the_key_may_not_be_left_out(capture: Capture) -> None:
    """A placeholder there would be the key of many rows."""
    options = {"message.key.columns": "shop.t:raw"}
    with pytest.raises(DecodeError, match="without its column raw "):
        Reading(capture, accept=LEFT_OUT, options=options).first(without_blobs())


def test_more_than_250_columns(capture: Capture) -> None:
    columns = [Col(1, name=f"c{i}", nullable=i > 0) for i in range(300)]
    nulls = bytearray(38)
    nulls[299 >> 3] |= 1 << (299 & 7)
    image = bytes(nulls) + bytes(i % 100 for i in range(299))
    for tables in (("shop.*",), ("other.*",)):
        reading = Reading(capture, tables=tables)
        log = Binlog().begin(1).table(columns).rows(0, 300, image * 2).commit()
        records = reading.first(log).records
        assert len(records) == (2 if tables == ("shop.*",) else 0)
        for record in records:
            after = reading.decoded(record.value)["after"]
            assert list(after.values()) == [i % 100 for i in range(299)] + [None]


@pytest.mark.parametrize("count", [1, 3, 251, 0xFC])
def test_a_rows_event_with_another_number_of_columns_is_refused(
    capture: Capture, count: int
) -> None:
    log = Binlog().begin(1).table(COLUMNS).rows(0, count, row(1))
    with pytest.raises(DecodeError, match="another number of columns"):
        Reading(capture).first(log)


SHORT_BODIES = [(kind, body) for kind in (2, 4, 15, 19, 30, 31, 23, 33, 34, 162)
                for body in (b"", b"\1", bytes(7), bytes(8), bytes(12), b"\xff" * 24)]  # fmt: skip


@pytest.mark.parametrize(("kind", "body"), SHORT_BODIES)
def test_events_that_are_too_short_are_refused_or_empty(
    capture: Capture, kind: int, body: bytes
) -> None:
    for flavor in ("mysql", "mariadb"):
        log = Binlog(flavor).begin(1).table(COLUMNS).add(kind, body)
        try:
            assert Reading(capture).first(log).records == []
        except DecodeError as error:
            assert error.hint


# Positions


def test_positions_go_on_beyond_32_bits(capture: Capture) -> None:
    start = (1 << 32) - 100
    log = insert(Binlog(position=start), 1, row(1), row(2))
    reading = Reading(capture)
    output = reading.first(insert(log, 2, row(3)))
    assert output.checkpoint.pos == log.position > 1 << 32
    positions = [reading.decoded(r.value)["source"]["pos"] for r in output.records]
    assert start < positions[0] < 1 << 32 or positions[0] >= 1 << 32
    assert positions[2] > 1 << 32


def test_a_start_beyond_32_bits_keeps_its_upper_bits(capture: Capture) -> None:
    log = insert(Binlog(position=(5 << 32) + 7), 1, row(1))
    output = Reading(capture).first(log)
    assert output.checkpoint.pos == log.position > 5 << 32


def test_positions_left_out_inside_transactions_are_counted(capture: Capture) -> None:
    """MariaDB from 11.4 writes 0 there."""
    found = []
    for writes in (True, False):
        log = Binlog("mariadb", positions_in_transaction=writes)
        for number in (1, 2):
            insert(log, number, row(number), row(number + 10))
        reading = Reading(capture)
        output = reading.first(log)
        sources = [reading.decoded(r.value)["source"] for r in output.records]
        found.append(([(s["pos"], s["row"]) for s in sources], output.checkpoint))
        assert output.checkpoint.gtid_set == "0-1-2"
    assert found[0] == found[1]


def test_heartbeats_move_the_clock_and_no_rows(capture: Capture) -> None:
    reading = Reading(capture)
    log = insert(Binlog(), 1, row(1))
    position = log.position
    checkpoint = reading.first(log.add(27, b"binlog.000001", silent=True)).checkpoint
    assert checkpoint.pos == position
    assert checkpoint.time_seconds == 10**9


# Restart and cuts


@cache
def golden_descriptions(form: str, name: str) -> Any:
    core = plain() if form == "plain" else compiled()
    assert core is not None
    tables = json.loads((GOLDEN / f"{name}.tables.json").read_text())
    return core.description.parse_descriptions(tables)


def golden_reading(
    capture: Capture, name: str, other: Reading | None = None, kept: Sequence[Record] = ()
) -> Reading:
    """A reading of a golden binlog; `other` gives its schema ids on, `kept` its descriptions."""
    return Reading(
        capture,
        "g",
        ("golden.*",),
        {"provide.transaction.metadata": True, "skipped.operations": "t"},
        golden_descriptions(capture.form, name),
        stored=[capture.decisions.Decision.from_record(one.key, one.value) for one in kept],
        topic=KEPT,
        **({"schemas": other.schemas, "ids": other.ids} if other else {}),
    )


KEPT = "g.descriptions"


def parted(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Change events and the like, and what is kept of descriptions."""
    changes = [record for record in records if record.topic != KEPT]
    return changes, [record for record in records if record.topic == KEPT]


@pytest.mark.parametrize("name", GOLDENS)
def test_a_restart_after_any_event_gives_exactly_the_rest(capture: Capture, name: str) -> None:
    flavor, file = GOLDENS[name]
    events = golden_events(name)
    reading = golden_reading(capture, name)
    start = reading.start(flavor, file)
    whole = golden_reading(capture, name, reading).read(from_place(events, file, 4), start)
    expected, all_kept = parted(whole.records)
    done, kept = 0, []
    for nth, event in enumerate(events):
        head = artificial_rotate(file) if nth == 0 else b""
        output = reading.read(head + event, start if nth == 0 else None)
        changes, more = parted(output.records)
        done += len(changes)
        kept += more
        checkpoint = output.checkpoint
        again = golden_reading(capture, name, reading, kept)
        stored = capture.checkpoint.Checkpoint.from_bytes(checkpoint.to_bytes())
        rest = again.read(from_place(events, file, checkpoint.pos), stored)
        changes, more = parted(rest.records)
        assert list(map(readable, changes)) == list(map(readable, expected[done:]))
        assert [*kept, *more] == all_kept
        assert rest.checkpoint == whole.checkpoint


def large_transaction() -> Binlog:
    """Rows of captured and other tables, key changes and deletes, in several events."""
    log = insert(Binlog(), 1, row(100)).begin(2)
    log.table(COLUMNS).rows(0, 2, row(1) + row(2, None) + row(3))
    log.table(COLUMNS, database="other").rows(0, 2, row(1) + row(2))
    log.table(COLUMNS).rows(1, 2, row(1) + row(1, "x") + row(2, None) + row(20) + row(3) + row(3))
    log.rows(2, 2, row(1, "x") + row(20)).commit()
    return insert(log, 3, row(200))


@pytest.mark.parametrize("options", [{}, {"provide.transaction.metadata": True}], ids=str)
def test_a_restart_after_any_row_gives_exactly_the_rest(
    capture: Capture, options: dict[str, Any]
) -> None:
    """Sequence, revision, id and order in the transaction as if there had been none."""
    log = large_transaction()
    reading = Reading(capture, options=options)
    whole = reading.first(log)
    open_at = sum(map(len, log.events[1:6]))
    change = [r for r in whole.records if r.headers or r.value is None]
    for rows_done in range(1, 11):
        prefix = f"c/{SOURCE}:2/"
        ordinals = [
            int(id_of(r).removeprefix(prefix)) if r.headers and prefix in id_of(r) else None
            for r in whole.records
        ]
        # The first record that belongs to a later row; tombstones go with what precedes them.
        cut = next(
            (
                i
                for i, ordinal in enumerate(ordinals)
                if ordinal is not None and ordinal > rows_done
            ),
            None,
        )
        if cut is None:
            last = max(i for i, ordinal in enumerate(ordinals) if ordinal is not None)
            cut = last + 1 + (whole.records[last + 1].value is None)
        numbered = [r for r in whole.records[:cut] if r.headers]
        checkpoint = capture.checkpoint.Checkpoint(
            "mysql", "", f"{SOURCE}:1", log.file, 4 + open_at, f"{SOURCE}:2", rows_done,
            1, len(numbered),
        )  # fmt: skip
        again = Reading(capture, options=options, schemas=reading.schemas, ids=reading.ids)
        rest = again.read(from_place(log.events[1:], log.file, checkpoint.pos), checkpoint)
        assert list(map(readable, rest.records)) == list(map(readable, whole.records[cut:]))
        assert rest.checkpoint == whole.checkpoint
    assert len(change) >= 13


@pytest.mark.parametrize("options", [{}, {"provide.transaction.metadata": True}], ids=str)
def test_a_second_restart_before_the_first_ones_place_repeats_nothing(
    capture: Capture, options: dict[str, Any]
) -> None:
    """A batch may end in front of the transaction that goes on, or in what was done of it."""
    log = large_transaction()
    reading = Reading(capture, options=options)
    whole = reading.first(log)
    open_at = 4 + sum(map(len, log.events[1:7]))
    done = [r for r in whole.records if r.headers][:5]
    checkpoint = capture.checkpoint.Checkpoint(
        "mysql", "", f"{SOURCE}:1", log.file, open_at, f"{SOURCE}:2", 6, 1, len(done)
    )
    events = whole_events(from_place(log.events[1:], log.file, open_at))

    def read(data: bytes, start: Any) -> Followed:
        again = Reading(capture, options=options, schemas=reading.schemas, ids=reading.ids)
        return Followed([again.read(data, start)])

    through = read(b"".join(events), checkpoint)
    for count in range(1, len(log.events[7:]) - 4):
        first = read(b"".join(events[:count]), checkpoint)
        assert first.checkpoint.pos == open_at
        second = read(b"".join(events), first.checkpoint)
        records = [*first.records, *second.records]
        assert list(map(readable, records)) == list(map(readable, through.records))


def test_a_checkpoint_between_gtid_and_begin_leads_back_to_the_gtid(capture: Capture) -> None:
    log = insert(Binlog(), 1, row(1))
    begun_at = log.position
    output = Reading(capture).first(log.gtid(2))
    assert output.checkpoint.pos == begun_at
    assert output.checkpoint.gtid_set == f"{SOURCE}:1"


def test_a_begin_that_was_published_is_not_published_again(capture: Capture) -> None:
    options = {"provide.transaction.metadata": True}
    log = Binlog().begin(1)
    begun_at = 4 + len(log.events[1])
    reading = Reading(capture, options=options)
    first = reading.first(log)
    assert len(first.records) == 1
    log.table(COLUMNS).rows(0, 2, row(1)).commit()
    again = Reading(capture, options=options)
    assert first.checkpoint.pos == begun_at
    rest = again.read(from_place(log.events[1:], log.file, begun_at), first.checkpoint)
    statuses = [again.decoded(r.value).get("status") for r in rest.records]
    assert statuses == [None, "END"]


def test_a_resumed_transaction_is_waited_for_behind_others(capture: Capture) -> None:
    """On another server the same transactions may stand in another order."""
    log = insert(insert(Binlog(), 7, row(1)), 5, row(2), row(3))
    checkpoint = capture.checkpoint.Checkpoint(
        "mysql", "", "", log.file, 4, f"{SOURCE}:5", 1, 1, 40
    )
    records = Reading(capture).read(log.data, checkpoint).records
    assert [id_of(r).split(":")[1] for r in records] == ["7/1", "5/2"]


@pytest.mark.parametrize("name", GOLDENS)
@given(data=st.data())
def test_any_split_into_batches_gives_the_same(capture: Capture, name: str, data: Any) -> None:
    flavor, file = GOLDENS[name]
    events = [artificial_rotate(file), *golden_events(name)]
    reading = golden_reading(capture, name)
    start = reading.start(flavor, file)
    whole = golden_reading(capture, name, reading).read(b"".join(events), start)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events) - 1), max_size=12)))
    records: list[Record] = []
    for first, last in zip([0, *cuts], [*cuts, len(events)], strict=True):
        output = reading.read(b"".join(events[first:last]), start if first == 0 else None)
        records += output.records
    assert list(map(readable, records)) == list(map(readable, whole.records))
    assert output.checkpoint == whole.checkpoint


# Hostile bytes


def outcome(capture: Capture, name: str, events: Sequence[bytes]) -> Any:
    """Records and checkpoint, or None where the bytes are refused; nothing else may come out."""
    flavor, file = GOLDENS[name]
    reading = golden_reading(capture, name)
    try:
        output = reading.read(
            artificial_rotate(file) + b"".join(events), reading.start(flavor, file)
        )
    except DecodeError as error:
        assert error.hint
        return None
    return list(map(readable, output.records)), json.loads(output.checkpoint.to_bytes())


@dataclass(frozen=True)
class Edit:
    """One change to one event; afterwards its size and checksum are right again."""

    nth: int
    how: str
    at: int
    data: bytes

    def apply(self, events: list[bytes]) -> None:
        nth = self.nth % len(events)
        raw = bytearray(events[nth])
        at = 19 + self.at % max(1, len(raw) - 23)
        if self.how == "change":
            raw[at : at + len(self.data)] = self.data
        elif self.how == "type":
            raw[4] = self.data[0]
        elif self.how == "cut":
            del raw[at : at + self.data[0]]
        elif self.how == "insert":
            raw[at:at] = self.data
        elif self.how == "drop":
            del events[nth]
            return
        raw += bytes(max(0, 23 - len(raw)))
        raw[9:13] = struct.pack("<I", len(raw))
        events[nth] = with_checksum(bytes(raw))


EDITS = st.builds(
    Edit,
    st.integers(0, 300),
    st.sampled_from(["change", "change", "change", "cut", "insert", "type", "drop"]),
    st.integers(0, 700),
    st.sampled_from([b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\xff" * 4])
    | st.binary(min_size=1, max_size=8),
)
EDIT_LISTS = st.lists(EDITS, min_size=1, max_size=4)


def edited(name: str, edits: Sequence[Edit]) -> list[bytes]:
    events = golden_events(name)
    for edit in edits:
        edit.apply(events)
    return events


@pytest.mark.parametrize("name", GOLDENS)
@given(edits=EDIT_LISTS)
def test_hostile_bytes_are_records_or_an_error(
    capture: Capture, name: str, edits: list[Edit]
) -> None:
    outcome(capture, name, edited(name, edits))


@pytest.mark.parametrize("name", GOLDENS)
@given(edits=EDIT_LISTS)
def test_both_forms_make_the_same_of_hostile_bytes(name: str, edits: list[Edit]) -> None:
    core = compiled()
    if core is not None:
        events = edited(name, edits)
        assert outcome(core, name, events) == outcome(plain(), name, events)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_or_hold_nothing(capture: Capture, data: bytes) -> None:
    reading = Reading(capture)
    try:
        assert reading.read(Binlog().data + data, reading.start()).records == []
    except DecodeError as error:
        assert error.hint


def test_every_record_of_the_golden_binlog_has_an_id_of_its_own_but_for_key_changes(
    capture: Capture,
) -> None:
    flavor, file = GOLDENS["gstream2"]
    reading = golden_reading(capture, "gstream2")
    data = artificial_rotate(file) + b"".join(golden_events("gstream2"))
    records = reading.read(data, reading.start(flavor, file)).records
    ids = Counter(id_of(r) for r in records if r.headers)
    changed = {id_of(r) for r in records if "__debezium.newkey" in dict(r.headers)}
    assert {one for one, count in ids.items() if count > 1} == changed
    revisions = [revision_of(r) for r in records if r.headers]
    assert revisions == sorted(set(revisions))


def test_table_ids_of_one_transaction_are_bounded_and_a_statements_own_stay(
    capture: Capture,
) -> None:
    log = Binlog().begin(1)
    column = Col(3, name="a")
    for table_id in range(20_000):
        log.table([column], table_id=1000 + table_id)
    for table_id in (20_998, 20_999):  # of one statement over two tables
        log.rows(0, 1, b"\0\1\0\0\0", table_id=table_id)
    assert len(Reading(capture).first(log.commit()).records) == 2
    with pytest.raises(DecodeError, match="rows of table id 1000, which no TABLE_MAP"):
        Reading(capture).first(log.begin(2).rows(0, 1, b"\0\1\0\0\0", table_id=1000))
