"""A schema is the same whether the catalogue tells it or DDL that a session of any kind said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cdc.capture.settings import parse_settings
from tests.integration.test_descriptions import Capturing
from tests.services_plugin import FreshDatabase, fresh_database

USUAL = "set sql_mode = '', time_zone = '+00:00'"
EVERY_TYPE = """create table t (id int primary key,
 d1 date not null default '0000-00-00', d2 date default '0000-00-00', d3 date default '2020-1-2',
 d4 date not null default 20200102, d5 date default '2001-00-05',
 m1 datetime not null default '0000-00-00', m2 datetime(3) default '2020-01-01 00:00:00.5',
 m3 datetime(6) not null default '0000-00-00 00:00:00', m4 datetime default '2020-01-02',
 m5 datetime not null default current_timestamp, m6 datetime default current_timestamp,
 s1 timestamp not null default '0000-00-00 00:00:00',
 s2 timestamp(3) not null default '2020-01-02 03:04:05.120',
 s3 timestamp null default '0000-00-00 00:00:00', s4 timestamp null default current_timestamp,
 t1 time default '10:00', t2 time not null default '-10:00:00', t3 time(3) default '1:2:3',
 y1 year default 0, y2 year default '0', y3 year default 99, y4 year not null default '2001',
 i1 int default 1.5, i2 int default '-7', i3 tinyint not null default true,
 i4 bigint unsigned default 18446744073709551615,
 n1 decimal(5,2) default 1, n2 decimal(5,2) not null default 1.005, n3 decimal(40,20) default 1e9,
 f1 float default 0.1, f2 double not null default 1e3,
 b1 bit(3) default b'0101', b2 bit not null default 1, b3 bit(9) default 5,
 x1 binary(3) not null default 'ab', x2 binary(3) default 'ab', x3 varbinary(9) default 'xy',
 x4 varbinary(9) not null default '', x5 varbinary(9) default x'4142', x6 binary(2) default 0x41,
 x7 varbinary(9) default 'a\\0\\n\\'', x8 varbinary(9) default 7,
 e1 enum('a','b,c') not null default 'b,c', e2 set('a','b') default 'a,b',
 c1 varchar(20) default 'it''s', c2 varchar(20) default 'a\\\\b\\nc', c3 varchar(9) default "x\\"y",
 c4 char(5) not null default 'a', c5 varchar(9) default 7, c6 varchar(9) default 'NULL',
 c7 varchar(9) default '''q''', c8 varchar(20) default 'now', c9 varchar(9) not null default '')"""


@pytest.fixture(params=["mysql", "mariadb", "mariadb11"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    with fresh_database(request.getfixturevalue(f"{request.param}_server")) as found:
        yield found


def both(
    database: FreshDatabase, *said: str, options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Defaults by column after what one session said: carried by DDL and of the catalogue, alike.

    The catalogue's own reading begins just before the row that is inserted last."""
    settings, faults = parse_settings(options or {})
    assert not faults
    carried = Capturing(database, events=settings, has_catalogue=False)
    asked = Capturing(database, events=settings)
    before = carried.here()
    with database.connect() as connection, connection.cursor() as cursor:
        for statement in said:
            cursor.execute(statement)
    between = asked.here()
    database.execute(USUAL, "insert into t (id) values (1)")
    carried.run(before, count=1)
    asked.run(between, count=1)
    assert set(carried.decisions("t")) == {"ddl"}
    assert asked.decisions("t") == ["catalogue"]
    ((by_ddl,), (by_catalogue,)) = carried.changes(), asked.changes()
    (fields, known) = (fields_of(one.schema) for one in (by_ddl, by_catalogue))
    assert fields == known
    assert by_ddl.schema == by_catalogue.schema
    assert by_ddl.row == by_catalogue.row
    return {name: one.get("default") for name, one in known.items()}


def fields_of(schema: Any) -> dict[str, Any]:
    (value,) = (t for t in schema["fields"][0]["type"] if isinstance(t, dict))
    return {one["name"]: one for one in value["fields"]}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"time.precision.mode": "isostring", "binary.handling.mode": "hex",
         "decimal.handling.mode": "string"},
        {"time.precision.mode": "connect", "binary.handling.mode": "base64"},
        {"time.precision.mode": "nanoseconds"},
    ],
    ids=["usual", "isostring", "connect", "nanoseconds"],
)  # fmt: skip
def test_defaults_of_every_type(database: FreshDatabase, options: dict[str, Any]) -> None:
    found = both(database, USUAL, EVERY_TYPE, options=options)
    assert found["c1"] == "it's"
    assert found["c6"] == "NULL"
    assert found["x3"] == {"hex": "7879", "base64": "eHk="}.get(
        options.get("binary.handling.mode", ""), "xy"
    )


def test_backslashes_are_text_where_the_session_says_so(database: FreshDatabase) -> None:
    found = both(
        database,
        "set sql_mode = 'NO_BACKSLASH_ESCAPES'",
        r"create table t (id int primary key, p varchar(30) not null default 'C:\new\\dir',"
        r" q varchar(9) not null default 'z\')",
        r"alter table t alter q set default '\n'",
    )
    assert (found["p"], found["q"]) == ("C:\\new\\\\dir", "\\n")


def test_double_quotes_hold_names_where_the_session_says_so(database: FreshDatabase) -> None:
    found = both(
        database,
        "set sql_mode = 'ANSI_QUOTES'",
        'create table "t" ("id" int primary key, "p" varchar(30) default \'x"y\')',
        'alter table "t" add "q""r" int not null default 5, rename column "p" to "p\\"',
    )
    assert sorted(found.values(), key=str) == [5, None, 'x"y']


def test_a_moment_is_of_the_sessions_time_zone(database: FreshDatabase) -> None:
    found = both(
        database,
        "set time_zone = '+05:00'",
        "create table t (id int primary key, a timestamp not null default '2020-01-02 03:04:05',"
        " b timestamp null)",
        "set time_zone = '-03:30'",
        "alter table t alter b set default '2021-01-02 03:04:05'",
    )
    assert (found["a"], found["b"]) == ("2020-01-01T22:04:05Z", "2021-01-02T06:34:05Z")


def test_a_comment_counts_only_where_the_server_runs_it(database: FreshDatabase) -> None:
    both(
        database,
        "create table t (id int primary key, a int not null default 5 /*!999999 comment 'x' */,"
        " b int default 1 /*M! not null */ /*M!100000 default 2 */)",
        "alter table t alter a set default 6 /*!999999 , alter b set default 77 */"
        " /*!80000 , add c int default 8 */ /*!100100 , add d int default 9 */",
    )
