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
