"""Servers whose TABLE_MAPs hold no names (`binlog_row_metadata=MINIMAL`), accepted by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdc.errors import DecodeError
from tests.integration.test_descriptions import Capturing
from tests.reading import settings_for
from tests.services_plugin import fresh_database


class Accepting(Capturing):
    """Captures though the server's row metadata isn't FULL."""

    @property
    def settings(self) -> Any:
        accept = frozenset({"row_metadata_not_full"})
        return settings_for(self.database.server.address, f"{self.database.name}.*", accept=accept)


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_names_come_from_the_catalogue_while_it_agrees(
    request: pytest.FixtureRequest, kind: str
) -> None:
    start: Callable[..., Any] = request.getfixturevalue(f"start_{kind}")
    with fresh_database(start("--binlog-row-metadata=MINIMAL")) as database:
        database.execute(
            "create table t (n int unsigned, id int not null primary key, v varchar(20),"
            " e enum('a', 'b,c', '''') not null, s set('x', 'y'), b blob, c char(3))"
        )
        capturing = Accepting(database)
        capturing.run(
            capturing.here(),
            ["insert into t values (4000000000, 1, 'ž', 'b,c', 'x,y', x'ff', 'abc')"],
            count=1,
        )
        (change,) = capturing.changes()
        assert change.row == {
            "n": 4_000_000_000, "id": 1, "v": "ž", "e": "b\\,c", "s": "x,y", "b": b"\xff",
            "c": "abc",
        }  # fmt: skip
        assert [field["name"] for field in change.key_schema["fields"]] == ["id"]


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_rows_that_the_catalogue_of_today_does_not_fit_stop(
    request: pytest.FixtureRequest, kind: str
) -> None:
    start: Callable[..., Any] = request.getfixturevalue(f"start_{kind}")
    with fresh_database(start("--binlog-row-metadata=MINIMAL")) as database:
        capturing = Accepting(database)
        database.execute("create table t (id int primary key, v varchar(20))")
        here = capturing.here()
        database.execute(
            "insert into t values (1, 'x')",
            "set sql_log_bin = 0",
            "alter table t drop column v, add column w int",
        )
        with pytest.raises(DecodeError, match="no column names") as refused:
            capturing.run(here, count=1)
        assert "binlog_row_metadata" in refused.value.hint


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_rows_before_ddl_are_not_named_by_the_catalogue_of_after_though_it_fits(
    request: pytest.FixtureRequest, kind: str
) -> None:
    start: Callable[..., Any] = request.getfixturevalue(f"start_{kind}")
    with fresh_database(start("--binlog-row-metadata=MINIMAL")) as database:
        database.execute(
            "create table t (id int primary key, first varchar(20) not null,"
            " last varchar(20) not null)"
        )
        capturing = Accepting(database)
        before = capturing.here()
        database.execute(
            "insert into t values (1, 'Ada', 'Lovelace')",
            "alter table t change first last varchar(20) not null,"
            " change last first varchar(20) not null, drop primary key, add primary key (last)",
        )
        after = capturing.here()
        database.execute("insert into t values (2, 'Turing', 'Alan')")
        with pytest.raises(DecodeError, match="no column names"):
            capturing.run(before, count=1)
        capturing = Accepting(database)
        capturing.run(after, count=1)
        (change,) = capturing.changes()
        assert change.row == {"id": 2, "last": "Turing", "first": "Alan"}
        assert [field["name"] for field in change.key_schema["fields"]] == ["last"]


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_rows_far_behind_are_named_if_no_ddl_lies_behind_them(
    request: pytest.FixtureRequest, kind: str
) -> None:
    start: Callable[..., Any] = request.getfixturevalue(f"start_{kind}")
    with fresh_database(start("--binlog-row-metadata=MINIMAL")) as database:
        database.execute("create table t (id int primary key)")
        capturing = Accepting(database, ahead_bytes_max=100)
        here = capturing.here()
        database.execute(*(f"insert into t values ({n})" for n in range(10)))
        capturing.run(here, count=10)
        assert [change.row for change in capturing.changes()] == [{"id": n} for n in range(10)]
