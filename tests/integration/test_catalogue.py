"""What is read of the catalogue is what descriptions are made of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.capture.catalogue import captured_tables, read_tables, table_facts
from cdc.capture.connection import Session
from cdc.capture.description import parse_descriptions
from cdc.services import MariaDBServer, MySQLServer
from tests.reading import settings_for
from tests.services_plugin import FreshDatabase, fresh_database

GOLDEN = Path(__file__).parent.parent / "golden"
FILES = {
    "mysql": (GOLDEN / "schema.sql", GOLDEN / "gstream2.tables.json"),
    "mariadb": (GOLDEN / "mariadb" / "schema.sql", GOLDEN / "mariadb" / "gmaria5.tables.json"),
}


@pytest.fixture(params=FILES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def golden(kind: str, request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """A database with golden's tables."""
    server: MySQLServer | MariaDBServer = request.getfixturevalue(f"{kind}_server")
    with fresh_database(server) as database:
        text = FILES[kind][0].read_text().split("use golden;", 1)[1]
        database.execute(*(one for one in text.split(";\n") if one.strip()))
        yield database


def comparable(tables: dict[str, Any], database: str) -> dict[str, list[str]]:
    """Rows by their text, without order; a database's name is the test's own."""
    return {
        view: sorted(
            json.dumps(row, sort_keys=True).replace(f'"{database}"', '"golden"') for row in rows
        )
        for view, rows in tables.items()
        if view != "tables"  # the recordings have none
    }


def test_the_rows_are_those_of_the_recorded_description(golden: FreshDatabase, kind: str) -> None:
    recorded = json.loads(FILES[kind][1].read_text())
    with Session(settings_for(golden.server.address, f"{golden.name}.*")) as session:
        tables = read_tables(session, captured_tables(session, session.settings.tables))
    assert comparable(tables, golden.name) == comparable(recorded, "golden")
    assert list(tables["columns"][0]) == list(recorded["columns"][0])
    assert len(parse_descriptions(tables)) == len(parse_descriptions(recorded))


def test_only_captured_tables_are_described(golden: FreshDatabase) -> None:
    wanted = (f"{golden.name}.numbers", f"{golden.name}.t*s")
    with Session(settings_for(golden.server.address, *wanted)) as session:
        names = captured_tables(session, session.settings.tables)
        tables = read_tables(session, captured_tables(session, session.settings.tables))
    assert {table for _, table in names} == {"numbers", "texts", "times"}
    assert {row["TABLE_NAME"] for row in tables["columns"]} == {"numbers", "texts", "times"}


def test_tables_without_primary_key_are_known(golden: FreshDatabase) -> None:
    with Session(settings_for(golden.server.address, f"{golden.name}.*")) as session:
        facts = table_facts(session, captured_tables(session, session.settings.tables))
    assert {one.table for one in facts if not one.has_primary_key} == {"nokey", "ukey"}
