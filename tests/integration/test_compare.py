"""`cdc check --compare` on real servers: equal readers, differences by place, exit codes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cdc.comparing
from cdc.comparing import Compared, Stretch, compare
from cdc.config.source import parse_start
from cdc.model import Record
from cdc.reference.comparison import HIDDEN, Comparison, Line, line_of_record
from cdc.services import MariaDBServer, MySQLServer
from tests.connectors import Project, events_of, source_section, wait_until
from tests.readers import place_now
from tests.reading import settings_for
from tests.services_plugin import FreshDatabase, fresh_database

Server = MySQLServer | MariaDBServer


@pytest.fixture(params=["mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    with fresh_database(request.getfixturevalue(f"{request.param}_server")) as made:
        made.execute("create table t (id int primary key, v varchar(40), took time(1))")
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def place_of(database: FreshDatabase) -> str:
    """file:position of the binlog's end."""
    place = place_now(settings_for(database.server.address))
    return f"{place.file}:{place.pos}"


def connector(project: Project, database: FreshDatabase, **source: Any) -> Path:
    section = source_section(database.server.address, f"{database.name}.*", **source)
    return project.write({"connector": "shop", "source": section})


def compared(project: Project, database: FreshDatabase, start: str) -> Compared:
    config = project.load(connector(project, database))
    return compare(config, Stretch(parse_start(start)))


def change(database: FreshDatabase) -> None:
    database.execute(
        "insert into t values (1, 'one', '01:00:00.5'), (2, 'two', '-00:00:00.5')",
        "update t set v = 'more' where id = 1",
        "update t set id = 3 where id = 1",
        "delete from t where id = 2",
    )


def test_equal_readers_end_with_0_and_known_weaknesses_apart(
    project: Project, database: FreshDatabase
) -> None:
    start = place_of(database)
    change(database)
    ended = project.run("check", connector(project, database), "--compare", "--from", start,
                        "--json")  # fmt: skip
    told = json.loads(ended.stdout)
    assert told["equal"]
    assert told["compared"] == {f"{database.name}.t": 6}
    (weakness,) = told["known_weaknesses"]
    assert weakness["column"] == "took"
    assert weakness["count"] == 2
    shown = project.run("check", connector(project, database), "--compare", "--from", start)
    assert "6 changes compared" in shown.stdout
    assert "the fraction of a negative TIME comes wrong" in shown.stdout


HIDDEN_CHANGES = {
    "mysql": [
        "set binlog_transaction_compression = on",
        "insert into t values (10, 'in a payload', null)",
        "set binlog_transaction_compression = off",
        "insert into j values (1, concat('[1, \"', repeat('x', 200), '\"]'), null)",
        "set binlog_row_value_options = partial_json",
        "update j set j = json_replace(j, '$[0]', 2)",
        "set binlog_row_value_options = ''",
    ],
    "mariadb": [
        "set global log_bin_compress = on, global log_bin_compress_min_len = 10",
        "insert into t values (10, repeat('x', 40), null)",
        "set global log_bin_compress = off",
        "insert into j values (1, '[]', repeat('x', 200))",
    ],
}
XA = ["xa start 'a'", "insert into t values (11, 'x', null)", "xa end 'a'", "xa prepare 'a'",
      "xa commit 'a'"]  # fmt: skip


def test_what_the_library_drops_is_a_known_weakness(
    project: Project, database: FreshDatabase
) -> None:
    kind = database.server.kind
    last = "vector(3)" if kind == "mysql" else "varchar(300) compressed"
    database.execute(f"create table j (id int primary key, j json, v {last})")
    start = place_of(database)
    database.execute("set session autocommit = on", *HIDDEN_CHANGES[kind], *XA)
    change(database)
    found = compared(project, database, start)
    assert found.comparison.differences == []
    assert found.comparison.compared == {f"{database.name}.t": 6}
    reasons = {reason for _, _, reason in found.comparison.weaknesses}
    assert any("compressed" in reason for reason in reasons)
    assert any("XA" in reason for reason in reasons)


