"""Types that need a table, a setting or a server of their own, compared with the server's word."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from cdc.errors import DecodeError
from cdc.services import DatabaseServer, MariaDBServer, MySQLServer
from tests.binlogs import whole_events
from tests.forms_plugin import Capture
from tests.services_plugin import FreshDatabase, fresh_database
from tests.written import Written, select, write

QUERY, TABLE_MAP, WRITE_ROWS_V1, XID = 2, 19, 23, 16


@pytest.fixture(params=["mariadb", "mariadb11"])
def mariadb(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """A database of each MariaDB."""
    server: MariaDBServer = request.getfixturevalue(f"{request.param}_server")
    with fresh_database(server) as database:
        yield database


@pytest.fixture(params=["mysql", "mariadb", "mariadb11"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """A database of each server."""
    server: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    with fresh_database(server) as made:
        yield made


def without_ddl(written: Written) -> Written:
    """The same stretch, its DDL cut out: nothing tells what the table is but TABLE_MAP."""
    events = b"".join(
        event
        for event in whole_events(written.events)
        if not (event[4] == QUERY and b"create table" in event)
    )
    return Written(written.flavor, written.file, written.pos, events, written.database)


# MariaDB's logical types


def test_types_that_table_map_has_no_word_for_are_bytes_until_they_are_described(
    capture: Capture, mariadb: FreshDatabase
) -> None:
    written = write(
        mariadb,
        "create table t (u uuid primary key, i inet4, j json, b binary(16))",
        "insert into t values ('00112233-4455-1677-8899-aabbccddee00', '1.2.3.0', '{}', 'ab')",
    )
    (described,) = written.changes(capture, "t")
    (plain,) = without_ddl(written).changes(capture, "t")
    raw = bytes.fromhex("00112233445516778899aabbccddee00")
    assert plain == {"u": raw, "i": b"\1\2\3\0", "j": "{}", "b": b"ab" + bytes(14)}
    text = {"u": "00112233-4455-1677-8899-aabbccddee00", "i": "1.2.3.0"}
    assert described == {**plain, **text}


# Temporal formats of before 5.6, which upgraded tables still have


@contextmanager
def old_formats(database: FreshDatabase) -> Iterator[None]:
    database.execute("set global mysql56_temporal_format = off")
    try:
        yield
    finally:
        database.execute("set global mysql56_temporal_format = on")


def test_old_temporal_formats_are_what_the_server_selects(
    capture: Capture, mariadb: FreshDatabase
) -> None:
    with old_formats(mariadb):
        written = write(
            mariadb,
            "create table t (id int primary key, t time, d datetime, s timestamp null, n int)",
            "insert into t values (1, '-838:59:59', '9999-12-31 23:59:59', '2038-01-19 03:14:07',"
            " 7), (5, '00:00:00', '2024-02-29 12:34:56', '2024-02-29 12:34:56', 7)",
            "insert into t values (2, '838:59:59', '1000-01-01', '1970-01-01 00:00:01', 7)",
            "insert into t values (3, '-00:00:01', '0000-00-00', 0, 7), (4, null, null, null, 7)",
        )
    maps = {event[4]: event for event in whole_events(written.events)}
    assert b"\x05\x03\x0b\x0c\x07\x03" in maps[TABLE_MAP], "the old type codes are what is tried"
    shown = select(
        mariadb,
        "select time_to_sec(t) * 1000000, timestampdiff(second, '1970-01-01', d) * 1000,"
        " date_format(s, '%Y-%m-%dT%TZ'), n from t order by id",
    )
    changes = sorted(written.changes(capture, "t"), key=lambda row: row["id"])
    rows = [tuple(row.values())[1:] for row in changes]
    assert rows[:2] + rows[3:] == [shown[0], shown[1], shown[3], shown[4]]
    assert rows[2] == (-1_000_000, None, None, 7)


@pytest.mark.parametrize("is_described", [True, False])
def test_old_fractions_are_refused_never_a_wrong_neighbour(
    capture: Capture, mariadb: FreshDatabase, is_described: bool
) -> None:
    """Their sizes are MariaDB's own, and the binlog doesn't say them."""
    values = "'12:34:56.789', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789', 7"
    with old_formats(mariadb):
        written = write(
            mariadb,
            "create table t (id int primary key, t time(3), d datetime(3), s timestamp(3), n int)",
            *(f"insert into t values ({i}, {values})" for i in range(3)),
        )
    says = "10.1, whose size" if is_described else "can't|before MySQL 5.6|past the end"
    with pytest.raises(DecodeError, match=says):
        (written if is_described else without_ddl(written)).changes(capture, "t")


# System-versioned tables


def test_rows_of_system_versioned_tables_come_with_their_history(
    capture: Capture, mariadb: FreshDatabase
) -> None:
    written = write(
        mariadb,
        "create table t (id int primary key, a int) with system versioning",
        "insert into t values (1, 2)",
        "update t set a = 3",
    )
    ends = {(row["a"], row["row_end"]) for row in written.changes(capture, "t") if row is not None}
    shown = select(
        mariadb,
        "select a, date_format(row_end, '%Y-%m-%dT%T.%fZ') from t for system_time all",
    )
    assert set(shown) <= ends
    assert len(shown) == 2


# MariaDB from 11.4 leaves positions out inside transactions


def test_positions_that_a_server_leaves_out_are_counted(
    capture: Capture, mariadb11_server: MariaDBServer
) -> None:
    with fresh_database(mariadb11_server) as database:
        written = write(
            database,
            "create table t (id int primary key)",
            "begin", "insert into t values (1)", "insert into t values (2)", "commit",
            "insert into t values (3)",
        )  # fmt: skip
        ((file, end, *_),) = database.execute("show master status")
    events = [e for e in whole_events(written.events) if not e[17] & 0x20]
    inside = [e for e in events if e[4] in (TABLE_MAP, WRITE_ROWS_V1)]
    assert {e[13:17] for e in inside} == {bytes(4)}, "the server left the positions out"
    sizes, at = {}, written.pos
    for event in events:
        if event[4] == 15 or event[4] == 27:
            continue
        if event[4] == WRITE_ROWS_V1:
            sizes[at] = len(event)
        at += len(event)
    reading, output = written.decoded(capture, "t")
    sources = [reading.decoded(record.value)["source"] for record in output.records]
    assert [source["pos"] for source in sources] == list(sizes)
    assert at == end
    assert (output.checkpoint.file, output.checkpoint.pos) == (file, end)


# Text: labels and defaults in every character set, bytes that a character set doesn't know

LETTERS = "aZ~äöÜßçøłžŤğĐЖяЇΩλשאعبไทย日本語漢字仮名한국աԲქა€"


def test_labels_and_defaults_are_the_servers_in_every_character_set(
    capture: Capture, database: FreshDatabase
) -> None:
    names = [
        name
        for (name,) in select(
            database, "select character_set_name from information_schema.character_sets"
        )
        if name != "binary"
    ]
    columns, wanted = [], {}
    for name in names:
        letters = known_letters(database, name)
        assert len(letters) > 2, name
        labels = ", ".join(f"'{letter}'" for letter in letters)
        columns.append(f"e_{name} enum({labels}) collate {name}_bin default '{letters[-1]}'")
        columns.append(f"s_{name} set({labels}) collate {name}_bin")
        columns.append(f"v_{name} varchar(40) character set {name} default '{''.join(letters)}'")
        columns.append(f"c_{name} char(40) character set {name}")
        text = "".join(letters)
        wanted |= {f"e_{name}": letters[-1], f"s_{name}": ",".join(letters)}
        wanted |= {f"v_{name}": text, f"c_{name}": text}
    filled = ", ".join(
        f"s_{name} = ~0 >> {64 - len(known_letters(database, name))}, c_{name} = v_{name}"
        for name in names
    )
    written = write(
        database,
        f"create table t (id int primary key, {', '.join(columns)}) character set utf8mb4",
        f"insert into t set id = 1, {filled}",
    )
    (row,) = written.changes(capture, "t")
    wrong = {name: (row[name], text) for name, text in wanted.items() if row[name] != text}
    assert wrong == {}
    reading, output = written.decoded(capture, "t")
    schema = reading.schemas[int.from_bytes(output.records[0].value[1:5], "big")]
    (value,) = (one for one in schema["fields"][0]["type"] if isinstance(one, dict))
    defaults = {field["name"]: field.get("default") for field in value["fields"]}
    assert {n: d for n, d in defaults.items() if n[0] in "ev"} == {
        name: text for name, text in wanted.items() if name[0] in "ev"
    }


def known_letters(database: FreshDatabase, charset: str) -> list[str]:
    """Those of LETTERS that the character set has."""
    there_and_back = ", ".join(
        f"hex(convert(convert(_utf8mb4 x'{one.encode().hex()}' using {charset}) using utf8mb4))"
        for one in LETTERS
    )
    ((*texts,),) = select(database, f"select {there_and_back}")
    pairs = zip(LETTERS, texts, strict=True)
    found = [one for one, text in pairs if bytes.fromhex(text or "") == one.encode()]
    return found[:20]


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [("utf8mb4", "61eda08062", "a\ufffd\ufffd\ufffdb"), ("utf8mb3", "eda080", 3 * "\ufffd")],
)
def test_bytes_that_a_character_set_does_not_know_fail_or_are_replaced_as_set(
    capture: Capture, mariadb: FreshDatabase, charset: str, raw: str, text: str
) -> None:
    written = write(
        mariadb,
        f"create table t (id int primary key, v varchar(9) character set {charset}, n int)",
        f"insert into t values (1, x'{raw}', 7)",
    )
    assert select(mariadb, "select hex(v) from t") == ((raw.upper(),),), "MariaDB takes it"
    with pytest.raises(DecodeError, match=r"column v of t_\w+\.t holds bytes"):
        written.changes(capture, "t")
    reading, output = written.decoded(capture, "t", options={"invalid_text": "replace"})
    (record,) = output.records
    assert reading.decoded(record.value)["after"] == {"id": 1, "v": text, "n": 7}
    assert sum(reading.decoder.substitutions().values()) == 1


# JSON


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


JSONS = [
    nested(100), '{"a":' * 99 + "1" + "}" * 99,
    json.dumps({"k" * 200: ["v" * 300] * 217}),  # around 64 KiB, where the large format begins
    *(json.dumps(["x" * size]) for size in (65510, 65520, 65530, 65531, 65540)),
    json.dumps({f"{i}" * 30: i for i in range(2100)}),
    json.dumps([-32769, -32768, 32767, 32768, 65535, 65536, -(1 << 31), 1 << 31, (1 << 32) - 1,
                1 << 32, -(1 << 63), (1 << 63) - 1, 1 << 63, (1 << 64) - 1]),
    json.dumps(["\u0000\u0001\u001f\u007f\u2028\ud7ff\U0010ffff", '"\\/\b\f\n\r\t']),
]  # fmt: skip
OPAQUES = [
    "date'2020-01-02'", "timestamp'2020-01-02 03:04:05.5'", "time'-838:59:59'",
    "time'-10:11:12.000001'",
    "cast('2155' as year)", "0.1 + 0.2", "-99999999999999999999999999999999999.99", "1e308",
    "-5e-324", "true", "null", "18446744073709551615",
]  # fmt: skip
BLOBS = ["x'00ff10'", "b'1010'", "cast('abc' as binary(5))", "st_aswkb(point(1, 2))"]


def test_json_of_each_size_depth_and_sql_type_is_the_servers(
    capture: Capture, mysql_database: FreshDatabase
) -> None:
    values = [f"'{text}'".replace("\\", "\\\\") for text in JSONS]
    values += [f"json_array({value})" for value in OPAQUES]
    written = write(
        mysql_database,
        "create table t (id int primary key, j json)",
        *(f"insert into t values ({i}, {value})" for i, value in enumerate(values)),
    )
    shown = select(mysql_database, "select cast(j as char) from t order by id")
    rows = [row["j"] for row in written.changes(capture, "t")]
    assert list(map(unfractioned, rows)) == [unfractioned(text) for (text,) in shown]


def unfractioned(text: str) -> Any:
    """As a value; the fraction of times without zeros at the end."""
    value = json.loads(text)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0].rstrip("0").rstrip(".") if ":" in value[0] else value[0]
    return value


def test_bytes_in_json_are_base64_as_the_server_shows_them_without_its_prefix(
    capture: Capture, mysql_database: FreshDatabase
) -> None:
    written = write(
        mysql_database,
        "create table t (id int primary key, j json)",
        *(f"insert into t values ({i}, json_array({one}))" for i, one in enumerate(BLOBS)),
    )
    shown = select(mysql_database, "select cast(j as char) from t order by id")
    ours = [json.loads(row["j"])[0] for row in written.changes(capture, "t")]
    theirs = [json.loads(text)[0].rpartition(":")[2] for (text,) in shown]
    assert list(map(base64.b64decode, ours)) == list(map(base64.b64decode, theirs))


# Geometry

SHAPES: Sequence[tuple[str, str]] = [
    ("point", "POINT(-1.5 1e300)"),
    ("linestring", "LINESTRING(0 0,1 1,2 0.5)"),
    ("polygon", "POLYGON((0 0,0 9,9 9,0 0),(1 2,1 3,2 3,1 2))"),
    ("multipoint", "MULTIPOINT(1 1,2 2)"),
    ("multilinestring", "MULTILINESTRING((0 0,1 1),(2 2,3 3))"),
    ("multipolygon", "MULTIPOLYGON(((0 0,0 9,9 9,0 0)),((10 10,10 19,19 19,10 10)))"),
    ("geometrycollection", "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))"),
]


def test_every_geometry_is_the_servers_wkb(capture: Capture, database: FreshDatabase) -> None:
    columns = ", ".join(f"{kind}_ {kind}, g_{kind} geometry" for kind, _ in SHAPES)
    values = ", ".join(
        f"st_geomfromtext('{text}'), st_geomfromtext('{text}', 3857)" for _, text in SHAPES
    )
    written = write(
        database,
        f"create table t (id int primary key, {columns})",
        f"insert into t values (1, {values})",
    )
    names = [name for kind, _ in SHAPES for name in (f"{kind}_", f"g_{kind}")]
    shown = select(
        database, f"select {', '.join(f'hex(st_aswkb({n})), st_srid({n})' for n in names)} from t"
    )
    (row,) = written.changes(capture, "t")
    ours = [x for n in names for x in (row[n]["wkb"].hex().upper(), row[n]["srid"] or 0)]
    assert ours == list(shown[0])
    assert (row["point_"]["x"], row["point_"]["y"]) == (-1.5, 1e300)


def test_float_with_digits_is_a_double(capture: Capture, mysql_server: MySQLServer) -> None:
    with fresh_database(mysql_server) as database:
        written = write(
            database,
            "create table t (id int primary key, f float(7,3), u float unsigned, d double(9,2))",
            "insert into t values (1, 1234.567, 3.4e38, 1234567.89)",
        )
        shown = select(database, "select f + 0e0, u + 0e0, d from t")
        assert [tuple(row.values())[1:] for row in written.changes(capture, "t")] == list(shown)
