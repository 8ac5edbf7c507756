"""Statements in all the spellings that servers take: each is told for what it does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.errors import DecodeError
from tests.forms_plugin import compiled
from tests.services_plugin import FreshDatabase, fresh_database
from tests.written import Written, write

SERVERS = ("mysql", "mariadb", "mariadb11")
MARIADB = ("mariadb", "mariadb11")
CONVERT_TABLE = "alter table t convert table u to partition p2 values less than (30)"
BULK = "rows of partitions or tablespaces, without events"


@pytest.fixture
def database(request: pytest.FixtureRequest, server: str) -> Iterator[FreshDatabase]:
    """Of a server, with a table of one row and two partitions."""
    with fresh_database(request.getfixturevalue(f"{server}_server")) as database:
        database.execute(
            "create table t (id int primary key) partition by range (id)"
            " (partition p0 values less than (10), partition p1 values less than (20))",
            "insert into t values (1)",
        )
        yield database


def said(written: Written, table: str = "*") -> tuple[list[str], dict[tuple[str, str], int]]:
    """Operations of the change events, and what was dropped, of tables without their database."""
    reading, output = written.decoded(compiled(), table)
    events = [reading.decoded(record.value) for record in output.records]
    dropped = {
        (table.removeprefix(f"{written.database}."), reason): count
        for (table, reason), count in reading.decoder.dropped.items()
    }
    return [event["op"] for event in events if event is not None], dropped


def on(servers: tuple[str, ...], *texts: str) -> list[tuple[str, str]]:
    return [(server, text) for server in servers for text in texts]


@pytest.mark.parametrize(
    ("server", "text"),
    [
        *on(
            SERVERS,
            "truncate t",
            "truncate /* nightly */ table t",
            "truncate/**/table/**/t",
            "truncate -- c\n table # d\n `t`",
            'truncate "t"',
            "/*!40000 truncate table t */",
            "/*!40000 truncate */ table /*!999999 other . */ t",
        ),
        *on(
            MARIADB,
            "/*M! truncate table t */",
            "truncate table /*!50701 other . */ t",
            "truncate table /*M!999999 other . */ t",
            "set statement max_statement_time = 10 for truncate table t",
        ),
        *on(("mysql",), "truncate table /*M! other . */ t"),
    ],
)
def test_every_truncate_is_an_event(database: FreshDatabase, text: str) -> None:
    written = write(database, "insert into t values (2)", "set sql_mode = 'ANSI_QUOTES'", text)
    assert said(written) == (["c", "t"], {})


@pytest.mark.parametrize(
    ("server", "text"),
    [
        *on(
            SERVERS,
            "create table made as select * from t",
            "create /* c */ table if not exists made select * from t",
            "create table made (a int primary key) select /*!50000 id as a */ from t",
            "create table made as with x as (select 5 as id) select * from x",
            "create table made (select * from t)",
            "/*!50000 insert into t values (8) */",
            'insert into "t" values (8)',
        ),
        *on(
            MARIADB,
            "create or replace table made as values (7)",
            "create table made values (7)",
            "/*M!100100 insert into t values (8) */",
            "/*M! insert */ into t values (8)",
            "analyze replace into t values (8)",
            "analyze format=json delete from t",
            "set statement max_statement_time = 10 for insert into t values (8)",
        ),
        *on(
            ("mysql",),
            "create table made as table t",
            "create table made table t",
            "create table made (a int) values row(7)",
            "create table made as values row(7)",
        ),
    ],
)
def test_changes_that_are_written_as_a_statement_stop(database: FreshDatabase, text: str) -> None:
    def change() -> None:
        database.execute(f"set binlog_format = {form}, sql_mode = 'ANSI_QUOTES'", text)

    form = "statement"
    with pytest.raises(DecodeError, match="as a statement, not as rows"):
        said(write(database, change))
    form = "row"
    database.execute("drop table if exists made", "delete from t", "insert into t values (1)")
    operations, dropped = said(write(database, change))
    assert (len(operations), dropped) == (1, {})


@pytest.mark.parametrize("server", SERVERS)
def test_a_name_in_double_quotes_may_be_a_captured_database(
    database: FreshDatabase, server: str
) -> None:
    with fresh_database(database.server) as other:

        def change() -> None:
            other.execute(
                "set binlog_format = statement, sql_mode = 'ANSI_QUOTES'",
                f'insert into "{database.name}" . "t" values (8)',
            )

        with pytest.raises(DecodeError, match="as a statement, not as rows"):
            said(write(database, change))


@pytest.mark.parametrize("server", SERVERS)
def test_rows_of_a_trigger_elsewhere_are_lost_with_the_statement_that_is_counted(
    database: FreshDatabase, server: str
) -> None:
    with fresh_database(database.server) as other:
        other.execute(
            "create table x (id int primary key)",
            "create trigger r after insert on x for each row"
            f" insert into {database.name}.t values (new.id)",
        )
        written = write(
            database,
            lambda: other.execute("set binlog_format = statement", "insert into x values (8)"),
        )
        reason = "statement outside the captured databases"
        assert said(written) == ([], {(other.name, reason): 1})


@pytest.mark.parametrize(
    ("server", "text", "tables"),
    [
        (server, text, ["t"])
        for server, text in [
            *on(
                SERVERS,
                "alter /* c */ table t drop /* c */ partition p0",
                'alter table "t" truncate partition p0',
                "alter table t /*!50100 drop partition p0 */",
                "/*!50100 alter table t truncate partition all */",
            ),
            *on(("mysql",), "alter table t discard partition p0 tablespace"),
            *on(MARIADB, "set statement lock_wait_timeout = 9 for alter table t drop partition p0"),
        ]
    ]
    + [
        (server, text, ["t", "u"])
        for server, text in [
            *on(SERVERS, "alter table t exchange partition p0 with table u"),
            *on(
                ("mariadb11",),
                CONVERT_TABLE,
            ),
        ]
    ]
    + [
        ("mariadb11", "alter table t convert partition p0 to table v", ["t", "v"]),
        *((server, "alter table u discard tablespace", ["u"]) for server in SERVERS),
    ],
)
def test_ddl_that_changes_rows_without_events_is_counted_for_each_of_its_tables(
    database: FreshDatabase, text: str, tables: list[str]
) -> None:
    database.execute("create table u (id int primary key)")
    written = write(database, "set sql_mode = 'ANSI_QUOTES'", text)
    assert said(written) == ([], {(table, BULK): 1 for table in tables})