def test_a_transaction_larger_than_a_batch_is_compared_as_it_comes(
    project: Project, database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 7: what waits to be compared is bounded by a batch, not by the transaction."""
    start = place_of(database)
    rows = ", ".join(f"({n}, 'x', null)" for n in range(20_000))
    database.execute(f"insert into t values {rows}")
    waiting = []
    join = Comparison.join

    def watched(self: Comparison, *passed: Any) -> None:
        waiting.append(max(len(self._ours), len(self._reference)))
        join(self, *passed)

    monkeypatch.setattr(Comparison, "join", watched)
    monkeypatch.setattr(cdc.comparing, "BATCH_BYTES_MAX", 1 << 16)
    found = compared(project, database, start)
    assert found.is_equal
    assert found.comparison.compared_count == 20_000
    assert max(waiting) < 10_000


def wrong(record: Record, schemas: Any) -> Line | None:
    """Our reader, with a fault: it doubles a letter."""
    line = line_of_record(record, schemas)
    if line is not None and line.after and line.after["v"] == "more":
        line.after["v"] = "moore"  # type: ignore[index]
    return line


def test_a_difference_is_told_with_place_column_and_both_values(
    project: Project, database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = place_of(database)
    change(database)
    monkeypatch.setattr(cdc.comparing, "line_of_record", wrong)
    found = compared(project, database, start)
    assert not found.is_equal
    first = found.comparison.differences[0]
    assert (first.what, first.ours, first.reference) == ("after.v", "'moore'", "'more'")
    assert (first.table, first.row) == (f"{database.name}.t", 0)
    assert first.file == start.partition(":")[0]
    assert first.position > int(start.partition(":")[2])


def test_values_of_masked_and_excluded_columns_are_not_shown(
    project: Project, mysql_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    mysql_database.execute("create table t (id int, `e-mail` varchar(9), v varchar(9))")
    start = place_of(mysql_database)
    mysql_database.execute("insert into t values (1, 'secret', 'more')")

    def wrong_all(record: Record, schemas: Any) -> Line | None:
        line = line_of_record(record, schemas)
        assert line is not None
        assert line.after is not None
        return replace(line, after=dict.fromkeys(line.after, "wrong"))

    monkeypatch.setattr(cdc.comparing, "line_of_record", wrong_all)
    config = json.loads(connector(project, mysql_database).read_text())
    config["change_events"] = {
        "column.exclude.list": r".*\.t\.v",
        "column.mask.with.8.chars": r".*\.t\.e-mail",
    }
    found = compare(project.load(project.write(config)), Stretch(parse_start(start)))
    told = {one.what: (one.ours, one.reference) for one in found.comparison.differences}
    hidden = (HIDDEN, HIDDEN)
    assert told == {"after.id": ("'wrong'", "1"), "after.e_mail": hidden, "after.v": hidden}


def test_changes_that_come_while_it_runs_are_compared(
    project: Project, database: FreshDatabase
) -> None:
    file = connector(project, database)
    stop = threading.Event()

    def write() -> None:
        with database.connect() as connection, connection.cursor() as cursor:
            number = 0
            while not stop.wait(0.02):
                number += 1
                cursor.execute(f"insert into t values ({number}, 'x', null)")
                connection.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ended = project.run("check", file, "--compare", "--events", 20, "--json")
    finally:
        stop.set()
        writer.join()
    told = json.loads(ended.stdout)
    assert told["equal"]
    assert 20 <= told["compared"][f"{database.name}.t"] < 200


def test_wrong_usage_ends_with_2(project: Project, mysql_database: FreshDatabase) -> None:
    file = connector(project, mysql_database)
    for arguments in (["--compare"], ["--compare", "--from", "nowhere"], ["--seconds", "1"]):
        project.run("check", file, *arguments, code=2)


def test_a_connector_changes_its_reader_at_a_restart(
    project: Project, database: FreshDatabase
) -> None:
    """`cdc run` goes on with the other reader just where the first one ended."""
    topic = f"shop.{database.name}.t"

    def run(reader: str, number: int) -> list[Any]:
        file = connector(project, database, reader=reader)
        with project.started("run", file, "--stage", "capture") as child:
            child.wait_running()
            database.execute(f"insert into t values ({number}, 'x', null)")
            config = project.load(file)
            wait_until(lambda: len(events_of(config, topic)) >= number, lambda: child.said)
            assert ("mysql-replication" in child.said) == (reader == "reference")
            assert child.stop() == 0
        return events_of(config, topic)

    for number, reader in enumerate(("cdc", "reference", "cdc"), 1):
        events = run(reader, number)
    assert [one["value"]["after"]["id"] for one in events] == [1, 2, 3]
    assert [one["headers"]["cdc_revision"] for one in events] == ["1.1.0", "1.2.0", "1.3.0"]
