"""A look ahead over a real server's binlog finds its DDL, and says where it can't."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cdc.capture.connection import Session
from cdc.capture.ddl_ahead import DdlAhead, look_ahead
from cdc.capture.decisions import place_order
from cdc.capture.facts import ServerFacts, read_facts
from cdc.capture.source_settings import ServerSettings
from cdc.errors import SourceError
from tests.reading import settings_for
from tests.services_plugin import FreshDatabase, fresh_database

Place = tuple[str, int]


@pytest.fixture(params=["mysql", "mariadb", "mariadb11"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    with fresh_database(request.getfixturevalue(f"{request.param}_server")) as database:
        yield database


def known(database: FreshDatabase) -> tuple[ServerSettings, ServerFacts]:
    settings = settings_for(database.server.address, f"{database.name}.*")
    with Session(settings) as session:
        return settings, read_facts(session)


def end_of(database: FreshDatabase) -> Place:
    word = "binary log" if database.server.flavor == "mysql" else "master"
    file, pos = database.execute(f"show {word} status")[0][:2]
    return file, pos


def test_ddl_is_found_among_rows_and_over_files(database: FreshDatabase) -> None:
    database.execute("create table t (id int primary key)", "create table u (id int primary key)")
    begin = end_of(database)
    database.execute(
        "insert into u values (1)",
        "alter table t add a int",
        "flush binary logs",
        "insert into u values (2)",
    )
    between = end_of(database)
    if database.server.flavor == "mariadb":
        database.execute(
            "set global log_bin_compress_min_len = 10", "set global log_bin_compress = on"
        )
    try:
        database.execute(f"alter table u add a int comment '{'long' * 50}'")
    finally:
        if database.server.flavor == "mariadb":
            database.execute("set global log_bin_compress = off")
    end, ahead = end_of(database), DdlAhead()
    assert ahead.next_place(place_order(*begin)) is None
    look_ahead(ahead, *known(database), begin, end)
    assert ahead.covers(place_order(*begin), place_order(*end))
    tables = [(database.name, name) for name in "tuv"]
    assert [ahead.changes(one, place_order(*begin)) for one in tables] == [True, True, False]
    assert [ahead.changes(one, place_order(*between)) for one in tables] == [False, True, False]


def test_a_binlog_that_ends_before_its_end_is_an_error(database: FreshDatabase) -> None:
    file, pos = end_of(database)
    database.execute("create table t (id int primary key)")
    ahead = DdlAhead()
    begin = place_order(file, pos)
    ahead.next_place(begin)
    with pytest.raises(SourceError, match=rf"ended at {file}:\d+, before {file}:99999999"):
        look_ahead(ahead, *known(database), (file, pos), (file, 99_999_999), wait_seconds=0)
    assert not ahead.covers(begin, (begin[0], 99_999_999))


def test_an_end_that_the_server_has_not_synced_yet_is_waited_for(database: FreshDatabase) -> None:
    database.execute("create table t (id int primary key)")
    begin = end_of(database)
    database.execute("alter table t add a int")
    between = end_of(database)
    size = between[1] - begin[1]
    ahead, end = DdlAhead(), (begin[0], between[1] + size)
    ahead.next_place(place_order(*begin))
    later = threading.Timer(0.3, database.execute, ["alter table t add b int"])
    later.start()
    look_ahead(ahead, *known(database), begin, end)
    later.join()
    assert end_of(database) == end
    assert ahead.changes((database.name, "t"), place_order(*between))
