"""XA transactions whose binlog file is purged between PREPARE and COMMIT, on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from cdc.capture.prepared_store import prepared_topic
from cdc.services import DatabaseServer, MySQLServer
from cdc.wiring.ends import open_log
from tests.connectors import Child, Section, kafka_log, revisions, wait_until
from tests.pairs import Pair, execute, paired_mariadb, paired_mysql
from tests.services_plugin import FreshDatabase, fresh_database
from tests.shop import Shop, new_shop

SECRET = "s3cret-of-the-customer"
OPTIONS: Section = {
    "column.exclude.list": r".*\.orders\.customer",
    "column.mask.hash.v2.SHA-256.with.salt.x": r".*\.orders\.note",
}
LARGE = 3000
"""Rows of a transaction that is larger than a batch, and than a record of the store."""


CASES = [
    ("mysql", "auto", "embedded", "exactly_once"),
    ("mysql", "file", "embedded", "exactly_once"),
    ("mysql", "auto", "kafka", "exactly_once"),
    ("mysql", "auto", "kafka", "at_least_once"),
    ("mariadb", "auto", "embedded", "exactly_once"),
    ("mariadb", "auto", "kafka", "exactly_once"),
]
"""Server, its coordinates, log and delivery."""


@pytest.fixture
def case(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[FreshDatabase, Shop, Section]]:
    """A database on a server of the test's own, whose binlogs may be purged; its connector."""
    server, coordinates, kind, delivery = request.param
    sections: Section = {"delivery": delivery}
    if kind == "kafka":
        sections["log"] = kafka_log(request.getfixturevalue("kafka_address"))
        sections["registry"] = {"url": request.getfixturevalue("registry_url")}
    source: Section = {"coordinates": coordinates}
    if coordinates == "file":
        source["start"] = "latest"
    start: Callable[[], DatabaseServer] = request.getfixturevalue(f"start_{server}")
    with fresh_database(start()) as database:
        yield database, shop_of(tmp_path, database, source=source, **sections), sections
        roll_back_all(database)


def roll_back_all(database: FreshDatabase) -> None:
    """What a failed test leaves prepared would keep its database from being dropped."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("xa recover")
        for *_, name in cursor.fetchall():
            cursor.execute("xa rollback %s", (name,))


def shop_of(tmp_path: Path, database: FreshDatabase, **sections: Any) -> Shop:
    limits = {"batch_bytes_max": 1 << 15, "retry_wait_seconds_max": 1}
    return new_shop(
        tmp_path, database, change_events=OPTIONS, streams=[], views=[], limits=limits, **sections
    )


def insert(*numbers: int) -> str:
    rows = (
        f"({i}, '{SECRET}', {i}, null, '2026-01-01', null, 0, '{SECRET} {i}{'x' * 300}')"
        for i in numbers
    )
    return f"insert into orders values {', '.join(rows)}"


def prepare(database: FreshDatabase, name: str, *statements: str) -> None:
    database.execute(f"xa start '{name}'", *statements, f"xa end '{name}'", f"xa prepare '{name}'")


def told(made: Shop) -> list[tuple[str, int]]:
    """Operation and id of each change event, in order."""
    changes = [one["value"] for one in made.changes() if one["value"] is not None]
    return [(one["op"], (one["after"] or one["before"])["id"]) for one in changes]


def created(*numbers: int) -> list[tuple[str, int]]:
    return [("c", number) for number in numbers]


def kept(made: Shop) -> dict[bytes | None, bytes | None]:
    """What of the store hasn't been dropped."""
    topic = prepared_topic(made.name)
    with closing(open_log(made.project.load(made.file))) as log:
        if topic not in log.topics():
            return {}
        last = {one.key: one.value for one in log.follow(topic, {}, wait_seconds=0)}
    return {key: value for key, value in last.items() if value is not None}


def next_file(database: FreshDatabase) -> str:
    """Begin a binlog file; its name."""
    database.execute("flush binary logs")
    word = "binary log" if isinstance(database.server, MySQLServer) else "master"
    return str(database.execute(f"show {word} status")[0][0])


def purge(database: FreshDatabase, last: str) -> None:
    """All files before this one."""

    def is_purged() -> bool:
        # A file that somebody still reads stays, and MariaDB's until its checkpoint has moved on.
        database.execute(f"purge binary logs to '{last}'")
        return bool(database.execute("show binary logs")[0][0] == last)

    wait_until(is_purged, f"{last} is not the first one")


def wait_told(made: Shop, child: Child, wanted: list[tuple[str, int]]) -> None:
    wait_until(lambda: told(made) == wanted, lambda: f"{told(made)[-9:]} {child.said}")


@pytest.mark.parametrize("case", CASES, indirect=True, ids="-".join)
def test_rows_of_prepared_transactions_outlive_their_binlog_file(
    case: tuple[FreshDatabase, Shop, Section],
) -> None:
    database, made, sections = case

    def end(child: Child) -> None:
        # Without transactions a killed one repeats what it did last.
        child.kill() if sections["delivery"] == "exactly_once" else child.stop()

    run = ("run", made.file, "--stage", "capture")
    large = range(10_000, 10_000 + LARGE)
    wanted = created(1, 2, 3)
    with made.project.started(*run) as child:
        child.wait_running()
        database.execute(insert(1))
        prepare(database, "a", insert(100, 101), "update orders set id = 102 where id = 101")
        prepare(database, "gone", insert(200))
        prepare(database, "large", *(insert(*large[i : i + 1000]) for i in range(0, LARGE, 1000)))
        database.execute("xa start 'one'", insert(2), "xa end 'one'", "xa commit 'one' one phase")
        last = next_file(database)
        database.execute(insert(3))
        wait_told(made, child, wanted)
        end(child)
    assert len(kept(made)) == 4  # two small ones, and the large one in two
    assert not any(SECRET.encode() in (value or b"") for value in kept(made).values())
    purge(database, last)
    database.execute(insert(4), "xa commit 'large'", "xa rollback 'gone'", insert(5))
    wanted += created(4, *large, 5)
    with made.project.started(*run) as child:
        wait_told(made, child, wanted)
        last = next_file(database)
        database.execute(insert(6))
        wanted += created(6)
        wait_told(made, child, wanted)
        end(child)
    purge(database, last)
    database.execute("xa commit 'a'", insert(7))
    wanted += [*created(100, 101), ("d", 101), *created(102, 7)]
    with made.project.started(*run) as child:
        wait_told(made, child, wanted)
        wait_until(lambda: not kept(made), lambda: f"{[*kept(made)]}")  # heartbeats write on
        assert child.stop() == 0
    changes = [one for one in made.changes() if one["value"] is not None]
    assert revisions(changes) == sorted(set(revisions(changes)))
    at_commit = [one["value"]["source"] for one in changes[-5:]]
    assert len({(one["gtid"], one["pos"], one["file"]) for one in at_commit[:4]}) == 1
    assert at_commit[0]["file"] == last


@pytest.mark.parametrize("paired", [paired_mysql, paired_mariadb])
def test_what_was_prepared_at_one_server_may_be_committed_at_another(
    tmp_path: Path, paired: Callable[[Path], AbstractContextManager[Pair]]
) -> None:
    with (
        paired(tmp_path) as pair,
        fresh_database(pair.source) as database,
        ExitStack() as held,
    ):
        held.callback(roll_back_all, database)
        made = shop_of(tmp_path, database)
        run = ("run", made.file, "--stage", "capture")
        with made.project.started(*run) as child:
            child.wait_running()
            prepare(database, "a", insert(100, 101))
            database.execute(insert(1))
            wait_told(made, child, created(1))
            child.kill()
        pair.wait_replicated()
        execute(pair.replica, "stop replica")
        there = FreshDatabase(pair.replica, database.name)
        purge(there, next_file(there))
        pair.write_at_replica(f"use {database.name}", "xa commit 'a'", insert(2))
        ports = (str(server.address.port) for server in (pair.source, pair.replica))
        made.file.write_text(made.file.read_text().replace(*ports))
        with made.project.started(*run) as child:
            wait_told(made, child, created(1, 100, 101, 2))
            child.wait_said("going on at another server")
            assert child.stop() == 0
        assert not kept(made)
